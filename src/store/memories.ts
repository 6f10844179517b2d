import type { Database } from "bun:sqlite"
import { NswrapError } from "../errors.ts"
import { analyse, tokenSet } from "../memory/analysis.ts"
import { stripContext } from "../memory/context.ts"
import { type Memory, type NewMemory, SCOPES, shortId, TEXT_BYTES_MAX } from "../memory/memory.ts"
import { redact, type Redaction } from "../memory/redact.ts"
import { inTransaction } from "./database.ts"
import { insertMemory, recordHistory, scopeKey, textHash, updateRow } from "./indexed-rows.ts"
import { memoryFromRow, type MemoryRow, scopedTerm } from "./rows.ts"

export interface Remembered {
  memory: Memory
  /** created; merged = the same text was there and its count went up; unchanged = a memory of this id was there. */
  outcome: "created" | "merged" | "unchanged"
  /** The older memory of the same subject that this one replaces. */
  superseded: Memory | null
  /** Live memories of the same scope that say nearly the same. */
  near: Memory[]
  redactions: Redaction[]
}

export interface Now {
  now: number
}

const NEAR_JACCARD_MIN = 0.8
const NEAR_TERMS = 6
const NEAR_CANDIDATES_MAX = 50

/** Stores one memory: redacted, merged with an equal one, superseding an older one of its subject. Synced when it returns. */
export function remember(db: Database, memory: NewMemory, at: Now): Remembered {
  return inTransaction(db, () => rememberOne(db, memory, at))
}

/** As `remember`, all or nothing, for imports: ids that are given are kept, and one that exists leaves everything as it is. */
export function rememberMany(db: Database, memories: NewMemory[], at: Now): Remembered[] {
  return inTransaction(db, () => memories.map((memory) => rememberOne(db, memory, at, { link: false })))
}

/**
 * The one memory an id, a unique prefix or a unique suffix names (dashes may be left out). Forgotten ones are found too.
 * @throws not-found, ambiguous
 */
export function findMemory(db: Database, idOrPart: string): Memory {
  const part = idOrPart.toLowerCase().replaceAll("-", "")
  if (!/^[0-9a-f]{1,32}$/.test(part)) throw new NswrapError("not-found", `no memory ${idOrPart}: an id is made of hex digits; nswrap list shows them`)
  const rows = db
    .query("select * from memory where id = ?1 or replace(id, '-', '') like ?2 or replace(id, '-', '') like ?3 order by tombstone, seq desc limit 6")
    .all(idOrPart, `${part}%`, `%${part}`) as MemoryRow[]
  const exact = rows.find((row) => row.id.replaceAll("-", "") === part)
  if (exact !== undefined) return memoryFromRow(exact)
  if (rows.length === 0) throw new NswrapError("not-found", `no memory ${idOrPart}; nswrap list shows them`)
  if (rows.length > 1) {
    const candidates = rows.map((row) => `${shortId(row.id)} "${row.text.slice(0, 40).replaceAll("\n", " ")}"`)
    throw new NswrapError("ambiguous", `${idOrPart} could be ${candidates.join(", ")}; give more digits`)
  }
  return memoryFromRow(rows[0]!)
}

export interface MemoryFilter {
  /** Scope keys: 'g', 'p<project seq>' (see scopeKeys in recall/scope.ts). */
  scopes?: string[]
  scope?: string
  /** Project id; null = only those of no project. */
  project?: string | null
  kind?: string
  tool?: string
  tag?: string
  actor?: string
  since?: number
  until?: number
  pinned?: boolean
  dead?: "hide" | "only" | "include"
  now?: number
  limit?: number
  /** Only memories older than the one of this id. */
  before?: string
  order?: "newest" | "oldest"
}

/** Memories that pass every given condition, newest first. Dead ones (forgotten, superseded, expired) are hidden unless asked for. */
export function listMemories(db: Database, filter: MemoryFilter): Memory[] {
  const where: string[] = []
  const values: (string | number)[] = []
  const add = (sql: string, ...given: (string | number)[]): void => {
    where.push(sql)
    values.push(...given)
  }
  if (filter.scopes) add(`scope_key in (${filter.scopes.map(() => "?").join(", ")})`, ...filter.scopes)
  if (filter.scope) add("scope = ?", filter.scope)
  if (filter.project === null) add("project is null")
  else if (filter.project !== undefined) add("project = ?", filter.project)
  if (filter.kind) add("kind = ?", filter.kind)
  if (filter.tool) add("tool = ?", filter.tool)
  if (filter.tag) add("exists (select 1 from json_each(tags) where value = ?)", filter.tag)
  if (filter.actor) add("actor = ?", filter.actor)
  if (filter.since !== undefined) add("created_at >= ?", filter.since)
  if (filter.until !== undefined) add("created_at < ?", filter.until)
  if (filter.pinned !== undefined) add("pinned = ?", filter.pinned ? 1 : 0)
  if (filter.before) add("seq < (select seq from memory where id = ?)", filter.before)
  const dead = filter.dead ?? "hide"
  const now = filter.now ?? Date.now()
  if (dead === "hide") add("tombstone = 0 and superseded_by is null and (expires_at is null or expires_at > ?)", now)
  if (dead === "only") add("(tombstone = 1 or superseded_by is not null or expires_at <= ?)", now)
  const sql = `select * from memory ${where.length > 0 ? `where ${where.join(" and ")}` : ""} order by seq ${filter.order === "oldest" ? "asc" : "desc"} limit ?`
  return (db.query(sql).all(...values, filter.limit ?? -1) as MemoryRow[]).map(memoryFromRow)
}

