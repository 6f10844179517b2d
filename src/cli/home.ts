import { Database } from "bun:sqlite"
import { type Environment, type Paths, resolvePaths } from "../config/paths.ts"
import { readSettings, type Settings } from "../config/settings.ts"
import { NswrapError } from "../errors.ts"
import { type Memory, type Scope, shortId } from "../memory/memory.ts"
import { findProject, listProjects, locateProject, recordJoin, type Located, type Project } from "../store/projects.ts"
import { openForWriting } from "../store/create.ts"
import { openForReading } from "../store/database.ts"
import { visibleScopes } from "../recall/scope.ts"
import { findTool, type Tool, toolFromConfig } from "../wrap/tools.ts"
import { tell } from "./output.ts"

/** What every command begins with. Taken from the process once, at the edge. */
export interface Home {
  env: Environment
  paths: Paths
  settings: Settings
  cwd: string
  now: number
  /** A directory that joined a known project, told to the user just now: written down once reading is done. */
  join?: Located
}

export function readHome(): Home {
  const env = process.env
  const paths = resolvePaths(env)
  return { env, paths, settings: readSettings(env, paths), cwd: process.cwd(), now: Date.now() }
}

/** Runs `work` on the memories opened for writing; they are made where there are none. */
export async function writing<T>(home: Home, work: (db: Database) => T | Promise<T>): Promise<T> {
  const db = await openForWriting(home.paths)
  try {
    return await work(db)
  } finally {
    db.close()
  }
}

/** Runs `work` on the memories opened for reading. Where there are none it gets an empty store, so that reading leaves no file. */
export async function reading<T>(home: Home, work: (db: Database) => T | Promise<T>): Promise<T> {
  const opened = openForReading(home.paths)
  if (opened.state === "outdated") return writing(home, work)
  if (opened.state === "newer") throw new NswrapError("outdated", opened.reason)
  if (opened.state === "unreadable") throw new NswrapError("unavailable", `${opened.reason}; nswrap doctor says more`)
  const db = opened.state === "ready" ? opened.db : await emptyStore()
  try {
    return await work(db)
  } finally {
    db.close()
    if (home.join !== undefined) await writeJoin(home, home.join)
  }
}

/** Which memories a command is about: those of a directory's project and the global ones, or all. */
export interface Place {
  project: Project | null
  located: Located
  /** Scope keys; undefined = all. */
  scopes: string[] | undefined
}

/** `--project NAME` stands for the project of this directory. @throws not-found with a "did you mean" */
export function placeOf(db: Database, home: Home, given: { project?: string | undefined; allProjects?: boolean | undefined }): Place {
  const located = locateProject(db, home.cwd)
  const project = given.project === undefined ? located.project : findProject(db, given.project)
  if (given.project === undefined && (located.joined === "moved" || located.joined === "remote")) {
    if (located.announce !== null && home.join === undefined) tell(located.announce)
    home.join = located
  }
  const scopes = given.allProjects ? undefined : visibleScopes({ project, session: home.settings.session })
  return { project, located, scopes }
}

/** The same where the memories are open for writing: what was announced is not announced again. */
export function placeForWriting(db: Database, home: Home, given: { project?: string | undefined }): Place {
  const place = placeOf(db, home, given)
  if (home.join !== undefined) recordJoin(db, home.join, { now: home.now })
  delete home.join
  return place
}

/**
 * Law 8: what a wrapped tool says is a proposal. A tool that nswrap started may read, remember and forget (which can be
 * undone), but not write what is injected by other ways: a web page that it read must not be able to plant a memory.
 * @throws conflict
 */
export function refuseTools(home: Pick<Home, "env" | "settings">, command: string): void {
  const tool = home.env["NSWRAP_TOOL"]
  if (!tool || home.settings.fromTools === "accept") return
  throw new NswrapError("conflict", `${tool} may not run nswrap ${command}: that is for the user, in a terminal of their own (NSWRAP_TOOL is set here). nswrap remember "TEXT" proposes something`)
}

