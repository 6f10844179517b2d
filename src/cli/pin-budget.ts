import type { Database } from "bun:sqlite"
import { NswrapError } from "../errors.ts"
import { countTokens, renderContext } from "../memory/context.ts"
import type { Memory } from "../memory/memory.ts"
import { listMemories } from "../store/memories.ts"
import { getPersona } from "../store/persona.ts"
import { listProjects } from "../store/projects.ts"
import type { Home } from "./home.ts"

/**
 * Pinned memories are injected in every run, so they must fit the stable budget together with the persona. Asked of the
 * renderer itself, for every place that would see the memory: its project, or each project when it is global.
 * @throws conflict, telling how much is used
 */
export function checkPinBudget(db: Database, home: Home, memory: Pick<Memory, "text" | "kind" | "scope" | "project" | "tool"> & Partial<Memory>): void {
  const wanted: Memory = { ...BLANK, ...memory, pinned: true }
  const projects = listProjects(db).filter(({ id }) => memory.project === null || id === memory.project)
  const places = memory.scope === "global" ? [null, ...projects] : projects
  const pinned = listMemories(db, { pinned: true, now: home.now }).filter(({ id, tool }) => id !== wanted.id && (tool === null || wanted.tool === null || tool === wanted.tool))
  for (const place of places) {
    const here = pinned.filter((each) => each.scope === "global" || (each.scope === "project" && each.project === place?.id))
    const input = {
      persona: { global: getPersona(db, null), project: place === null ? "" : getPersona(db, place.id) },
      recalled: [],
      projectName: place?.name ?? null,
      stableTokens: home.settings.stableTokens,
      recalledTokens: 0,
      teach: home.settings.teach,
    }
    if (renderContext({ ...input, stable: [...here, wanted] }).dropped.length === 0) continue
    const used = renderContext({ ...input, stable: here }).stableTokens
    const spot = place === null ? "" : ` in project ${place.name}`
    throw new NswrapError("conflict", `it would not fit: the persona and ${here.length} pinned memories use ${used} of ${home.settings.stableTokens} tokens${spot}, this one needs about ${countTokens(memory.text) + 10}; unpin something (nswrap list --pinned) or raise it: nswrap config set context.stable_tokens N`)
  }
}

const BLANK: Memory = {
  id: "00000000-0000-0000-0000-000000000000", text: "", kind: "fact", scope: "global", project: null, tool: null, actor: "user", session: null,
  subject: null, aliases: [], tags: [], confidence: 0.8, benefit: null, consistency: null, pinned: true, created_at: 0, updated_at: 0, ttl_ms: null,
  expires_at: null, superseded_by: null, tombstone: false, count: 1, site_id: "", lamport: 0, source: "", meta: {},
}
