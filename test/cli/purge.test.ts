import { Database } from "bun:sqlite"
import { expect, test } from "bun:test"
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { newShop, type Remembered } from "./shop.ts"

const WORD = "zanzibarquux"
const SECRET = `the ${WORD} account opens\nwith "tulip-77" twice`

/** Every file under a directory whose bytes hold the needle, in any case. */
function filesWith(directory: string, needle: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(directory, name)).isFile() && readFileSync(join(directory, name)).toString("latin1").toLowerCase().includes(needle))
    .sort()
}

test("forget --purge leaves no byte of the text in any file of the home", () => {
  const { nswrap, json, remember, nsHome, shop } = newShop()
  for (let i = 0; i < 200; i++) if (i % 50 === 0) remember(`an innocent memory number ${i} about the account`)
  const memory = remember(SECRET, "--alias", "tulip-77")
  // Into history, another scope, the inbox, the run log, the activity database, a context file, two backups and the log.
  nswrap(["edit", memory.short_id, "--text", `${SECRET} now`])
  nswrap(["pin", memory.short_id])
  nswrap(["remember", SECRET, "--scope", "global"])
  nswrap(["remember", SECRET], { env: { NSWRAP_TOOL: "claude" } })
  nswrap(["--tool", "claude", "--", "true", `what about the ${WORD} account`])
  nswrap(["last"])
  nswrap(["--tool", "claude", "--", "true", `what about the ${WORD} account`])
  mkdirSync(join(nsHome, "backups"), { recursive: true, mode: 0o700 })
  const db = new Database(join(nsHome, "memory.db"))
  db.run("vacuum into ?", [join(nsHome, "backups", "memory-schema1-1.db")])
  db.close()
  writeFileSync(join(nsHome, "backups", "damaged.db"), `SQLite format 3\0 ${WORD}`)
  copyFileSync(join(nsHome, "memory.db"), join(nsHome, "backups", "older.db"))
  const before = filesWith(nsHome, WORD)
  expect(before).toContain("memory.db")
  expect(before).toContain("backups/memory-schema1-1.db")
  expect(before.filter((name) => name.startsWith("context/"))).not.toEqual([])

  const ran = nswrap(["forget", "--purge", "--yes", memory.short_id], { cwd: shop })
  expect(ran).toMatchObject({ status: 0, stderr: "" })
  expect(filesWith(nsHome, WORD)).toEqual([])
  expect(filesWith(nsHome, "tulip-77")).toEqual([])
  expect(json<Remembered[]>(["list", "--dead"])).toEqual([])
  expect(json<unknown[]>(["inbox"])).toEqual([])
  // What was not to be purged is all there, can be found, and the index is whole.
  expect(json<Remembered[]>(["recall", "innocent memory account"])).toHaveLength(4)
  const after = new Database(join(nsHome, "memory.db"))
  after.run("insert into memory_fts (memory_fts) values ('integrity-check')")
  expect(after.query("select k, v from site where k in ('docs', 'terms') order by k").all()).toEqual([
    { k: "docs", v: 4 }, { k: "terms", v: (after.query("select sum(length) as v from memory").get() as { v: number }).v },
  ])
  after.close()
  const backup = new Database(join(nsHome, "backups", "memory-schema1-1.db"), { readonly: true })
  expect(backup.query("select count(*) as n from memory").get()).toEqual({ n: 4 })
  backup.close()
})

test("forget --purge of a forgotten memory leaves nothing in the full-text index either", () => {
  const { nswrap, remember, nsHome } = newShop()
  remember("something else stays")
  const memory = remember(SECRET)
  nswrap(["forget", memory.short_id])
  expect(nswrap(["forget", "--purge", "-y", memory.short_id]).status).toBe(0)
  expect(filesWith(nsHome, WORD)).toEqual([])
})

test("forget --purge empties the write-ahead log that another process keeps alive", async () => {
  const { nswrap, remember, nsHome } = newShop()
  remember("something else stays")
  // In a process of its own: reading the files here would drop the locks of a connection in this one.
  const script = `const db = new (require("bun:sqlite").Database)(${JSON.stringify(join(nsHome, "memory.db"))}, { readonly: true }); db.query("select * from memory").all(); console.log("open"); setTimeout(() => db.close(), 15000)`
  const idle = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" })
  await idle.stdout.getReader().read()
  const memory = remember(SECRET)
  expect(filesWith(nsHome, WORD)).toContain("memory.db-wal")
  expect(nswrap(["forget", "--purge", "-y", memory.short_id]).status).toBe(0)
  expect(filesWith(nsHome, WORD)).toEqual([])
  idle.kill()
  await idle.exited
})

test("what a purged memory superseded stays superseded", () => {
  const { nswrap, json, remember } = newShop()
  const older = remember("port 5433")
  const { newer } = json<{ newer: Remembered }>(["supersede", older.short_id, `port 5434 for ${WORD}`])
  nswrap(["forget", "--purge", "--yes", newer.short_id])
  expect(json<unknown[]>(["list"])).toEqual([])
  expect(nswrap(["show", older.short_id]).stdout).toContain("(purged)")
})
