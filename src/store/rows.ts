import type { Memory, Scope } from "../memory/memory.ts"

/** A row of table `memory` as SQLite gives it. */
export interface MemoryRow {
  seq: number
  id: string
  text: string
  kind: string
  scope: Scope
  project: string | null
  tool: string | null
  actor: string
  session: string | null
  subject: string | null
  aliases: string
  tags: string
  confidence: number
  benefit: number | null
  consistency: number | null
  pinned: number
  created_at: number
  updated_at: number
  ttl_ms: number | null
  expires_at: number | null
  superseded_by: string | null
  tombstone: number
  count: number
  site_id: string
  lamport: number
  source: string
  meta: string
  scope_key: string
  terms: string
  length: number
}

export function memoryFromRow(row: MemoryRow): Memory {
  const { seq: _seq, scope_key: _key, terms: _terms, length: _length, text_hash: _hash, ...own } = row as MemoryRow & { text_hash?: unknown }
  return {
    ...own,
    aliases: row.aliases === "[]" ? [] : (JSON.parse(row.aliases) as string[]),
    tags: row.tags === "[]" ? [] : (JSON.parse(row.tags) as string[]),
    meta: row.meta === "{}" ? {} : (JSON.parse(row.meta) as Record<string, unknown>),
    pinned: row.pinned === 1,
    tombstone: row.tombstone === 1,
  }
}

/** The scope of one session as one word. */
export function sessionKey(session: string): string {
  return `s${Bun.hash.wyhash(session).toString(16)}`
}

/** A term as the full-text index holds it. */
export function scopedTerm(key: string, term: string): string {
  return `${key}_${term}`
}
