import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import fc from "fast-check"
import { readLine, writeLine, writePersonaLine } from "../../src/cli/jsonl.ts"
import type { Memory } from "../../src/memory/memory.ts"
import { importMemories, type ImportedMemory, type ImportedPersona } from "../../src/store/import.ts"
import { editMemory, findMemory, forgetMemory, listMemories, remember } from "../../src/store/memories.ts"
import { getPersona, personaHistory } from "../../src/store/persona.ts"
import { createProject, listProjects, renameProject } from "../../src/store/projects.ts"
import { setPersona } from "../../src/store/set-persona.ts"
import { newHome } from "../helpers/home.ts"

const now = 1_800_000_000_000
type Home = Awaited<ReturnType<typeof newHome>>
let home: Home
beforeEach(async () => void (home = await newHome()))
afterEach(() => home.close())

function bring({ db }: Home, lines: string[], { keepGood = false, at = now }: { keepGood?: boolean; at?: number } = {}) {
  const memories: ImportedMemory[] = []
  const personas: ImportedPersona[] = []
  for (const [index, text] of lines.entries()) {
    const line = readLine(text, { at: `line ${index + 1}`, project: null })
    if (line.kind === "bad") throw new Error(line.reason)
    if (line.kind === "memory") memories.push(line.memory)
    else personas.push(line.persona)
  }
  return importMemories(db, { memories, personas }, { now: at, keepGood })
}

function take({ db }: Home): string[] {
  const names = new Map(listProjects(db).map(({ id, name }) => [id, name]))
  const personas = [null, ...names.keys()].flatMap((id) => personaHistory(db, id).map((version) => writePersonaLine(version, id && names.get(id)!)))
  const memories = listMemories(db, { order: "oldest", dead: "include" })
  return [...personas, ...memories.map((memory) => writeLine(memory, { project: names.get(memory.project ?? "") ?? null, withState: true }))]
}

const words = fc.array(fc.constantFrom("deploy", "port", "5433", "größe", "日本語", "tab\t", "\"quoted\"", "\\", "\u2028", "🙂", "\n\n", "don't"), { minLength: 1, maxLength: 6 }).map((list) => list.join(" "))
const label = fc.stringMatching(/^[a-z][a-z0-9]{0,6}$/)
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary)
const step = fc.record({
  text: words.map((text) => `memo ${text}`),
  kind: fc.constantFrom("fact", "decision", "rule", "incident"),
  where: fc.constantFrom("global", "shop", "infra", "session"),
  tool: optional(fc.constantFrom("claude", "codex")),
  actor: label, subject: optional(fc.constantFrom("db", "Port")), aliases: fc.array(label, { maxLength: 2 }), tags: fc.array(words, { maxLength: 3 }),
  confidence: fc.double({ min: 0, max: 1, noNaN: true }), benefit: optional(fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0 || 0)), consistency: optional(fc.double({ min: 0, max: 1, noNaN: true })),
  pinned: fc.boolean(), ttl_ms: optional(fc.integer({ min: 1, max: 1e9 })), meta: fc.dictionary(label, fc.jsonValue(), { maxKeys: 2 }),
  fate: fc.constantFrom("keep", "keep", "keep", "forget", "edit"), later: fc.integer({ min: 0, max: 1000 }),
})

test("what was written comes back equal: every memory, dead or alive, and every persona", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.array(words, { maxLength: 3 }), async (steps, personas) => {
      const [from, to] = [await newHome(), await newHome()]
      for (const { db } of [from, to]) db.run("pragma synchronous = off")
      try {
        const projects = { shop: createProject(from.db, "shop", { now }).id, infra: createProject(from.db, "Infra", { now }).id }
        let at = now
        for (const { where, fate, later, ...given } of steps) {
          at += later
          const project = where === "shop" || where === "infra" ? projects[where] : null
          const { memory } = remember(from.db, { ...given, project, scope: project ? "project" : (where as "global" | "session"), session: where === "session" ? "s1" : null }, { now: at })
          if (fate === "forget") forgetMemory(from.db, memory.id, { now: at })
          if (fate === "edit") editMemory(from.db, memory.id, { text: `${memory.text} edited ${at}` }, { now: at + 1 })
        }
        for (const text of personas) setPersona(from.db, { text, project: text.length % 2 ? projects.shop : null, actor: "user" }, { now: at++ })
        const lines = take(from)
        const { refused, created } = bring(to, lines)
        expect(refused).toEqual([])
        expect(created).toBe(lines.filter((line) => !line.startsWith('{"persona"')).length)
        expect(take(to)).toEqual(lines)
        bring(to, lines)
        expect(take(to)).toEqual(lines)
      } finally {
        from.close()
        to.close()
      }
    }),
    { numRuns: 60 },
  )
}, 60_000)

