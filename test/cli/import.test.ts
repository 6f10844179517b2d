import { Database } from "bun:sqlite"
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "bun:test"
import { newShop, type Remembered } from "./shop.ts"

test("export and import carry everything to another home, byte for byte", () => {
  const here = newShop()
  here.remember("We deploy with bun build", "--kind", "decision", "--tag", "ci")
  here.remember("Answer in British English", "--scope", "global", "--pin")
  const { id } = here.remember("Old news")
  here.nswrap(["forget", id, "--yes"])
  here.nswrap(["persona", "set", "Terse. Zürich 🙂"])
  here.nswrap(["persona", "set", "--project", "shop", "Bun only"])
  const there = newShop()
  const live = here.nswrap(["export"]).stdout
  const all = here.nswrap(["export", "--all"]).stdout
  expect(live.trim().split("\n")).toHaveLength(2)
  expect(all.trim().split("\n")).toHaveLength(5)
  expect(there.nswrap(["import", "-"], { stdin: all })).toMatchObject({ status: 0, stdout: expect.stringContaining("imported: 3 new, 0 already here\n") })
  expect(there.nswrap(["export", "--all"]).stdout).toBe(all)
  expect(there.nswrap(["export"]).stdout).toBe(live)
  expect(there.nswrap(["persona", "get"]).stdout).toBe("Terse. Zürich 🙂\n")
  expect(there.nswrap(["import"], { stdin: all }).stdout).toContain("imported: 0 new, 3 already here\n")
  expect(there.nswrap(["export", "--all"]).stdout).toBe(all)
  expect(here.nswrap(["export", "--project", "shop"]).stdout.trim().split("\n")).toHaveLength(1)
  expect(here.nswrap(["export", "--project", "shpo"])).toMatchObject({ status: 1, stderr: 'nswrap: no project "shpo"; did you mean shop?\n' })
})

test("export --output writes a new file for the user alone", () => {
  const { nswrap, remember, shop } = newShop()
  remember("one")
  expect(nswrap(["export", "--output", "out.jsonl"])).toMatchObject({ status: 0, stdout: "", stderr: "nswrap: exported 1 line to out.jsonl\n" })
  expect(statSync(join(shop, "out.jsonl")).mode & 0o777).toBe(0o600)
  expect(readFileSync(join(shop, "out.jsonl"), "utf8")).toBe(nswrap(["export"]).stdout)
  expect(nswrap(["export", "--output", "out.jsonl"])).toMatchObject({ status: 1, stderr: "nswrap: out.jsonl exists already; it was not overwritten\n" })
})

test("import stores nothing when a line is bad, and says which; --skip-bad keeps the others", () => {
  const { nswrap, json, shop } = newShop()
  const lines = ['\ufeff{"text":"good","created_at":"2026-01-02T03:04:05Z"}', "", "oops", '{"text":"too sure","confidence":3}\r', '{"text":"fine","colour":"red"}']
  writeFileSync(join(shop, "notes.jsonl"), lines.join("\n"))
  const refused = nswrap(["import", "notes.jsonl"])
  expect(refused).toMatchObject({ status: 1, stdout: "" })
  expect(refused.stderr.split("\n").slice(0, 3)).toEqual([
    'nswrap: ignored fields that a memory does not have: "colour" (1)', "nswrap: line 3: is no JSON", expect.stringMatching(/^nswrap: line 4: confidence: /)])
  expect(refused.stderr).toContain("nothing was imported; 2 lines are bad")
  expect(json<unknown[]>(["list", "--all-projects"])).toEqual([])
  expect(nswrap(["import", "notes.jsonl", "--skip-bad"])).toMatchObject({ status: 0, stdout: "imported: 2 new, 0 already here, 2 refused\n" })
  expect(json<(Remembered & { created_at: number })[]>(["list", "--all-projects"])).toMatchObject([{ text: "fine" }, { text: "good", created_at: Date.UTC(2026, 0, 2, 3, 4, 5), scope: "global" }])
})

