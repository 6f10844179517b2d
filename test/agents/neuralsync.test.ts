import { Database } from "bun:sqlite"
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { appendFileSync, chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { readNeuralSync } from "../../src/agents/neuralsync.ts"
import { importMemories } from "../../src/store/import.ts"
import { editMemory, forgetMemory, listMemories } from "../../src/store/memories.ts"
import { getPersona, personaHistory } from "../../src/store/persona.ts"
import { bindDirectory, listProjects } from "../../src/store/projects.ts"
import { setPersona } from "../../src/store/set-persona.ts"
import { newHome } from "../helpers/home.ts"

const now = 1_800_000_000_000
const SCHEMA = `pragma journal_mode = wal;
create table items (id TEXT PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, scope TEXT NOT NULL, tool TEXT, tags TEXT, confidence REAL, benefit REAL,
  consistency REAL, vector BLOB, created_at INTEGER, updated_at INTEGER, ttl_ms INTEGER, expires_at INTEGER, tombstone INTEGER DEFAULT 0, site_id TEXT,
  lamport INTEGER, source TEXT, meta TEXT);
create virtual table items_fts using fts5(id, text, tokenize='porter');
create table kv (k TEXT PRIMARY KEY, v TEXT);`

let place: string
let server: Database
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "nswrap-ns-"))
  server = open()
})
afterEach(() => {
  server.close()
  chmodSync(place, 0o700)
  rmSync(place, { recursive: true, force: true })
})

function open(name = "memory.db"): Database {
  const db = new Database(join(place, name))
  db.run(SCHEMA)
  return db
}

function add(item: Record<string, string | number | null>, db = server): void {
  const row = { id: crypto.randomUUID(), kind: "fact", text: "a text", scope: "global", tags: "[]", confidence: 0.8, created_at: now - 1000, updated_at: now, tombstone: 0, source: "api", meta: "{}", ...item }
  const names = Object.keys(row)
  db.query(`insert into items (${names.join(", ")}) values (${names.map(() => "?").join(", ")})`).run(...Object.values(row))
}

function log(line: object): void {
  appendFileSync(join(place, "oplog.jsonl"), `${JSON.stringify(line)}\n`)
}

const read = (directory: string | null = place) => readNeuralSync(directory, { home: place, now })
const one = () => read().memories[0]!