describe("importing again", () => {
  test("changes nothing of what was forgotten, edited, merged or renamed since", () => {
    const lines = [
      '{"id":"01a206dc-975c-7295-a1bc-000000000001","text":"one","scope":"project","project":"shop"}',
      '{"id":"01a206dc-975c-7295-a1bc-000000000002","text":"two","scope":"project","project":"shop"}',
      '{"id":"01a206dc-975c-7295-a1bc-000000000003","text":"two","scope":"project","project":"Shop","tags":["twice"]}',
    ]
    expect(bring(home, lines)).toMatchObject({ created: 2, merged: 1, projects: ["shop"] })
    expect(findMemory(home.db, "000000000002")).toMatchObject({ count: 2, tags: ["twice"] })
    editMemory(home.db, "01a206dc-975c-7295-a1bc-000000000001", { text: "uno" }, { now })
    forgetMemory(home.db, "01a206dc-975c-7295-a1bc-000000000002", { now })
    renameProject(home.db, "shop", "webshop")
    const before = take(home)
    expect(bring(home, lines)).toMatchObject({ created: 0, merged: 0, unchanged: 3, projects: [] })
    expect(take(home)).toEqual(before)
    expect(listProjects(home.db).map(({ name }) => name)).toEqual(["webshop"])
  })

  test("lines without an id merge with what is there", () => {
    bring(home, ['{"text":"one"}'])
    expect(bring(home, ['{"text":"one"}'])).toMatchObject({ created: 0, merged: 1 })
    expect(listMemories(home.db, {})).toHaveLength(1)
  })
})

test("an older memory of a subject does not replace the newer one that is here", () => {
  const { memory } = remember(home.db, { text: "port 5434", subject: "port", created_at: now }, { now })
  expect(bring(home, [JSON.stringify({ text: "port 5433", subject: "Port", created_at: now - 1000 })])).toMatchObject({ created: 0, older: 1 })
  expect(listMemories(home.db, { now })).toMatchObject([{ id: memory.id }])
  expect(bring(home, [JSON.stringify({ text: "port 5435", subject: "port", created_at: now + 1000 })])).toMatchObject({ created: 1, older: 0 })
  expect(listMemories(home.db, { now: now + 2000 })).toMatchObject([{ text: "port 5435" }])
})

describe("a bad line", () => {
  const lines = ['{"text":"good"}', '{"text":"x","scope":"project"}', '{"text":"  "}', '{"text":"y","project":"-bad-"}', '{"text":"z","kind":"two words"}']

  test("means that nothing is stored, and each reason is told", () => {
    const { refused, created } = bring(home, lines)
    expect(created).toBe(0)
    expect(refused.map(({ at }) => at)).toEqual(["line 2", "line 3", "line 4", "line 5"])
    expect(refused[2]!.reason).toContain("a project cannot be named")
    expect(listMemories(home.db, { dead: "include" })).toEqual([])
    expect(listProjects(home.db)).toEqual([])
  })

  test("is left out when the good ones are to be kept", () => {
    expect(bring(home, lines, { keepGood: true })).toMatchObject({ created: 1, refused: [{}, {}, {}, {}] })
    expect(listMemories(home.db, {})).toMatchObject([{ text: "good", source: "import" }])
  })
})

test("secrets are redacted on the way in, and counted", () => {
  const { redactions } = bring(home, [JSON.stringify({ text: `deploy with Authorization: Bearer ${"a1B2c3D4".repeat(5)} please` }), JSON.stringify({ persona: "<private>my phone</private> terse" })])
  expect(redactions.length).toBeGreaterThan(0)
  expect(JSON.stringify(take(home))).not.toMatch(/a1B2c3D4|my phone/)
})

test("what is written after an import is later by Lamport time", () => {
  bring(home, ['{"text":"from far","lamport":5000}'])
  expect(remember(home.db, { text: "from here" }, { now }).memory.lamport).toBeGreaterThan(5000)
})

