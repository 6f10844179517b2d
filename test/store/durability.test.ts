import { Database } from "bun:sqlite"
import { expect, test } from "bun:test"
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { resolvePaths } from "../../src/config/paths.ts"
import { openForWriting } from "../../src/store/create.ts"
import { openForReading, SCHEMA_VERSION } from "../../src/store/database.ts"
import { journalFor } from "../../src/store/create.ts"

const WRITER = join(import.meta.dir, "../fixtures/writer.ts")
const newDirectory = () => mkdtempSync(join(tmpdir(), "nswrap-durable-"))
const startWriter = (home: string, name: string, count?: number) =>
  Bun.spawn([process.execPath, WRITER, home, name, ...(count === undefined ? [] : [String(count)])], { stdout: "pipe", stderr: "inherit" })
const idsIn = async (stream: ReadableStream<Uint8Array>) => (await new Response(stream).text()).split("\n").filter((id) => id.length === 36)

test("nothing acknowledged is lost by kill -9 at any point", async () => {
  const home = newDirectory()
  const acknowledged: string[] = []
  for (let round = 0; round < 12; round++) {
    const writers = ["a", "b"].map((name) => startWriter(home, `${name}${round}`))
    await Bun.sleep(120 + Math.random() * 150)
    for (const writer of writers) writer.kill("SIGKILL")
    for (const writer of writers) acknowledged.push(...(await idsIn(writer.stdout)))
  }
  const db = new Database(resolvePaths({ NS_HOME: home }).database, { readonly: true })
  const stored = new Set((db.query("select id from memory").all() as { id: string }[]).map(({ id }) => id))
  expect(acknowledged.length).toBeGreaterThan(50)
  expect(acknowledged.filter((id) => !stored.has(id))).toEqual([])
  expect(db.query("pragma integrity_check").get()).toEqual({ integrity_check: "ok" })
  db.close()
  rmSync(home, { recursive: true })
}, 60_000)

test("8 writers at once, on a home that does not exist yet, all succeed", async () => {
  const home = join(newDirectory(), "new", "home")
  const writers = Array.from({ length: 8 }, (_, i) => startWriter(home, `w${i}`, 25))
  const ids = (await Promise.all(writers.map(({ stdout }) => idsIn(stdout)))).flat()
  expect(await Promise.all(writers.map(({ exited }) => exited))).toEqual(Array(8).fill(0))
  expect(new Set(ids).size).toBe(200)
  const db = new Database(resolvePaths({ NS_HOME: home }).database, { readonly: true })
  expect(db.query("select count(*) as n, max(lamport) as l from memory").get()).toEqual({ n: 200, l: 200 })
  db.close()
}, 60_000)

test("a memory is acknowledged only after its sync", async () => {
  if (!Bun.which("strace")) throw new Error("this test needs strace: apt-get install strace")
  const home = newDirectory()
  const trace = join(home, "trace")
  const db = await openForWriting(resolvePaths({ NS_HOME: home }))
  db.close()
  const run = Bun.spawn(["strace", "-f", "-y", "-e", "trace=pwrite64,fdatasync,fsync,write", "-o", trace, process.execPath, WRITER, home, "t", "3"], { stdout: "pipe", stderr: "ignore" })
  const ids = await idsIn(run.stdout)
  expect(ids).toHaveLength(3)
  const lines = (await Bun.file(trace).text()).split("\n")
  for (const id of ids) {
    const acknowledged = lines.findIndex((line) => line.includes("write(1") && line.includes(id.slice(0, 20)))
    const before = lines.slice(0, acknowledged)
    const lastWrite = before.findLastIndex((line) => line.includes("pwrite64(") && line.includes("memory.db-wal"))
    const lastSync = before.findLastIndex((line) => /f(data)?sync\(/.test(line) && line.includes("memory.db-wal"))
    expect(lastWrite).toBeGreaterThan(-1)
    expect(lastSync).toBeGreaterThan(lastWrite)
  }
  rmSync(home, { recursive: true })
}, 60_000)

test("an older schema is backed up before it is migrated, and a reader of it says so", async () => {
  const home = newDirectory()
  const paths = resolvePaths({ NS_HOME: home })
  const older = new Database(paths.database, { create: true })
  older.run("create table keepsake (x); insert into keepsake values (42)")
  older.run("pragma user_version = 0")
  older.close()
  expect(openForReading(paths)).toMatchObject({ state: "outdated" })
  ;(await openForWriting(paths)).close()
  const opened = openForReading(paths)
  expect(opened.state).toBe("ready")
  if (opened.state === "ready") opened.db.close()
  expect(existsSync(paths.backups)).toBe(true)
  const copy = new Database(join(paths.backups, readdirSync(paths.backups)[0]!), { readonly: true })
  expect(copy.query("select x from keepsake").get()).toEqual({ x: 42 })
  copy.close()
})

test("a newer schema is neither read nor touched", async () => {
  const home = newDirectory()
  const paths = resolvePaths({ NS_HOME: home })
  const newer = new Database(paths.database, { create: true })
  newer.run(`pragma user_version = ${SCHEMA_VERSION + 1}`)
  newer.close()
  expect(openForReading(paths)).toMatchObject({ state: "newer" })
  await expect(openForWriting(paths)).rejects.toThrow("newer nswrap")
})

test("garbage and a truncated database are told, and left as they are", async () => {
  for (const damage of ["garbage", "truncated"]) {
    const paths = resolvePaths({ NS_HOME: newDirectory() })
    ;(await openForWriting(paths)).close()
    const bytes = damage === "garbage" ? Buffer.alloc(8192, "not a database ") : Buffer.from(await Bun.file(paths.database).bytes()).subarray(0, 5000)
    for (const suffix of ["-wal", "-shm"]) rmSync(paths.database + suffix, { force: true })
    writeFileSync(paths.database, bytes)
    const opened = openForReading(paths)
    if (opened.state === "ready") {
      expect(() => opened.db.query("select count(*) from memory").get()).toThrow()
      opened.db.close()
    }
    if (damage === "garbage") await expect(openForWriting(paths)).rejects.toThrow("damaged or no database")
    expect(Buffer.from(await Bun.file(paths.database).bytes()).equals(bytes)).toBe(true)
  }
})

test("WAL is for local file systems; a network one gets a rollback journal", () => {
  expect(["ext4", "btrfs", "xfs", "tmpfs", "apfs", null].map(journalFor)).toEqual(Array(6).fill("wal"))
  expect(["nfs", "cifs", "smb2", "9p", "fuse"].map(journalFor)).toEqual(Array(5).fill("delete"))
})
