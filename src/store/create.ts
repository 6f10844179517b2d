import { Database } from "bun:sqlite"
import { chmodSync, copyFileSync, existsSync, mkdirSync, openSync, closeSync } from "node:fs"
import { dirname } from "node:path"
import type { Paths } from "../config/paths.ts"
import { NswrapError } from "../errors.ts"
import { fileSystemType } from "../system/libc.ts"
import { inTransaction, isBusy, newerSchema, SCHEMA_VERSION } from "./database.ts"
import { migrations } from "./migrations.ts"

const NETWORK_FILE_SYSTEMS = new Set(["nfs", "cifs", "smb", "smb2", "afs", "9p", "ceph", "fuse", "lustre", "gpfs", "coda"])

/**
 * Opens the memories for writing: creates them (0600 in a 0700 directory), brings an older schema up to date after a
 * backup, and syncs every commit before it is acknowledged. The caller closes it.
 * @throws outdated when the database is of a newer nswrap, unavailable when it cannot be opened or is no database
 */
export async function openForWriting(paths: Paths): Promise<Database> {
  try {
    createFile(paths.database)
    const db = new Database(paths.database, { readwrite: true, create: true, strict: true })
    db.run("pragma busy_timeout = 5000")
    const version = schemaVersion(db)
    if (version > SCHEMA_VERSION) throw new NswrapError("outdated", newerSchema(paths.database, version))
    setJournal(db, journalFor(fileSystemType(paths.data)))
    db.run("pragma synchronous = full")
    db.run("pragma foreign_keys = on")
    if (version < SCHEMA_VERSION) migrate(db, paths, version)
    return db
  } catch (error) {
    if (error instanceof NswrapError) throw error
    const code = String((error as { code?: string }).code)
    if (code.startsWith("SQLITE_NOTADB") || code.startsWith("SQLITE_CORRUPT"))
      throw new NswrapError("unavailable", `${paths.database} is damaged or no database; it was left as it is. Move it away and restore a copy from ${paths.backups} or an export`)
    throw new NswrapError("unavailable", `${paths.database} cannot be opened for writing (${(error as Error).message}); nswrap doctor checks the permissions`)
  }
}

/** WAL keeps its index in shared memory, which machines sharing a network file system do not share. */
export function journalFor(fileSystem: string | null): "wal" | "delete" {
  return NETWORK_FILE_SYSTEMS.has(fileSystem ?? "") ? "delete" : "wal"
}

/** SQLite gives -wal and -shm the mode of the database, so the database is made 0600 before SQLite sees it. */
function createFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if (!existsSync(path)) closeSync(openSync(path, "a", 0o600))
}

function setJournal(db: Database, journal: "wal" | "delete"): void {
  const deadline = Date.now() + 10_000
  for (;;) {
    try {
      // Changing the mode needs the database for itself; when it is so already, this only reads.
      db.run(`pragma journal_mode = ${journal}`)
      return
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline) throw error
      Bun.sleepSync(1 + Math.random() * 20)
    }
  }
}

function migrate(db: Database, paths: Paths, from: number): void {
  const isEmpty = db.query("select 1 from sqlite_schema limit 1").get() === null
  if (!isEmpty) backUp(db, paths, from)
  inTransaction(db, () => {
    // Another process may have been faster while this one waited for the lock.
    for (const sql of migrations.slice(schemaVersion(db))) db.run(sql)
    db.run(`pragma user_version = ${SCHEMA_VERSION}`)
    db.run("insert or ignore into site values ('site_id', ?), ('lamport', 0), ('docs', 0), ('terms', 0)", [Bun.randomUUIDv7()])
  })
}

function backUp(db: Database, paths: Paths, from: number): void {
  mkdirSync(paths.backups, { recursive: true, mode: 0o700 })
  const copy = `${paths.backups}/memory-schema${from}-${Date.now()}.db`
  try {
    db.run("vacuum into ?", [copy])
  } catch {
    db.run("pragma wal_checkpoint(truncate)")
    copyFileSync(paths.database, copy)
  }
  chmodSync(copy, 0o600)
}

function schemaVersion(db: Database): number {
  return (db.query("pragma user_version").get() as { user_version: number }).user_version
}