describe("personas", () => {
  const line = (text: string, created_at: number) => JSON.stringify({ persona: text, created_at })

  test("one that was set here stays, and the imported one is in its history", () => {
    setPersona(home.db, { text: "mine", project: null, actor: "user" }, { now })
    expect(bring(home, [line("theirs", 1), line("theirs, later", 2)]).personas).toEqual([{ project: null, outcome: "kept" }])
    expect(getPersona(home.db, null)).toBe("mine")
    expect(personaHistory(home.db, null).map(({ text }) => text)).toEqual(["mine", "theirs", "theirs, later", "mine"])
    expect(bring(home, [line("theirs", 1), line("theirs, later", 2)]).personas).toEqual([{ project: null, outcome: "unchanged" }])
    expect(personaHistory(home.db, null)).toHaveLength(4)
  })

  test("one that says what is set here already is added to its history, and stays", () => {
    setPersona(home.db, { text: "same", project: null, actor: "user" }, { now })
    expect(bring(home, [line("older", 1), line("same", 2)]).personas).toEqual([{ project: null, outcome: "set" }])
    expect(personaHistory(home.db, null).map(({ text }) => text)).toEqual(["same", "older", "same"])
  })

  test("one that was removed here stays removed", () => {
    setPersona(home.db, { text: "mine", project: null, actor: "user" }, { now })
    setPersona(home.db, { text: "", project: null, actor: "user" }, { now })
    bring(home, [line("theirs", 1)])
    expect(getPersona(home.db, null)).toBe("")
  })

  test("an empty home takes it", () => {
    expect(bring(home, [line("theirs", 1)]).personas).toEqual([{ project: null, outcome: "set" }])
    expect(getPersona(home.db, null)).toBe("theirs")
  })
})

describe("readLine()", () => {
  const read = (text: string) => readLine(text, { at: "line 1", project: "shop" })
  const field = (name: keyof Memory, value: unknown) => {
    const line = read(JSON.stringify({ text: "x", [name]: value }))
    return line.kind === "memory" ? (line.memory.memory as Record<string, unknown>)[name] : line
  }

  test("takes times in ms and ISO 8601", () => {
    expect(field("created_at", 1_795_411_449_692)).toBe(1_795_411_449_692)
    expect(field("created_at", "2026-11-23T08:04:09.692Z")).toBe(Date.UTC(2026, 10, 23, 8, 4, 9, 692))
    expect(field("created_at", "2026-11-23T09:04+01:00")).toBe(Date.UTC(2026, 10, 23, 8, 4))
    expect(field("expires_at", "2026-11-23")).toBe(Date.UTC(2026, 10, 23))
    expect(field("created_at", null)).toBeUndefined()
    for (const bad of ["yesterday", "2026-13-40", -5, 1.5, 1e20, "", true]) expect(field("created_at", bad)).toMatchObject({ kind: "bad", reason: expect.stringContaining("created_at") })
  })

  test.each([
    ["no JSON", "{", "is no JSON"],
    ["a list", '["text"]', "is not a JSON object"],
    ["the beginning of a pretty-printed list", "[", "jq -c"],
    ["a word", '"x"', "is not a JSON object"],
    ["no text", '{"kind":"fact"}', "text:"],
    ["a text that is none", '{"text":5}', "text:"],
    ["too sure", '{"text":"x","confidence":1.5}', "confidence:"],
    ["a scope that is none", '{"text":"x","scope":"team"}', "scope:"],
    ["tags that are no list", '{"text":"x","tags":"a"}', "tags:"],
    ["an id that is none", '{"text":"x","id":"7"}', "id: is no UUID"],
  ])("tells what is wrong with %s", (_, text, reason) => expect(read(text)).toMatchObject({ kind: "bad", reason: expect.stringContaining(reason) }))

  test("names the fields that a memory does not have", () => expect(read('{"text":"x","colour":1,"__proto__x":2}')).toMatchObject({ ignored: ["colour", "__proto__x"] }))

  test("gives a line without project or scope the default project, and only such a line", () => {
    expect(read('{"text":"x"}')).toMatchObject({ memory: { project: "shop" } })
    expect(read('{"text":"x","scope":"global"}')).toMatchObject({ memory: { project: null } })
    expect(read('{"text":"x","project":"infra"}')).toMatchObject({ memory: { project: "infra" } })
  })

  test("never throws", () => fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), fc.jsonValue().map((value) => JSON.stringify({ text: "x", meta: value, tags: value, id: value }))), (text) => void read(text))))
})

test("10,000 memories in a second (twice that on a busy machine)", () => {
  const lines = Array.from({ length: 10_000 }, (_, at) => JSON.stringify({ text: `memory ${at}: the ${["deploy", "port", "review"][at % 3]} of service ${at % 97} takes ${at * 7919} steps`, tags: [`t${at % 50}`] }))
  const { user } = process.cpuUsage()
  expect(bring(home, lines)).toMatchObject({ created: 10_000 })
  expect((process.cpuUsage().user - user) / 1000).toBeLessThan(2000)
})
