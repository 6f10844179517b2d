import { constants, Database } from "bun:sqlite"
import type { Paths } from "../config/paths.ts"
import { NswrapError } from "../errors.ts"
import { fileExists } from "../system/libc.ts"

/** The schema this binary writes; `PRAGMA user_version` of the database. Equals the number of migrations. */
export const SCHEMA_VERSION = 1
const WRITE_PATIENCE_MS = 30_000
const READ_PATIENCE_MS = 50

export type Opened = { state: "ready"; db: Database } | { state: "absent" | "outdated" | "newer" | "unreadable"; reason: string }

/**
 * Opens the memories for reading, for the wrapper: never creates, never migrates, waits 50 ms at most for a lock.
 * In a directory that cannot be written SQLite cannot make the shared-memory file that WAL needs; a database whose
 * WAL is empty is then still readable as an immutable file.
 */
export function openForReading(paths: Pick<Paths, "database">): Opened {
  if (!fileExists(paths.database)) return { state: "absent", reason: "no memories yet" }
  try {
    return checkVersion(new Database(paths.database, { readonly: true }), paths.database)
  } catch (error) {
    if (fileExists(`${paths.database}-wal`)) return unreadable(paths.database, error)
    try {
      return checkVersion(new Database(`file:${encodeURI(paths.database)}?immutable=1`, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI), paths.database)
    } catch {
      return unreadable(paths.database, error)
    }
  }
}

/**
 * Runs `work` in one IMMEDIATE transaction. Under synchronous=FULL many writers starve each other past any single busy
 * time-out (SQLite's lock is not fair), so a busy database is asked again, with jitter, for half a minute.
 */
export function inTransaction<T>(db: Database, work: () => T): T {
  if (db.inTransaction) return work()
  const deadline = Date.now() + WRITE_PATIENCE_MS
  for (;;) {
    try {
      db.run("begin immediate")
      break
    } catch (error) {
      if (!isBusy(error)) throw writeError(error)
      if (Date.now() > deadline) throw new NswrapError("unavailable", "the memories are locked by another process for more than 30 s; nothing was stored: try again")
      Bun.sleepSync(1 + Math.random() * 20)
    }
  }
  try {
    const result = work()
    db.run("commit")
    return result
  } catch (error) {
    if (db.inTransaction) db.run("rollback")
    throw writeError(error)
  }
}

function checkVersion(db: Database, path: string): Opened {
  db.run(`pragma busy_timeout = ${READ_PATIENCE_MS}`)
  const found = (db.query("pragma user_version").get() as { user_version: number }).user_version
  if (found === SCHEMA_VERSION) return { state: "ready", db }
  db.close()
  if (found > SCHEMA_VERSION) return { state: "newer", reason: newerSchema(path, found) }
  return { state: "outdated", reason: `${path} is of an older nswrap (schema ${found}); any command that writes, such as nswrap doctor, brings it up to date` }
}

export function newerSchema(path: string, found: number): string {
  return `${path} is of a newer nswrap (schema ${found}, this binary knows ${SCHEMA_VERSION}); update this binary`
}

export function isBusy(error: unknown): boolean {
  return String((error as { code?: string }).code).startsWith("SQLITE_BUSY")
}

function unreadable(path: string, error: unknown): Opened {
  return { state: "unreadable", reason: `${path} cannot be read (${error instanceof Error ? error.message : error})` }
}

/** SQLite's own words for a full disk or a read-only home say neither the file nor the remedy. */
function writeError(error: unknown): unknown {
  const code = String((error as { code?: string }).code)
  if (code.startsWith("SQLITE_FULL")) return new NswrapError("unavailable", "the disk is full; nothing was stored: free some space and try again")
  if (code.startsWith("SQLITE_READONLY")) return new NswrapError("unavailable", "the memories cannot be written (read-only); nothing was stored: check the permissions with nswrap doctor")
  if (code.startsWith("SQLITE_IOERR")) return new NswrapError("unavailable", `the disk reported an error (${(error as Error).message}); nothing was stored`)
  if (code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB")) return new NswrapError("unavailable", "the database is damaged; nothing was stored: nswrap doctor says what can be done")
  return error
}