/** Changes what is given, keeps the old version in the history. @throws not-found, invalid */
export function editMemory(db: Database, id: string, patch: Partial<NewMemory>, at: Now): Memory {
  return inTransaction(db, () => {
    const before = findMemory(db, id)
    const given = Object.fromEntries(Object.entries(safeNames(patch).given).filter(([, value]) => value !== undefined))
    const checked = check({ ...before, ...given })
    const after: Memory = { ...before, ...given, text: checked.text, updated_at: at.now, lamport: nextLamport(db) }
    if (patch.ttl_ms !== undefined && patch.expires_at === undefined) after.expires_at = patch.ttl_ms === null ? null : at.now + patch.ttl_ms
    recordHistory(db, { memory: before, op: "edit", at: at.now })
    updateRow(db, after)
    return after
  })
}

/** Takes a memory out of sight; `restoreMemory` brings it back. */
export function forgetMemory(db: Database, id: string, at: Now): Memory {
  return changeState(db, id, { tombstone: true }, { op: "forget", now: at.now })
}

/** Undoes forget and supersede. */
export function restoreMemory(db: Database, id: string, at: Now): Memory {
  return changeState(db, id, { tombstone: false, superseded_by: null }, { op: "restore", now: at.now })
}

/** The memory forgotten last and still forgotten, for undo. */
export function lastForgotten(db: Database): Memory | null {
  const row = db
    .query("select m.* from memory_history h join memory m on m.id = h.memory_id where h.op = 'forget' and m.tombstone = 1 order by h.seq desc limit 1")
    .get() as MemoryRow | null
  return row === null ? null : memoryFromRow(row)
}

/** The newer memory (an existing one, or a text to remember in the older one's place) takes the place of the older. */
export function supersedeMemory(db: Database, olderId: string, newer: { id: string } | NewMemory, at: Now): { older: Memory; newer: Memory } {
  return inTransaction(db, () => {
    const older = findMemory(db, olderId)
    const { scope, project, tool, session, subject, kind, tags, aliases, pinned } = older
    const replacement = "text" in newer
      ? rememberOne(db, { scope, project, tool, session, subject, kind, tags, aliases, pinned, ...newer }, at).memory
      : findMemory(db, newer.id)
    if (replacement.id === older.id) throw new NswrapError("conflict", `${shortId(older.id)} cannot supersede itself`)
    if (replacement.superseded_by !== null || replacement.tombstone) throw new NswrapError("conflict", `${shortId(replacement.id)} is itself forgotten or superseded; restore it first: nswrap forget --undo ${shortId(replacement.id)}`)
    const current = findMemory(db, older.id)
    const superseded = current.superseded_by === replacement.id ? current : changeState(db, older.id, { superseded_by: replacement.id }, { op: "supersede", now: at.now })
    db.query("delete from memory_link where older = ?1 and newer = ?2 or older = ?2 and newer = ?1").run(older.id, replacement.id)
    return { older: superseded, newer: replacement }
  })
}

export function pinMemory(db: Database, id: string, pinned: boolean, at: Now): Memory {
  return changeState(db, id, { pinned }, { op: pinned ? "pin" : "unpin", now: at.now })
}

export function historyOf(db: Database, id: string): { at: number; op: string; before: Memory }[] {
  const rows = db.query("select at, op, before from memory_history where memory_id = ? order by seq").all(id) as { at: number; op: string; before: string }[]
  return rows.map(({ at, op, before }) => ({ at, op, before: JSON.parse(before) as Memory }))
}

/** Near-duplicates of a memory, linked when they were remembered and still live. */
export function nearOf(db: Database, id: string): Memory[] {
  const rows = db
    .query(`select m.* from memory_link l join memory m on m.id = case when l.older = ?1 then l.newer else l.older end
            where (l.older = ?1 or l.newer = ?1) and m.tombstone = 0 and m.superseded_by is null`)
    .all(id) as MemoryRow[]
  return rows.map(memoryFromRow)
}