test("import --project is for lines that name none, and must exist", () => {
  const { nswrap, json, remember } = newShop()
  const stdin = '{"text":"a"}\n{"text":"b","scope":"global"}\n{"text":"c","project":"infra"}\n'
  expect(nswrap(["import", "-", "--project", "shop"], { stdin })).toMatchObject({ status: 1, stderr: expect.stringContaining('no project "shop"') })
  remember("makes the project")
  expect(nswrap(["import", "-", "--project", "shop"], { stdin }).stdout).toContain("nswrap project bind infra DIR  # 1 memory")
  expect(json<Remembered[]>(["list", "--all-projects"]).map(({ text, project_name }) => [text, project_name])).toEqual([["c", "infra"], ["b", null], ["a", "shop"], ["makes the project", "shop"]])
})

test("import takes what is binary, endless or no file for what it is", () => {
  const { nswrap, shop } = newShop()
  writeFileSync(join(shop, "binary"), new Uint8Array(100_000).map((_, at) => (at * 31) % 256))
  writeFileSync(join(shop, "endless"), `{"text":"${"x".repeat(9 << 20)}"}\n{"text":"fine"}\n`)
  expect(nswrap(["import", "binary"]).status).toBe(1)
  expect(nswrap(["import", "endless"])).toMatchObject({ status: 1, stderr: expect.stringContaining("line 1: is longer than 4 MiB") })
  expect(nswrap(["import", "endless", "--skip-bad"]).stdout).toContain("imported: 1 new")
  expect(nswrap(["import", "nowhere"])).toMatchObject({ status: 1, stderr: "nswrap: there is no file nowhere\n" })
  expect(nswrap(["import", "."])).toMatchObject({ status: 2, stderr: expect.stringContaining("--from neuralsync .") })
  expect(nswrap(["import", "--from", "mem0"])).toMatchObject({ status: 2, stderr: expect.stringContaining("it knows neuralsync") })
})

test("import --from neuralsync brings ~/.neuralsync whole, once, and says how its projects get a directory", () => {
  const { home, nswrap, json } = newShop()
  mkdirSync(join(home, ".neuralsync"))
  const source = new Database(join(home, ".neuralsync/memory.db"))
  source.run("create table items (id TEXT PRIMARY KEY, kind TEXT, text TEXT, scope TEXT, tool TEXT, tags TEXT, confidence REAL, benefit REAL, consistency REAL, vector BLOB, created_at INTEGER, updated_at INTEGER, ttl_ms INTEGER, expires_at INTEGER, tombstone INTEGER, site_id TEXT, lamport INTEGER, source TEXT, meta TEXT)")
  source.run("create table kv (k TEXT PRIMARY KEY, v TEXT)")
  source.run(`insert into kv values ('persona', '{"text":"Direct."}')`)
  const insert = source.query("insert into items (id, kind, text, scope, tags, confidence, created_at, source) values (?, ?, ?, ?, '[\"ci\"]', .9, ?, 'api')")
  insert.run("a", "fact", "Deploys happen on Fridays", "project:shop front", 1_700_000_000_000)
  insert.run("b", "preference", "Prefer pnpm", "global", 1_700_000_000_001)
  insert.run("c", "note", "TOKEN=ghp_1234567890abcdefghijklmnopqrstuvwxyz12", "global", 1_700_000_000_002)
  source.close()
  const first = nswrap(["import", "--from", "neuralsync"])
  expect(first.status).toBe(0)
  expect(first.stdout).toBe(`${home}/.neuralsync/memory.db: 3 live memories
imported: 3 new, 0 already here
persona: set
these projects have no directory yet; say where they are, and their memories appear there:
  nswrap project bind 'shop front' DIR  # 1 memory
`)
  expect(first.stderr).toMatch(/^nswrap: left out before storing: /)
  expect(nswrap(["export"]).stdout).not.toContain("ghp_1234567890")
  const before = nswrap(["export", "--all"]).stdout
  expect(nswrap(["import", "--from", "neuralsync"]).stdout).toContain("imported: 0 new, 3 already here\npersona: already here\n")
  expect(nswrap(["export", "--all"]).stdout).toBe(before)
  expect(nswrap(["project", "bind", "shop front"]).stdout).toContain("belongs to shop front (1 memory)")
  expect(json<Remembered[]>(["list"]).map(({ text }) => text)).toContain("Deploys happen on Fridays")
})
