import type { Database } from "bun:sqlite"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Paths, resolvePaths } from "../../src/config/paths.ts"
import { openForWriting } from "../../src/store/create.ts"

/** A home of its own with open memories; `close` removes it. */
export async function newHome(): Promise<{ directory: string; paths: Paths; db: Database; close: () => void }> {
  const directory = mkdtempSync(join(tmpdir(), "nswrap-home-"))
  const paths = resolvePaths({ NS_HOME: directory })
  const db = await openForWriting(paths)
  return {
    directory, paths, db,
    close() {
      db.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** A project by name alone, as an import makes it. */
export function newProject(db: Database, name: string): { seq: number; id: string; name: string } {
  const id = Bun.randomUUIDv7()
  db.query("insert into project (id, name, created_at) values (?, ?, 0)").run(id, name)
  return db.query("select seq, id, name from project where id = ?").get(id) as { seq: number; id: string; name: string }
}