/** The next Lamport time of this site, inside the caller's transaction. */
export function nextLamport(db: Database): number {
  return (db.query("update site set v = v + 1 where k = 'lamport' returning v").get() as { v: number }).v
}

export function siteId(db: Database): string {
  return (db.query("select v from site where k = 'site_id'").get() as { v: string }).v
}

function rememberOne(db: Database, said: NewMemory, { now }: Now, { link }: { link: boolean } = { link: true }): Remembered {
  const { given, redactions: named } = safeNames(said)
  const { text, redactions: written } = check(given)
  const redactions = [...written, ...named]
  const existing = given.id === undefined ? null : (db.query("select * from memory where id = ?").get(given.id) as MemoryRow | null)
  if (existing !== null) return { memory: memoryFromRow(existing), outcome: "unchanged", superseded: null, near: [], redactions }

  const memory = complete(db, given, { text, now })
  const key = scopeKey(db, memory)
  const equal = (given as Partial<Memory>).superseded_by || (given as Partial<Memory>).tombstone ? null : findEqual(db, { memory, key })
  if (equal !== null) {
    const again = sayAgain(db, equal, { given, now })
    const other = again.subject === null || again.subject !== memory.subject ? null : findSubject(db, again, key)
    const superseded = other === null ? null : changeState(db, other.id, { superseded_by: again.id }, { op: "supersede", now })
    return { memory: again, outcome: "merged", superseded, near: [], redactions }
  }

  const older = memory.subject === null || memory.superseded_by !== null || memory.tombstone ? null : findSubject(db, memory, key)
  const near = link ? findNear(db, { memory, key }).filter(({ id }) => id !== older?.id) : []
  memory.lamport = given.lamport ?? nextLamport(db)
  insertMemory(db, { memory, key })
  for (const other of near) db.query("insert or ignore into memory_link values (?, ?, 'near', ?)").run(other.id, memory.id, now)
  const superseded = older === null ? null : changeState(db, older.id, { superseded_by: memory.id }, { op: "supersede", now })
  return { memory, outcome: "created", superseded, near, redactions }
}

/** A memory whose subject, aliases, tags and meta may be stored: without secrets, the subject in the one form that is compared. */
export function safeNames<Given extends Partial<NewMemory>>(said: Given): { given: Given; redactions: Redaction[] } {
  const given = { ...said }
  const redactions: Redaction[] = []
  const safe = (_: string, value: unknown): unknown => {
    if (typeof value !== "string") return value
    const { text, redactions: found } = redact(value)
    redactions.push(...found)
    return text
  }
  for (const field of ["subject", "aliases", "tags", "meta"] as const) {
    if (given[field]) Object.assign(given, { [field]: JSON.parse(JSON.stringify(given[field]), safe) })
  }
  if (typeof given.subject === "string") given.subject = given.subject.trim().toLowerCase() || null
  return { given, redactions }
}

/** Text as it may be stored. @throws invalid */
function check(given: NewMemory): { text: string; redactions: Redaction[] } {
  const { text: safe, redactions } = redact(stripContext(given.text))
  const text = safe.trim()
  if (text === "") throw new NswrapError("invalid", given.text.trim() === "" ? "there is no text to remember" : "nothing is left to remember once private parts and injected context are taken out")
  const bytes = Buffer.byteLength(text)
  if (bytes > TEXT_BYTES_MAX) throw new NswrapError("invalid", `the text has ${bytes} bytes; a memory holds at most ${TEXT_BYTES_MAX} (64 KiB): split it`)
  if (text.includes("\0")) throw new NswrapError("invalid", "the text holds a NUL character: is it a binary file?")
  if (given.confidence !== undefined && !(given.confidence >= 0 && given.confidence <= 1)) throw new NswrapError("invalid", `confidence ${given.confidence} is not between 0 and 1`)
  if (given.scope !== undefined && !SCOPES.includes(given.scope)) throw new NswrapError("invalid", `scope ${given.scope} is none of ${SCOPES.join(", ")}`)
  if (given.kind !== undefined && !/^[\p{L}\p{N}][\p{L}\p{N}_.-]{0,39}$/u.test(given.kind)) throw new NswrapError("invalid", `kind ${JSON.stringify(given.kind)} is not one short word`)
  return { text, redactions }
}