describe("an item becomes a memory", () => {
  test("with its age, tags, kind, tool and origin", () => {
    add({ id: "5535fc7c-7ef0-4f63-809b-95c00dc77645", kind: "incident", text: "Größe zählt 日本", scope: "project:shop", tool: "claude-code", tags: '["ci", "deploy"]', confidence: 0.95, benefit: 0.3, meta: '{"pr":7}', source: "seed", ttl_ms: 5000, expires_at: now + 5000 })
    expect(one()).toEqual({
      at: "5535fc7c-7ef0-4f63-809b-95c00dc77645",
      project: "shop",
      memory: {
        id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/), text: "Größe zählt 日本", kind: "incident", scope: "project", session: null,
        tool: "claude-code", actor: "user", tags: ["ci", "deploy"], confidence: 0.95, benefit: 0.3, consistency: null, created_at: now - 1000, ttl_ms: 5000, expires_at: now + 5000,
        source: "neuralsync", meta: { pr: 7, neuralsync: { id: "5535fc7c-7ef0-4f63-809b-95c00dc77645", scope: "project:shop", source: "seed" } },
      },
    })
  })

  test.each([
    ["global", { scope: "global", session: null }, null],
    ["", { scope: "global", session: null }, null],
    ["any", { scope: "global", session: null }, null],
    ["project:shop", { scope: "project", session: null }, "shop"],
    ["Project: My Shop", { scope: "project", session: null }, "My Shop"],
    ["session:abc", { scope: "session", session: "abc" }, null],
    ["work", { scope: "project", session: null }, "work"],
    ["team:core", { scope: "project", session: null }, "team:core"],
  ])("of scope %j", (scope, memory, project) => {
    add({ scope })
    expect(one()).toMatchObject({ memory, project })
  })

  test("with an id that depends on the old one and the age alone, and sorts by age", () => {
    add({ id: "a", created_at: 1000 })
    add({ id: "b", created_at: 2000 })
    const ids = read().memories.map(({ memory }) => memory.id!)
    expect(ids[0]!.slice(0, 13)).toBe("00000000-03e8")
    expect(ids).toEqual(ids.toSorted())
    expect(read().memories.map(({ memory }) => memory.id!)).toEqual(ids)
  })

  test("whatever its columns hold", () => {
    add({ id: "a", kind: "  My Kind! ", tags: "not json", meta: "[1]", confidence: null, tombstone: null, created_at: null, updated_at: null, source: null, tool: "  " })
    add({ id: "b", kind: "---", tags: '{"a":1}', confidence: 7, created_at: -5, updated_at: 1000 })
    expect(read().memories.map(({ memory }) => memory)).toMatchObject([
      { kind: "my-kind-", tags: [], confidence: 0.8, tool: null },
      { kind: "fact", tags: [], confidence: 1, created_at: 1000 },
    ])
  })

  test("said by the tool when NeuralSync's wrapper picked it out of a tool's output", () => {
    add({ source: "nswrap", tool: "gemini", kind: "rule" })
    expect(one().memory.actor).toBe("gemini")
  })

  test("with the consistency it was given, not what recall made of it", () => {
    add({ id: "a", consistency: 0.62 })
    log({ op: "add", id: "a", clock_ts: 1, payload: { consistency: null } })
    expect(one().memory.consistency).toBeNull()
  })

  test("unless it is forgotten, expired or empty", () => {
    add({ tombstone: 1 })
    add({ expires_at: now - 1 })
    add({ text: " " })
    add({ text: "kept", expires_at: now + 1 })
    expect(read()).toMatchObject({ memories: [{ memory: { text: "kept" } }], skipped: { forgotten: 1, expired: 1, empty: 1 } })
  })
})

describe("the persona", () => {
  const store = (text: string, lamport = 1) => server.query("insert or replace into kv values ('persona', ?)").run(JSON.stringify({ text, site_id: "s", lamport }))
  const set = (text: string, clock_ts: number, lamport = 1) => log({ op: "persona_set", lamport, site_id: "s", clock_ts, payload: { text } })
  const persona = () => read().personas[0]?.text ?? null

  test.each([
    ["of the database", () => store("A"), "A"],
    ["of the log when the database lost it", () => [set("old", 1), set("new", 2)], "new"],
    ["of the log by time, not by line or Lamport time, which starts again", () => [set("new", 2, 1), set("old", 1, 9)], "new"],
    ["of the log when it is later than the database's", () => [store("A"), set("A", 1), set("B", 2)], "B"],
    ["of the database when it came from another machine", () => [store("pushed", 9), set("A", 1, 2)], "pushed"],
    ["none", () => [], null],
  ])("%s", (_, prepare, text) => {
    prepare()
    expect(persona()).toBe(text)
  })

  test("survives broken lines and a broken value", () => {
    server.query("insert into kv values ('persona', 'not json')").run()
    appendFileSync(join(place, "oplog.jsonl"), '{"op":\n\u0000\n[]\n{"op":"persona_set","payload":null}\n')
    set("B", 2)
    expect(persona()).toBe("B")
  })
})

