import { Database } from "bun:sqlite"
import type { Paths } from "../config/paths.ts"
import { appendFile, makeDirectory, readFileText, removeFile } from "../system/libc.ts"

/** What one wrapped run did. Never holds the prompt's text. */
export interface Run {
  /** Start, epoch ms. */
  t: number
  tool: string | null
  program: string
  project: string | null
  mode: string
  channel: string
  /** Ids of the stable memories injected. */
  stable: string[]
  /** Ids and scores of the recalled memories injected. */
  recalled: { id: string; score: number; why: string[] }[]
  stable_tokens: number
  recalled_tokens: number
  /** Milliseconds of each stage, and of all before hand-over. */
  stages: Record<string, number>
  /** Why the run started without context, or null. */
  reason: string | null
}

const RUNS_BYTES_MAX = 4 * 1024 * 1024
const RUNS_KEPT = 10_000

/** One append, never waits on a lock. False when it could not be written, which is no reason not to start the command. */
export function recordRun(paths: Paths, run: Run): boolean {
  return appendFile(paths.runs, Buffer.from(`${JSON.stringify(run)}\n`), 0o600)
}

/** The last runs, newest first. Folds the appended lines into the activity database on the way. */
export async function lastRuns(paths: Paths, limit: number): Promise<Run[]> {
  const db = await openActivity(paths)
  if (db === null) return []
  try {
    await foldRuns(db, paths)
    const rows = db.query("select run from run order by t desc, seq desc limit ?").all(limit) as { run: string }[]
    return rows.map(({ run }) => JSON.parse(run) as Run)
  } finally {
    db.close()
  }
}

/** Samples can be lost: this file is synced by SQLite only at checkpoints, and made anew when it is damaged. */
async function openActivity(paths: Paths): Promise<Database | null> {
  if (!makeDirectory(paths.data, 0o700)) return null
  for (const attempt of [1, 2]) {
    try {
      appendFile(paths.activity, new Uint8Array(), 0o600)
      const db = new Database(paths.activity, { create: true })
      db.run("pragma busy_timeout = 2000")
      db.run("pragma journal_mode = wal")
      db.run("pragma synchronous = normal")
      db.run("create table if not exists run (seq integer primary key, t integer not null, run text not null) strict")
      return db
    } catch {
      if (attempt === 2) return null
      for (const suffix of ["", "-wal", "-shm"]) removeFile(paths.activity + suffix)
    }
  }
  return null
}

/** The lines are taken by renaming the file, so that a run appending meanwhile starts a new one and nothing is counted twice. */
async function foldRuns(db: Database, paths: Paths): Promise<void> {
  const taken = `${paths.runs}.${process.pid}`
  const { renameSync } = await import("node:fs")
  try {
    renameSync(paths.runs, taken)
  } catch {
    return
  }
  const lines = (readFileText(taken, RUNS_BYTES_MAX) ?? "").split("\n").filter((line) => line !== "")
  db.transaction(() => {
    const insert = db.query("insert into run (t, run) values (?, ?)")
    for (const line of lines) {
      try {
        insert.run((JSON.parse(line) as Run).t, line)
      } catch {
        // A line torn by a full disk is a sample less.
      }
    }
    db.query("delete from run where seq <= (select max(seq) from run) - ?").run(RUNS_KEPT)
  }).immediate()
  removeFile(taken)
}
