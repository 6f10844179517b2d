import { Database } from "bun:sqlite"
import { createHash } from "node:crypto"
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { NswrapError } from "../errors.ts"
import type { ImportedMemory, ImportedPersona } from "../store/import.ts"

export interface NeuralSyncHome {
  database: string
  memories: ImportedMemory[]
  personas: ImportedPersona[]
  /** Rows that were not taken: forgotten there, expired, or without text. */
  skipped: { forgotten: number; expired: number; empty: number }
}

interface Row {
  id: string
  kind: string | null
  text: string | null
  scope: string | null
  tool: string | null
  tags: string | null
  confidence: number | null
  benefit: number | null
  consistency: number | null
  created_at: number | null
  updated_at: number | null
  ttl_ms: number | null
  expires_at: number | null
  tombstone: number | null
  source: string | null
  meta: string | null
}

/** What oplog.jsonl knows better than the database. */
interface OperationLog {
  personas: { text: string; at: number; lamport: number }[]
  /** As it was when it was added; recall raised it in the database each time. */
  consistency: Map<string, number | null>
}

const KIND_LENGTH_MAX = 40
const COPY_ATTEMPTS = 5
const LOG_BYTES_MAX = 256 * 1024 * 1024

/**
 * Reads the memories of a NeuralSync v2 installation. Its files are only ever read: SQLite opens a copy, because opening
 * a database in WAL mode, even for reading, writes beside it.
 * @param directory as the user named it; null = ~/.neuralsync
 * @throws not-found, invalid
 */
export function readNeuralSync(directory: string | null, { home, now }: { home: string; now: number }): NeuralSyncHome {
  const place = directory === null ? join(home, ".neuralsync") : resolve(directory)
  const { database, log } = findFiles(place, { home, isNamed: directory !== null })
  const operations = readOperations(log)
  return withCopy(database, (db) => {
    const tables = db.query("select name from sqlite_master where type = 'table'").values().flat()
    if (!tables.includes("items")) throw new NswrapError("invalid", `${database} is no NeuralSync database: it has no table of items`)
    const rows = db.query("select * from items order by created_at, rowid").all() as Row[]
    const skipped = { forgotten: 0, expired: 0, empty: 0 }
    const memories: ImportedMemory[] = []
    for (const row of rows) {
      if (row.tombstone) skipped.forgotten++
      else if (row.expires_at !== null && row.expires_at <= now) skipped.expired++
      else if (!row.text?.trim()) skipped.empty++
      else memories.push(memoryOf(row, operations))
    }
    const persona = personaOf(db, tables, operations)
    return { database, memories, personas: persona === null ? [] : [persona], skipped }
  })
}

/** A directory that the user named is believed; for the default one its config.yaml says where the files are. */
function findFiles(place: string, { home, isNamed }: { home: string; isNamed: boolean }): { database: string; log: string } {
  const config = readConfig(join(place, "config.yaml"))
  const configured = (key: string) => {
    const path = config[key]
    return typeof path === "string" && path !== "" ? resolve(place, path.replace(/^~(?=\/)/, home)) : null
  }
  const choose = (own: string, other: string | null) => {
    const candidates = (isNamed ? [own, other] : [other, own]).filter((path) => path !== null)
    return candidates.find((path) => existsSync(path)) ?? own
  }
  const database = choose(place.endsWith(".db") ? place : join(place, "memory.db"), configured("db_path"))
  if (!existsSync(database)) throw new NswrapError("not-found", `no NeuralSync memories in ${place} (no memory.db); say where: nswrap import --from neuralsync DIR`)
  return { database, log: choose(join(database, "..", "oplog.jsonl"), configured("oplog_path")) }
}