/** Project names by id, for showing. */
export function projectNames(db: Database): Map<string, string> {
  return new Map(listProjects(db).map(({ id, name }) => [id, name]))
}

/** `global`, `shop`, `session`: where a memory belongs, in one word. */
export function scopeWord(memory: { scope: Scope; project: string | null; session?: string | null }, names: Map<string, string>): string {
  if (memory.scope === "session") return `session ${memory.session ?? ""}`.trim()
  if (memory.scope === "global") return "global"
  return names.get(memory.project ?? "") ?? "?"
}

/** A memory as `--json` prints it: as it is stored, and the project's name. */
export function asJson(memory: Memory, names: Map<string, string>): Record<string, unknown> {
  return { ...memory, short_id: shortId(memory.id), project_name: memory.project === null ? null : (names.get(memory.project) ?? null) }
}

/** Rows of the tool table that the configuration adds; a wrong one is left out and told in `settings.problems`. */
export function userTools(settings: Settings): Tool[] {
  return Object.entries(settings.tools).flatMap(([name, row]) => {
    if (typeof row !== "object" || row === null || !("channel" in row)) return []
    try {
      return [toolFromConfig(name, row)]
    } catch (error) {
      settings.problems.push(error instanceof Error ? error.message : String(error))
      return []
    }
  })
}

/** The one name a tool's memories are kept under: `claude` for claude-code. Unknown tools keep the name given. */
export function toolName(home: Home, given: string): string {
  return findTool(given, userTools(home.settings))?.name ?? given
}

/** Every name of a tool, as recall wants them; null when none is given: memories for any tool. */
export function toolNames(home: Home, given: string | undefined): string[] | null {
  if (given === undefined) return null
  const tool = findTool(given, userTools(home.settings))
  return tool === null ? [given] : [...new Set([given, tool.name, ...tool.names])]
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_557_600_000 }

/** `30d`, `12h`, `90m`, `2w` in ms. @throws usage */
export function readDuration(text: string, option: string): number {
  const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|y)\s*$/.exec(text) ?? []
  const ms = Number(amount) * (UNITS[unit ?? ""] ?? Number.NaN)
  if (!(ms > 0) || ms > Number.MAX_SAFE_INTEGER / 2) throw new NswrapError("usage", `${option} cannot be ${JSON.stringify(text)}: say 30d, 12h or 2w`)
  return Math.round(ms)
}

/** A moment: a duration back from now, or a date. @throws usage */
export function readMoment(text: string, option: string, now: number): number {
  if (/^\s*\d+(\.\d+)?\s*(ms|s|m|h|d|w|y)\s*$/.test(text)) return now - readDuration(text, option)
  const at = /^\d{4}-\d\d?-\d\d?/.test(text.trim()) ? new Date(text.trim().length <= 10 ? `${text.trim()}T00:00` : text.trim()).getTime() : Number.NaN
  if (Number.isNaN(at)) throw new NswrapError("usage", `${option} cannot be ${JSON.stringify(text)}: say 7d, 12h or 2026-11-03`)
  return at
}

/** A whole number of at least `min`. @throws usage */
export function readCount(text: string | undefined, option: string, fallback: number): number {
  if (text === undefined) return fallback
  const number = /^\d+$/.test(text.trim()) ? Number(text) : 0
  if (number < 1 || number > 1_000_000) throw new NswrapError("usage", `${option} cannot be ${JSON.stringify(text)}: say a whole number from 1`)
  return number
}

/** Best effort: a command that only reads does not fail for it, and the next one tells again. */
async function writeJoin(home: Home, located: Located): Promise<void> {
  try {
    const db = await openForWriting(home.paths)
    db.run("pragma busy_timeout = 200")
    recordJoin(db, located, { now: home.now })
    db.close()
  } catch {
    // Nothing depends on it.
  }
}

async function emptyStore(): Promise<Database> {
  const { migrations } = await import("../store/migrations.ts")
  const db = new Database(":memory:", { strict: true })
  for (const sql of migrations) db.run(sql)
  return db
}
