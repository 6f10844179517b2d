import { Database } from "bun:sqlite"
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import type { Paths } from "../config/paths.ts"
import { NswrapError } from "../errors.ts"
import type { Memory } from "../memory/memory.ts"
import { inTransaction, isBusy } from "./database.ts"
import { findMemory, historyOf } from "./memories.ts"

const PATIENCE_MS = 30_000

/**
 * Removes a text from everything nswrap wrote: the memory and every other memory of exactly the same text, their older
 * versions, proposals, full-text index, write-ahead log, the database's free pages, activity, run log, rendered
 * contexts and backups. It cannot be undone. Files that the user exported are not ours to touch.
 * @returns how many memories and how many files were cleaned
 * @throws unavailable when a reader keeps the old log alive for 30 s; SQLite removes it when that process ends
 */
export function purgeMemory(paths: Paths, db: Database, id: string): { memories: number; files: number } {
  const memory = findMemory(db, id)
  const texts = [...new Set([memory.text, ...historyOf(db, memory.id).map(({ before }) => before.text)])]
  // A run that injected it names the words that matched.
  const traces = [...texts, memory.id]
  // Files first: when a step fails, the memory is still there, and the same command can be given again.
  const files = purgeContexts(paths) + purgeRuns(paths, traces) + purgeActivity(paths, traces) + purgeBackups(paths, texts, memory.id)
  const memories = purgeRows(db, texts, memory.id)
  purgePages(db)
  // A run that began meanwhile may have rendered the text once more.
  purgeContexts(paths)
  return { memories, files: files + 1 }
}

function purgeRows(db: Database, texts: string[], id: string): number {
  db.run("pragma secure_delete = on")
  return inTransaction(db, () => {
    const list = JSON.stringify(texts)
    const doomed = db
      .query("select seq, id, terms, tombstone, superseded_by from memory where id = ?1 or text in (select value from json_each(?2))")
      .all(id, list) as (Pick<Memory, "id" | "superseded_by"> & { seq: number; terms: string; tombstone: number })[]
    for (const row of doomed) {
      if (row.tombstone === 0 && row.superseded_by === null)
        db.query("insert into memory_fts (memory_fts, rowid, terms) values ('delete', ?, ?)").run(row.seq, row.terms)
      // What this memory superseded stays superseded: its pointer now leads nowhere, and that hides it still.
      db.query("delete from memory where seq = ?").run(row.seq)
      db.query("delete from memory_history where memory_id = ?").run(row.id)
      db.query("delete from memory_link where older = ?1 or newer = ?1").run(row.id)
    }
    db.query("delete from memory_history where before ->> '$.text' in (select value from json_each(?))").run(list)
    db.query("delete from proposal where text in (select value from json_each(?))").run(list)
    // An FTS delete only marks; merging all segments into one drops the words themselves.
    db.run("insert into memory_fts (memory_fts) values ('optimize')")
    db.run("update site set v = (select count(*) from memory where tombstone = 0 and superseded_by is null) where k = 'docs'")
    db.run("update site set v = (select coalesce(sum(length), 0) from memory where tombstone = 0 and superseded_by is null) where k = 'terms'")
    return doomed.length
  })
}

/** Rewrites the database without its free pages and empties the write-ahead log. */
function purgePages(db: Database): void {
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    try {
      db.run("vacuum")
      const { busy } = db.query("pragma wal_checkpoint(truncate)").get() as { busy: number }
      if (busy === 0) return
    } catch (error) {
      if (!isBusy(error)) throw error
    }
    if (Date.now() > deadline) {
      throw new NswrapError("unavailable", "the text is removed, but another process still reads the database, whose old log goes when that process ends")
    }
    Bun.sleepSync(50)
  }
}

/** Rendered contexts cut and indent a text, so none is searched: all go, and the next run renders its own again. */
function purgeContexts(paths: Paths): number {
  if (!existsSync(paths.contexts)) return 0
  const names = readdirSync(paths.contexts)
  for (const name of names) rmSync(`${paths.contexts}/${name}`, { recursive: true, force: true })
  return names.length
}

/** Also what a command that folds the log was about to take in when it was killed (`runs.jsonl.PID`). */
function purgeRuns(paths: Paths, texts: string[]): number {
  let cleaned = 0
  for (const name of existsSync(paths.data) ? readdirSync(paths.data) : []) {
    const file = `${paths.data}/${name}`
    if (!file.startsWith(paths.runs)) continue
    const lines = readFileSync(file, "utf8").split("\n")
    const kept = lines.filter((line) => !forms(texts).some((form) => line.includes(form)))
    if (kept.length === lines.length) continue
    writeFileSync(`${paths.data}/purged-runs`, kept.join("\n"), { mode: 0o600 })
    renameSync(`${paths.data}/purged-runs`, file)
    cleaned++
  }
  return cleaned
}

function purgeActivity(paths: Paths, texts: string[]): number {
  if (!existsSync(paths.activity)) return 0
  const db = new Database(paths.activity, { readwrite: true, create: false })
  try {
    db.run("pragma busy_timeout = 5000")
    db.run("pragma secure_delete = on")
    const tables = db.query("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' and sql not like 'create virtual%'").all() as { name: string }[]
    let removed = 0
    for (const { name } of tables) {
      const columns = db.query(`select name from pragma_table_info(?)`).all(name) as { name: string }[]
      for (const column of columns) {
        for (const form of forms(texts)) removed += db.query(`delete from "${name}" where instr(cast("${column.name}" as text), ?)`).run(form).changes
      }
    }
    if (removed === 0) return 0
    purgePages(db)
    return 1
  } catch (error) {
    if (error instanceof NswrapError) throw error
    // It can be rebuilt; a text that must go cannot be left in it.
    for (const suffix of ["", "-wal", "-shm"]) rmSync(paths.activity + suffix, { force: true })
    return 1
  } finally {
    db.close()
  }
}

/** A backup of an older schema that cannot be cleaned is removed. */
function purgeBackups(paths: Paths, texts: string[], id: string): number {
  if (!existsSync(paths.backups)) return 0
  let cleaned = 0
  for (const name of readdirSync(paths.backups)) {
    const file = `${paths.backups}/${name}`
    try {
      const db = new Database(file, { readwrite: true, create: false })
      try {
        purgeRows(db, texts, id)
        purgePages(db)
        db.run("pragma journal_mode = delete")
      } finally {
        db.close()
      }
      chmodSync(file, 0o600)
    } catch {
      rmSync(file, { force: true, recursive: true })
    }
    cleaned++
  }
  return cleaned
}

/** As it stands, and as JSON writes it. */
function forms(texts: string[]): string[] {
  return [...new Set(texts.flatMap((text) => [text, JSON.stringify(text).slice(1, -1)]))]
}
