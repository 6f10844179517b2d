import type { Database } from "bun:sqlite"
import { NswrapError } from "../errors.ts"
import { stripContext } from "../memory/context.ts"
import { type Memory, type NewMemory, TEXT_BYTES_MAX } from "../memory/memory.ts"
import { redact, type Redaction } from "../memory/redact.ts"
import { inTransaction } from "./database.ts"
import { scopeKey } from "./indexed-rows.ts"
import { nextLamport, rememberMany, siteId } from "./memories.ts"
import { personaHistory } from "./persona.ts"
import { createProject } from "./projects.ts"

/** A memory as another home or program knew it: its project by name, and also what a new memory cannot say. */
export interface ImportedMemory {
  /** Where it stood, for messages: a line number, an id. */
  at: string
  memory: Omit<NewMemory, "project"> & Partial<Pick<Memory, "superseded_by" | "tombstone" | "count">>
  project: string | null
}

export interface ImportedPersona {
  at: string
  text: string
  project: string | null
  created_at: number | null
  actor: string
}

export interface Imported {
  created: number
  /** The same text was there; what this one added was added to it. */
  merged: number
  /** A memory of this id was there, however it looks by now. */
  unchanged: number
  /** Imported as already replaced: a newer memory of the same subject was there. */
  older: number
  refused: { at: string; reason: string }[]
  redactions: Redaction[]
  /** Of each persona: set; added to the history below the user's own; nothing new. */
  personas: { project: string | null; outcome: "set" | "kept" | "unchanged" }[]
  /** Names of projects that were made for it; they have no directory yet. */
  projects: string[]
}

const PROGRESS_EVERY = 500

/**
 * Stores memories and personas from elsewhere in one transaction; doing it again changes nothing. When one is refused
 * and `keepGood` is false, none is kept (`refused` says why). A memory whose id is here stays as it is here. An equal text of another id
 * merges, and its id is kept as replaced by the one that was here. A persona never takes the place of one that was set here.
 */
export function importMemories(
  db: Database,
  { memories, personas }: { memories: ImportedMemory[]; personas: ImportedPersona[] },
  { now, keepGood, onProgress }: { now: number; keepGood: boolean; onProgress?: (done: number) => void },
): Imported {
  const imported: Imported = { created: 0, merged: 0, unchanged: 0, older: 0, refused: [], redactions: [], personas: [], projects: [] }
  const projectOf = projectsByName(db, { now, made: imported.projects })
  let lamport = 0
  const nothingKept = new Error("rolled back")
  try {
    inTransaction(db, () => {
      for (const [done, given] of memories.entries()) {
        if (done % PROGRESS_EVERY === 0) onProgress?.(done)
        try {
          importOne(db, given, { now, imported, projectOf })
          lamport = Math.max(lamport, given.memory.lamport ?? 0)
        } catch (error) {
          if (!(error instanceof NswrapError)) throw error
          imported.refused.push({ at: given.at, reason: error.message })
        }
      }
      importPersonas(db, personas, { now, imported, projectOf })
      // What is written here from now on is later than what came in.
      db.query("update site set v = max(v, ?) where k = 'lamport'").run(lamport)
      if (imported.refused.length > 0 && !keepGood) throw nothingKept
    })
  } catch (error) {
    if (error !== nothingKept) throw error
    return { ...imported, created: 0, merged: 0, unchanged: 0, older: 0, redactions: [], personas: [], projects: [] }
  }
  return imported
}

type ProjectOf = (name: string | null) => string | null

function importOne(db: Database, { memory, project }: ImportedMemory, { now, imported, projectOf }: { now: number; imported: Imported; projectOf: ProjectOf }): void {
  if (memory.id !== undefined && db.query("select 1 from memory where id = ?").get(memory.id) !== null) {
    imported.unchanged++
    return
  }
  const given: NewMemory & Partial<Memory> = { ...memory, project: projectOf(project) }
  if (given.subject && !given.superseded_by && !given.tombstone) given.superseded_by = newerOfSubject(db, given, now)
  const [result] = rememberMany(db, [given], { now })
  if (result === undefined) return
  addRedactions(imported.redactions, result.redactions)
  if (result.outcome === "merged") {
    imported.merged++
    // The id stays known, so that the next import of it finds it and adds nothing.
    if (given.id !== undefined) rememberMany(db, [{ ...given, superseded_by: result.memory.id } as NewMemory], { now })
  } else if (given.superseded_by && !memory.superseded_by) imported.older++
  else imported.created++
}

