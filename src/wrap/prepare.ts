import type { Database } from "bun:sqlite"
import type { Settings } from "../config/settings.ts"
import { type RenderedContext, renderCompat, renderContext } from "../memory/context.ts"
import type { Memory } from "../memory/memory.ts"
import { recall, type Recalled } from "../recall/recall.ts"
import { isForTool, visibleScopes } from "../recall/scope.ts"
import { getPersonas } from "../store/persona.ts"
import { memoryFromRow, type MemoryRow } from "../store/rows.ts"

export interface ContextRequest {
  project: { seq: number; id: string; name: string } | null
  session: string | null
  /** All names of the tool that asks. */
  toolNames: readonly string[]
  /** What the tool was asked; null = nothing is known, "" never. */
  prompt: string | null
  /** The prompt argument alone, where more was looked at: a piped file must not drown what is asked about it. */
  asked?: string | null
  /** persona = only the persona; stable = persona, pinned, rules and preferences; full = and what the prompt recalls. */
  extent: "persona" | "stable" | "full"
  settings: Pick<Settings, "stableTokens" | "recalledTokens" | "gate" | "teach" | "compat">
  now: number
}

export interface PreparedContext extends RenderedContext {
  /** Score and reasons of what recall found, also of what did not fit; a project's newest decisions have none. */
  found: Recalled[]
}

const STABLE_ROWS_MAX = 200
/** More than a dozen is noise, whatever the budget. */
const RECALLED_MAX = 12
const NEWEST_DECISIONS = 10

/** Chooses and renders what a tool is told: the same for the wrapper and for `nswrap context`. Reads only. */
export function prepareContext(db: Database, request: ContextRequest): PreparedContext {
  const scopes = visibleScopes(request)
  const persona = getPersonas(db, request.project?.id ?? null)
  const stable = request.extent === "persona" ? [] : stableMemories(db, { scopes, request })
  const isStable = new Set(stable.map(({ id }) => id))
  const found = request.extent === "full" ? findMemories(db, { scopes, request }).filter(({ memory }) => !isStable.has(memory.id)) : []
  const { stableTokens, recalledTokens, teach, compat } = request.settings
  const rendered = renderContext({
    persona,
    stable,
    recalled: found.map(({ memory }) => memory),
    projectName: request.project?.name ?? null,
    stableTokens,
    recalledTokens,
    teach,
  })
  if (compat && rendered.text !== "") {
    const scopeOf = (memory: Memory): string => (memory.scope === "project" && request.project !== null ? `project:${request.project.name}` : memory.scope)
    const text = [persona.global, persona.project].filter((part) => part !== "").join("\n")
    rendered.text = renderCompat({ persona: text, memories: [...rendered.stable, ...rendered.recalled], scopeOf })
  }
  return { ...rendered, found }
}

/** What is told on every run: pinned memories, and the rules and preferences that the user, not a tool, gave. Newest first within the bound. */
function stableMemories(db: Database, { scopes, request }: { scopes: string[]; request: ContextRequest }): Memory[] {
  const rows = db
    .query(`select * from memory where scope_key in (${scopes.map(() => "?").join(", ")}) and (pinned = 1 or kind in ('rule', 'preference'))
            and tombstone = 0 and superseded_by is null order by pinned desc, seq desc limit ${STABLE_ROWS_MAX}`)
    .all(...scopes) as MemoryRow[]
  return rows.filter((row) => (row.pinned === 1 || row.actor === "user") && isLive(row, request) && isForTool(row, request.toolNames)).map(memoryFromRow)
}

/** By the prompt; without one, what was decided in this project lately. */
function findMemories(db: Database, { scopes, request }: { scopes: string[]; request: ContextRequest }): Recalled[] {
  const { prompt, asked, project, toolNames, settings, now } = request
  const find = (text: string) => recall(db, { text, scopes, toolNames, limit: RECALLED_MAX, gate: settings.gate, now })
  if (prompt !== null && (!asked?.trim() || asked === prompt)) return find(prompt)
  if (prompt !== null) {
    const best = new Map<string, Recalled>()
    for (const one of [...find(asked!), ...find(prompt)]) if (one.score > (best.get(one.memory.id)?.score ?? 0)) best.set(one.memory.id, one)
    return [...best.values()].sort((a, b) => b.score - a.score).slice(0, RECALLED_MAX)
  }
  if (project === null) return []
  const rows = db
    .query(`select * from memory where scope_key = ? and kind = 'decision' and tombstone = 0 and superseded_by is null order by seq desc limit ${NEWEST_DECISIONS}`)
    .all(`p${project.seq}`) as MemoryRow[]
  return rows.filter((row) => isLive(row, request)).map((row) => ({ memory: memoryFromRow(row), score: 0, why: [] }))
}

function isLive(row: MemoryRow, { now }: { now: number }): boolean {
  return row.expires_at === null || row.expires_at > now
}