function complete(db: Database, given: NewMemory, { text, now }: { text: string; now: number }): Memory {
  const scope = given.scope ?? (given.project ? "project" : "global")
  if (scope === "project" && !given.project) throw new NswrapError("invalid", "a memory of scope project needs a project")
  if (scope === "session" && !given.session) throw new NswrapError("invalid", "a memory of scope session needs a session; set --session or NS_SESSION")
  const created = given.created_at ?? now
  const ttl = given.ttl_ms ?? null
  const dead = given as Partial<Memory>
  return {
    id: given.id ?? Bun.randomUUIDv7("hex", created),
    text,
    kind: given.kind ?? "fact",
    scope,
    project: scope === "global" ? null : (given.project ?? null),
    tool: given.tool ?? null,
    actor: given.actor ?? "user",
    session: given.session ?? null,
    subject: given.subject ?? null,
    aliases: given.aliases ?? [],
    tags: [...new Set(given.tags)],
    confidence: given.confidence ?? 0.8,
    benefit: given.benefit ?? null,
    consistency: given.consistency ?? null,
    pinned: given.pinned ?? false,
    created_at: created,
    updated_at: given.updated_at ?? created,
    ttl_ms: ttl,
    expires_at: given.expires_at ?? (ttl === null ? null : created + ttl),
    superseded_by: dead.superseded_by ?? null,
    tombstone: dead.tombstone ?? false,
    count: dead.count ?? 1,
    site_id: given.site_id ?? siteId(db),
    lamport: given.lamport ?? 0,
    source: given.source ?? "cli",
    meta: given.meta ?? {},
  }
}

function findEqual(db: Database, { memory, key }: { memory: Memory; key: string }): Memory | null {
  const rows = db
    .query("select * from memory where text_hash = ? and text = ? and scope_key = ? and tool is ? and tombstone = 0 and superseded_by is null")
    .all(textHash({ key, tool: memory.tool, text: memory.text }), memory.text, key, memory.tool) as MemoryRow[]
  const live = rows.find((row) => row.expires_at === null || row.expires_at > memory.created_at)
  return live === undefined ? null : memoryFromRow(live)
}

/** What was said twice keeps its age; what the second saying adds (tags, a pin, more confidence) is kept too. */
function sayAgain(db: Database, equal: Memory, { given, now }: { given: NewMemory; now: number }): Memory {
  const again: Memory = {
    ...equal,
    kind: given.kind ?? equal.kind,
    subject: equal.subject ?? given.subject ?? null,
    tags: [...new Set([...equal.tags, ...(given.tags ?? [])])],
    aliases: [...new Set([...equal.aliases, ...(given.aliases ?? [])])],
    confidence: Math.max(equal.confidence, given.confidence ?? 0),
    pinned: equal.pinned || (given.pinned ?? false),
    expires_at: given.ttl_ms ? now + given.ttl_ms : equal.expires_at,
    count: equal.count + 1,
    updated_at: now,
    lamport: nextLamport(db),
  }
  recordHistory(db, { memory: equal, op: "merge", at: now })
  updateRow(db, again)
  return again
}

function findSubject(db: Database, { id, subject, tool }: Memory, key: string): Memory | null {
  const row = db
    .query("select * from memory where scope_key = ? and subject = ? and tool is ? and tombstone = 0 and superseded_by is null and id <> ? order by seq desc limit 1")
    .get(key, subject, tool, id) as MemoryRow | null
  return row === null ? null : memoryFromRow(row)
}

/** Candidates share one of the rarest terms; near means a Jaccard index of the word sets of at least 0.8. */
function findNear(db: Database, { memory, key }: { memory: Memory; key: string }): Memory[] {
  const tokens = tokenSet(memory.text)
  if (tokens.size < 3) return []
  const frequency = db.query("select doc from memory_vocab where term = ?")
  const rarest = [...new Set(analyse(memory.text))]
    .map((term) => scopedTerm(key, term))
    .map((term) => ({ term, doc: (frequency.get(term) as { doc: number } | null)?.doc ?? 0 }))
    .filter(({ doc }) => doc > 0)
    .sort((a, b) => a.doc - b.doc)
    .slice(0, NEAR_TERMS)
  if (rarest.length === 0) return []
  const match = rarest.map(({ term }) => `"${term}"`).join(" OR ")
  const rows = db
    .query(`select m.* from memory_fts f join memory m on m.seq = f.rowid where memory_fts match ? order by bm25(memory_fts) limit ${NEAR_CANDIDATES_MAX}`)
    .all(match) as MemoryRow[]
  return rows.map(memoryFromRow).filter((other) => other.tool === memory.tool && jaccard(tokens, tokenSet(other.text)) >= NEAR_JACCARD_MIN)
}

function jaccard(a: Set<string>, b: Set<string>): number {
  let shared = 0
  for (const term of a) if (b.has(term)) shared++
  return shared / (a.size + b.size - shared)
}

function changeState(db: Database, id: string, change: Partial<Memory>, { op, now }: { op: string; now: number }): Memory {
  return inTransaction(db, () => {
    const before = findMemory(db, id)
    const after: Memory = { ...before, ...change, updated_at: now, lamport: nextLamport(db) }
    recordHistory(db, { memory: before, op, at: now })
    updateRow(db, after)
    return after
  })
}