/** A memory that was said here later, by the same name, is not replaced by an older one that arrives later. */
function newerOfSubject(db: Database, given: NewMemory & Partial<Memory>, now: number): string | null {
  const scope = given.scope ?? (given.project ? "project" : "global")
  if ((scope === "project" && !given.project) || (scope === "session" && !given.session)) return null
  const key = scopeKey(db, { scope, project: given.project ?? null, session: given.session ?? null })
  const row = db
    .query("select id from memory where scope_key = ? and subject = ? and tool is ? and tombstone = 0 and superseded_by is null and created_at > ? order by created_at desc limit 1")
    .get(key, given.subject!.trim().toLowerCase(), given.tool ?? null, given.created_at ?? now) as { id: string } | null
  return row?.id ?? null
}

function importPersonas(db: Database, personas: ImportedPersona[], context: { now: number; imported: Imported; projectOf: ProjectOf }): void {
  for (const [name, versions] of Map.groupBy(personas, ({ project }) => project)) {
    try {
      context.imported.personas.push({ project: name, outcome: importVersions(db, { project: context.projectOf(name), versions }, context) })
    } catch (error) {
      if (!(error instanceof NswrapError)) throw error
      context.imported.refused.push({ at: versions[0]!.at, reason: error.message })
    }
  }
}

/** The versions that are not in the history yet; after them once more the one that was set here, so that it stays the current one. */
function importVersions(
  db: Database,
  { project, versions }: { project: string | null; versions: ImportedPersona[] },
  { now, imported }: { now: number; imported: Imported },
): "set" | "kept" | "unchanged" {
  const insert = db.query("insert into persona (project, text, created_at, site_id, lamport, actor) values (?, ?, ?, ?, ?, ?)")
  const add = (text: string, created_at: number, actor: string) => insert.run(project, text, created_at, siteId(db), nextLamport(db), actor)
  const before = personaHistory(db, project)
  const own = before.at(-1)
  let last: string | null = null
  for (const { text: given, created_at, actor } of versions) {
    const { text: safe, redactions } = redact(stripContext(given))
    const text = safe.trim()
    if (Buffer.byteLength(text) > TEXT_BYTES_MAX || text.includes("\0")) throw new NswrapError("invalid", "the persona is longer than 64 KiB or holds a NUL character")
    if (before.some((version) => version.text === text && (created_at === null || version.created_at === created_at))) continue
    addRedactions(imported.redactions, redactions)
    add(text, created_at ?? now, actor)
    last = text
  }
  if (last === null) return "unchanged"
  if (own === undefined || own.text === last) return "set"
  add(own.text, now, own.actor)
  return "kept"
}

/** Names to ids; a project is made when the first memory needs it, not before. */
function projectsByName(db: Database, { now, made }: { now: number; made: string[] }): ProjectOf {
  const ids = new Map<string, string>()
  return (name) => {
    if (name === null) return null
    const key = name.trim().toLowerCase()
    const known = ids.get(key) ?? (db.query("select id from project where name = ?").get(name.trim()) as { id: string } | null)?.id
    if (known !== undefined) {
      ids.set(key, known)
      return known
    }
    const project = createProject(db, name, { now })
    made.push(project.name)
    ids.set(key, project.id)
    return project.id
  }
}

function addRedactions(sums: Redaction[], redactions: Redaction[]): void {
  for (const { kind, count } of redactions) {
    const sum = sums.find((each) => each.kind === kind)
    if (sum === undefined) sums.push({ kind, count })
    else sum.count += count
  }
}