function readConfig(path: string): Record<string, unknown> {
  try {
    const config: unknown = Bun.YAML.parse(readFileSync(path, "utf8"))
    return typeof config === "object" && config !== null ? (config as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function withCopy<T>(database: string, read: (db: Database) => T): T {
  const scratch = mkdtempSync(join(tmpdir(), "nswrap-neuralsync-"))
  try {
    const copy = copyQuietly(database, scratch)
    const db = new Database(copy, { readwrite: true, create: false })
    try {
      return read(db)
    } finally {
      db.close()
    }
  } catch (error) {
    if (/^SQLITE_(NOTADB|CORRUPT)/.test(String((error as { code?: string }).code)))
      throw new NswrapError("invalid", `${database} is damaged or no SQLite database; nothing was imported`)
    throw error
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** The database with what is not yet merged into it (-wal, -journal). Copied again when its server wrote meanwhile. */
function copyQuietly(database: string, scratch: string): string {
  const parts = ["", "-wal", "-journal"]
  const state = () => parts.map((part) => (existsSync(database + part) ? statSync(database + part) : null)).map((file) => `${file?.size} ${file?.mtimeMs}`).join()
  for (let attempt = 1; ; attempt++) {
    const copy = join(scratch, `memory-${attempt}.db`)
    const before = state()
    for (const part of parts) {
      try {
        copyFileSync(database + part, copy + part)
      } catch (error) {
        if (part === "" || (error as { code?: string }).code !== "ENOENT") throw new NswrapError("unavailable", `${database + part} cannot be read (${(error as Error).message})`)
      }
    }
    if (state() === before) return copy
    if (attempt === COPY_ATTEMPTS) throw new NswrapError("unavailable", `${database} changes while it is read; stop the NeuralSync server and try again`)
    Bun.sleepSync(100)
  }
}

function memoryOf(row: Row, { consistency }: OperationLog): ImportedMemory {
  const created = validTime(row.created_at) ?? validTime(row.updated_at)
  const { scope, project, session } = scopeOf(row.scope)
  return {
    at: row.id,
    project,
    memory: {
      id: idOf(row.id, created ?? 0),
      text: row.text!,
      kind: kindOf(row.kind),
      scope,
      session,
      tool: row.tool?.trim() || null,
      // What its wrapper picked out of a tool's output was never said by the user.
      actor: row.source === "nswrap" ? row.tool?.trim() || "neuralsync" : "user",
      tags: tagsOf(row.tags),
      confidence: Math.min(1, Math.max(0, row.confidence ?? 0.8)),
      benefit: row.benefit,
      consistency: consistency.has(row.id) ? consistency.get(row.id)! : row.consistency,
      // updated_at is when it was last recalled: no age.
      ...(created === null ? {} : { created_at: created }),
      ttl_ms: row.ttl_ms,
      expires_at: row.expires_at,
      source: "neuralsync",
      meta: { ...objectOf(row.meta), neuralsync: { id: row.id, scope: row.scope, source: row.source } },
    },
  }
}

/** `global`, `session:ID`, `project:NAME`; any other scope was somebody's own word for a project. */
function scopeOf(given: string | null): { scope: "global" | "project" | "session"; project: string | null; session: string | null } {
  const scope = given?.trim() ?? ""
  if (/^(global|any|)$/i.test(scope)) return { scope: "global", project: null, session: null }
  const [, prefix, name] = /^(project|session):\s*(.+)$/is.exec(scope) ?? []
  if (prefix?.toLowerCase() === "session") return { scope: "session", project: null, session: name! }
  return { scope: "project", project: name ?? scope, session: null }
}

/** UUIDv7 made of the age and the old id, so that the same row is the same memory at every import. */
function idOf(id: string, created: number): string {
  const hash = createHash("sha256").update(`neuralsync\0${id}`).digest()
  const hex = created.toString(16).padStart(12, "0") + hash.toString("hex")
  const variant = "89ab"[hash[9]! & 3]
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

function kindOf(kind: string | null): string {
  const word = (kind ?? "").trim().toLowerCase().replace(/[^\p{L}\p{N}_.-]+/gu, "-").replace(/^[^\p{L}\p{N}]+/u, "").slice(0, KIND_LENGTH_MAX)
  return word === "" ? "fact" : word
}

/** A list as JSON text. */
function tagsOf(tags: string | null): string[] {
  const list = parse(tags)
  return Array.isArray(list) ? list.filter((tag) => typeof tag === "string" && tag.trim() !== "") : []
}

function objectOf(json: string | null): Record<string, unknown> {
  const value = parse(json)
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

function parse(json: string | null): unknown {
  try {
    return JSON.parse(json ?? "null")
  } catch {
    return null
  }
}

function validTime(at: number | null): number | null {
  return at !== null && Number.isFinite(at) && at > 0 && at < 2 ** 48 ? Math.floor(at) : null
}

/** The database's persona, unless the operation log holds a later one (the database can lose it). */
function personaOf(db: Database, tables: unknown[], { personas }: OperationLog): ImportedPersona | null {
  const stored = tables.includes("kv") ? (db.query("select v from kv where k = 'persona'").get() as { v: string } | null) : null
  const { text, lamport } = objectOf(stored?.v ?? null)
  const last = personas.toSorted((a, b) => a.at - b.at).at(-1)
  const inDatabase = typeof text === "string" && text.trim() !== "" ? text : null
  const logged = personas.findLast((persona) => persona.text === inDatabase)
  // A persona that came from another machine is in the database only.
  const isLater = last !== undefined && (inDatabase === null || logged !== undefined || last.lamport > Number(lamport ?? 0))
  const chosen = isLater ? last : inDatabase === null ? null : { text: inDatabase, at: null }
  return chosen === null || chosen.text.trim() === "" ? null : { at: "persona", text: chosen.text, project: null, created_at: validTime(chosen.at), actor: "neuralsync" }
}

function readOperations(path: string): OperationLog {
  const log: OperationLog = { personas: [], consistency: new Map() }
  if (!existsSync(path) || statSync(path).size > LOG_BYTES_MAX) return log
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const { op, id, clock_ts, lamport, payload } = objectOf(line)
    const { text, consistency } = typeof payload === "object" && payload !== null ? (payload as Record<string, unknown>) : {}
    if (op === "persona_set" && typeof text === "string") log.personas.push({ text, at: Number(clock_ts ?? 0), lamport: Number(lamport ?? 0) })
    if (op === "add" && typeof id === "string") log.consistency.set(id, typeof consistency === "number" ? consistency : null)
  }
  return log
}