describe("the source", () => {
  const everything = () => readdirSync(place).toSorted().map((name) => {
    const { size, mtimeMs, ino, mode } = statSync(join(place, name))
    return [name, size, mtimeMs, ino, mode, Bun.hash(readFileSync(join(place, name)))]
  }).concat([[String(statSync(place).mtimeMs)]])

  test("is never written, and what lies only in its write-ahead log is read, while its server runs", () => {
    server.run("pragma wal_autocheckpoint = 0")
    add({ text: "only in the log" })
    expect(existsSync(join(place, "memory.db-wal"))).toBe(true)
    const before = everything()
    expect(read().memories).toHaveLength(1)
    expect(everything()).toEqual(before)
  })

  test("may be a copy without its server, in a directory that cannot be written", () => {
    add({ text: "kept" })
    const copy = join(place, "copy")
    mkdirSync(copy)
    for (const part of ["", "-wal"]) writeFileSync(join(copy, `memory.db${part}`), readFileSync(join(place, `memory.db${part}`)))
    chmodSync(copy, 0o500)
    const before = readdirSync(copy)
    expect(read(copy).memories).toHaveLength(1)
    expect(readdirSync(copy)).toEqual(before)
    chmodSync(copy, 0o700)
  })

  test("leaves no copy behind, also when it is damaged", () => {
    const copies = () => readdirSync(tmpdir()).filter((name) => name.startsWith("nswrap-neuralsync-"))
    const before = copies()
    add({})
    read()
    writeFileSync(join(place, "bad.db"), "SQLite format 3\0".padEnd(9000, "x"))
    expect(() => read(join(place, "bad.db"))).toThrow("damaged or no SQLite database")
    new Database(join(place, "other.db")).run("create table notes (a)")
    expect(() => read(join(place, "other.db"))).toThrow("is no NeuralSync database")
    expect(copies()).toEqual(before)
  })

  test("is ~/.neuralsync, or where its configuration says; a named directory is believed first", () => {
    const home = join(place, ".neuralsync")
    mkdirSync(home)
    expect(() => read(null)).toThrow("no NeuralSync memories in")
    const elsewhere = open("elsewhere.db")
    add({ text: "elsewhere" }, elsewhere)
    elsewhere.close()
    const left = open(".neuralsync/memory.db")
    add({ text: "left behind" }, left)
    left.close()
    writeFileSync(join(home, "config.yaml"), "db_path: ~/elsewhere.db\n")
    expect(read(null).memories[0]!.memory.text).toBe("elsewhere")
    add({ text: "here" })
    renameSync(join(home, "config.yaml"), join(place, "config.yaml"))
    expect(read().memories[0]!.memory.text).toBe("here")
    writeFileSync(join(place, "config.yaml"), "\t: not yaml [")
    expect(read().memories).toHaveLength(1)
  })
})

describe("imported into a home", () => {
  test("a second time nothing changes, whatever the user did since", async () => {
    const home = await newHome()
    const bring = () => importMemories(home.db, read(), { now, keepGood: true })
    add({ id: "a", text: "said twice", scope: "project:shop", created_at: now - 50 })
    add({ id: "b", text: "said twice", scope: "project:shop", created_at: now - 40 })
    add({ id: "c", text: "forget me" })
    add({ id: "d", text: "edit me" })
    server.query("insert into kv values ('persona', '{\"text\":\"theirs\"}')").run()
    expect(bring()).toMatchObject({ created: 3, merged: 1, projects: ["shop"], personas: [{ outcome: "set" }], refused: [] })
    const find = (text: string) => listMemories(home.db, { dead: "include" }).find((memory) => memory.text === text)!
    expect(listMemories(home.db, {}).find(({ text }) => text === "said twice")).toMatchObject({ count: 2, created_at: now - 50, updated_at: now })
    forgetMemory(home.db, find("forget me").id, { now })
    editMemory(home.db, find("edit me").id, { text: "edited" }, { now })
    setPersona(home.db, { text: "mine", project: null, actor: "user" }, { now })
    const before = JSON.stringify([listMemories(home.db, { dead: "include" }), personaHistory(home.db, null)])
    expect(bring()).toMatchObject({ created: 0, merged: 0, unchanged: 4, personas: [{ outcome: "unchanged" }] })
    expect(JSON.stringify([listMemories(home.db, { dead: "include" }), personaHistory(home.db, null)])).toBe(before)
    expect(getPersona(home.db, null)).toBe("mine")
    add({ id: "e", text: "new there", scope: "project:shop" })
    expect(bring()).toMatchObject({ created: 1, unchanged: 4, projects: [] })
    expect(listProjects(home.db)).toMatchObject([{ name: "shop", memories: 2, keys: [] }])
    bindDirectory(home.db, "shop", place, { now })
    expect(listProjects(home.db)[0]!.keys).toMatchObject([{ kind: "dir", via: "bound" }])
    home.close()
  })
})
