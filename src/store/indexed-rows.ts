import type { Database } from "bun:sqlite"
import { analyse } from "../memory/analysis.ts"
import type { Memory } from "../memory/memory.ts"
import { memoryFromRow, type MemoryRow, scopedTerm, sessionKey } from "./rows.ts"

/** 'g' | 'p<project.seq>' | 's<hash>': the scope as one word of the full-text index. */
export function scopeKey(db: Database, { scope, project, session }: Pick<Memory, "scope" | "project" | "session">): string {
  if (scope === "global") return "g"
  if (scope === "session") return sessionKey(session ?? "")
  return `p${(db.query("select seq from project where id = ?").get(project) as { seq: number }).seq}`
}

const COLUMNS = ["id", "text", "kind", "scope", "project", "tool", "actor", "session", "subject", "aliases", "tags", "confidence", "benefit", "consistency",
  "pinned", "created_at", "updated_at", "ttl_ms", "expires_at", "superseded_by", "tombstone", "count", "site_id", "lamport", "source", "meta",
  "scope_key", "terms", "length", "text_hash"]
const INSERT = `insert into memory (${COLUMNS.join(", ")}) values (${COLUMNS.map(() => "?").join(", ")})`
const UPDATE = `update memory set ${COLUMNS.slice(1).map((column) => `${column} = ?`).join(", ")} where id = ?`

export function insertMemory(db: Database, { memory, key }: { memory: Memory; key: string }): void {
  const values = rowValues(memory, key)
  const { lastInsertRowid } = db.query(INSERT).run(...values)
  if (isIndexed(memory)) index(db, Number(lastInsertRowid), { terms: values[27] as string, length: values[28] as number })
}

/** Writes a memory over its row and keeps the full-text index and the sums for BM25 in step. Dead memories are not indexed. */
export function updateRow(db: Database, memory: Memory): void {
  const old = db.query("select * from memory where id = ?").get(memory.id) as MemoryRow
  if (isIndexed(memoryFromRow(old))) {
    db.query("insert into memory_fts (memory_fts, rowid, terms) values ('delete', ?, ?)").run(old.seq, old.terms)
    countIndexed(db, -1, -old.length)
  }
  const values = rowValues(memory, scopeKey(db, memory))
  db.query(UPDATE).run(...values.slice(1), memory.id)
  if (isIndexed(memory)) index(db, old.seq, { terms: values[27] as string, length: values[28] as number })
}

export function recordHistory(db: Database, { memory, op, at }: { memory: Memory; op: string; at: number }): void {
  db.query("insert into memory_history (memory_id, at, op, before) values (?, ?, ?, ?)").run(memory.id, at, op, JSON.stringify(memory))
}

function isIndexed(memory: Memory): boolean {
  return !memory.tombstone && memory.superseded_by === null
}

function index(db: Database, seq: number, { terms, length }: { terms: string; length: number }): void {
  db.query("insert into memory_fts (rowid, terms) values (?, ?)").run(seq, terms)
  countIndexed(db, 1, length)
}

function countIndexed(db: Database, docs: number, terms: number): void {
  db.query("update site set v = v + case k when 'docs' then ? else ? end where k in ('docs', 'terms')").run(docs, terms)
}

function rowValues(memory: Memory, key: string): (string | number | bigint | null)[] {
  const terms = analyse([memory.text, ...memory.aliases, ...memory.tags, memory.subject ?? ""].join("\n")).map((term) => scopedTerm(key, term))
  return [
    memory.id, memory.text, memory.kind, memory.scope, memory.project, memory.tool, memory.actor, memory.session, memory.subject,
    JSON.stringify(memory.aliases), JSON.stringify(memory.tags), memory.confidence, memory.benefit, memory.consistency, memory.pinned ? 1 : 0,
    memory.created_at, memory.updated_at, memory.ttl_ms, memory.expires_at, memory.superseded_by, memory.tombstone ? 1 : 0, memory.count,
    memory.site_id, memory.lamport, memory.source, JSON.stringify(memory.meta), key, terms.join(" "), terms.length,
    textHash({ key, tool: memory.tool, text: memory.text }),
  ]
}

/** 63 bits, so that SQLite keeps it as a plain integer. */
export function textHash({ key, tool, text }: { key: string; tool: string | null; text: string }): bigint {
  return Bun.hash.wyhash(`${key}\0${tool ?? ""}\0${text}`) >> 1n
}
