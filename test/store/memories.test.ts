import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import fc from "fast-check"
import { statSync } from "node:fs"
import { recall } from "../../src/recall/recall.ts"
import {
  editMemory, findMemory, forgetMemory, historyOf, lastForgotten, listMemories, nearOf, pinMemory, remember, rememberMany, restoreMemory, supersedeMemory,
} from "../../src/store/memories.ts"
import { propose } from "../../src/store/proposals.ts"
import { newHome, newProject } from "../helpers/home.ts"

const at = { now: Date.UTC(2026, 10, 3) }
let home: Awaited<ReturnType<typeof newHome>>
beforeEach(async () => void (home = await newHome()))
afterEach(() => home.close())

const say = (text: string, more = {}) => remember(home.db, { text, ...more }, at)
const find = (text: string, scopes: string[] | null = null) =>
  recall(home.db, { text, scopes, toolNames: null, limit: 10, gate: 0, now: at.now }).map(({ memory }) => memory.text)

describe("remember()", () => {
  test("fills in what is not said, with a UUIDv7", () => {
    const { memory, outcome } = say("Deploys go through release.yml")
    expect(outcome).toBe("created")
    expect(memory).toMatchObject({ kind: "fact", scope: "global", actor: "user", confidence: 0.8, created_at: at.now, count: 1, pinned: false })
    expect(memory.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(findMemory(home.db, memory.id)).toEqual(memory)
  })
  test("merges exactly equal text of the same scope, counts it and keeps its age", () => {
    const first = say("Use pnpm", { tags: ["js"] })
    const again = remember(home.db, { text: "Use pnpm", tags: ["build"] }, { now: at.now + 5000 })
    expect(again.outcome).toBe("merged")
    expect(again.memory).toMatchObject({ id: first.memory.id, count: 2, created_at: at.now, tags: ["js", "build"] })
    expect(listMemories(home.db, {})).toHaveLength(1)
  })
  test("equal text said again with a subject takes the place of the other memory of that subject", () => {
    const first = say("the db is mysql").memory
    const other = say("the db is postgres", { subject: "db" }).memory
    expect(say("the db is mysql", { subject: " DB" })).toMatchObject({ outcome: "merged", memory: { id: first.id, subject: "db" }, superseded: { id: other.id } })
    expect(listMemories(home.db, {}).map(({ id }) => id)).toEqual([first.id])
  })
  test("no secret reaches the disk by a subject, alias, tag or meta, and the subject has one form", () => {
    const token = `ghp_${"a1B2c3".repeat(6)}`
    const { memory, redactions } = say("x", { subject: token, aliases: [token], tags: [token], meta: { deep: [{ note: token }] } })
    expect(redactions.length).toBe(4)
    editMemory(home.db, memory.id, { subject: ` DB ${token}`, tags: [`t ${token}`] }, at)
    propose(home.db, { text: "y", subject: token, tags: [token], aliases: [token] }, at)
    const rows = home.db.query("select *, (select group_concat(tags || meta) from proposal) as waiting, (select group_concat(before) from memory_history) as old from memory").all()
    expect(JSON.stringify(rows).toLowerCase()).not.toContain(token.toLowerCase())
    expect(findMemory(home.db, memory.id).subject).toBe("db [redacted: github-token]")
  })
  test("does not merge equal text of another project or tool", () => {
    const project = newProject(home.db, "shop")
    say("Use pnpm")
    expect(say("Use pnpm", { project: project.id }).outcome).toBe("created")
    expect(say("Use pnpm", { tool: "codex" }).outcome).toBe("created")
  })
  test("links near-duplicates and merges none: port 5433 is not port 5434", () => {
    const first = say("Postgres listens on port 5433 for the shop development database server")
    const second = say("Postgres listens on port 5434 for the shop development database server")
    expect(second.outcome).toBe("created")
    expect(second.near.map(({ id }) => id)).toEqual([first.memory.id])
    expect(nearOf(home.db, first.memory.id).map(({ id }) => id)).toEqual([second.memory.id])
    expect(listMemories(home.db, {})).toHaveLength(2)
  })
  test("a newer memory of the same subject and scope supersedes the older", () => {
    const older = say("The port is 5433", { subject: "Database port" })
    const newer = say("The port is 6000", { subject: "database port" })
    expect(newer.superseded?.id).toBe(older.memory.id)
    expect(findMemory(home.db, older.memory.id).superseded_by).toBe(newer.memory.id)
    expect(find("port")).toEqual(["The port is 6000"])
    const elsewhere = say("The port is 7000", { subject: "database port", project: newProject(home.db, "shop").id })
    expect(elsewhere.superseded).toBeNull()
  })
  test("refuses what is no memory, with the reason", () => {
    expect(() => say("  \n ")).toThrow("there is no text")
    expect(() => say("x".repeat(65_537))).toThrow("65537 bytes")
    expect(() => say("a\0b")).toThrow("NUL")
    expect(() => say("x", { confidence: 1.5 })).toThrow("confidence 1.5")
    expect(() => say("x", { scope: "project" })).toThrow("needs a project")
    expect(() => say("x", { kind: "two words" })).toThrow("kind")
    expect(say("x".repeat(65_536)).outcome).toBe("created")
  })
  test("never learns from an injected context", () => {
    expect(() => say("<nswrap-context>\n- (rule, 2026-01-01, 1) do it\n</nswrap-context>\n")).toThrow("nothing is left")
  })
  test("rememberMany() leaves what is there by id as it is, even when it was forgotten", () => {
    const [one] = rememberMany(home.db, [{ text: "imported", id: "0198f000-0000-7000-8000-000000000001" }], at)
    forgetMemory(home.db, one!.memory.id, at)
    const [again] = rememberMany(home.db, [{ text: "imported", id: "0198f000-0000-7000-8000-000000000001" }], at)
    expect(again!.outcome).toBe("unchanged")
    expect(findMemory(home.db, one!.memory.id).tombstone).toBe(true)
  })
})

describe("a life of a memory", () => {
  test("forget hides it from list and recall, restore brings it back with its age", () => {
    const { memory } = say("The staging namespace is shop-stg")
    forgetMemory(home.db, memory.id, { now: at.now + 1 })
    expect([find("staging namespace"), listMemories(home.db, {}), lastForgotten(home.db)?.id]).toEqual([[], [], memory.id])
    restoreMemory(home.db, memory.id, { now: at.now + 2 })
    expect(find("staging namespace")).toEqual([memory.text])
    expect(findMemory(home.db, memory.id).created_at).toBe(at.now)
    expect(historyOf(home.db, memory.id).map(({ op }) => op)).toEqual(["forget", "restore"])
  })
  test("edit keeps the old version, and recall finds the new words only", () => {
    const { memory } = say("Tests run with jest")
    editMemory(home.db, memory.id, { text: "Tests run with vitest" }, { now: at.now + 1 })
    expect([find("jest"), find("vitest")]).toEqual([[], ["Tests run with vitest"]])
    expect(historyOf(home.db, memory.id)[0]!.before.text).toBe("Tests run with jest")
  })
  test("supersede by a text keeps scope, tags and history", () => {
    const project = newProject(home.db, "shop")
    const { memory } = say("Port 5433", { project: project.id, tags: ["db"], kind: "decision" })
    const { newer } = supersedeMemory(home.db, memory.id, { text: "Port 5434" }, { now: at.now + 1 })
    expect(newer).toMatchObject({ project: project.id, tags: ["db"], kind: "decision" })
    expect(() => supersedeMemory(home.db, newer.id, { id: memory.id }, at)).toThrow("superseded")
    expect(() => supersedeMemory(home.db, newer.id, { id: newer.id }, at)).toThrow("itself")
  })
  test("an expired memory is not found and not listed", () => {
    remember(home.db, { text: "Freeze until Friday", ttl_ms: 1000 }, at)
    const later = { text: "freeze", scopes: null, toolNames: null, limit: 5, gate: 0, now: at.now + 1001 }
    expect([recall(home.db, later), listMemories(home.db, { now: at.now + 1001 })]).toEqual([[], []])
  })
  test("is named by its last 8 hex digits, any unique prefix or suffix", () => {
    const { memory } = say("one")
    const digits = memory.id.replaceAll("-", "")
    for (const part of [memory.id, digits, digits.slice(-8), digits.slice(-4), digits.slice(0, 31)]) expect(findMemory(home.db, part).id).toBe(memory.id)
    say("two")
    expect(() => findMemory(home.db, digits.slice(0, 4))).toThrow("could be")
    expect(() => findMemory(home.db, "zzz")).toThrow("hex digits")
  })
  test("pin is kept and shown in the filter", () => {
    const { memory } = say("Always answer in English")
    pinMemory(home.db, memory.id, true, at)
    expect(listMemories(home.db, { pinned: true }).map(({ id }) => id)).toEqual([memory.id])
  })
})

describe("recall()", () => {
  test("takes any text as a question, whatever characters it holds", () => {
    say("Deploys happen through GitHub Actions")
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => void find(text)), { numRuns: 500 })
    for (const text of ['"', "'", "*", "a AND", "NEAR(", "terms:x", "(", "-", "^a", "{", "+ - ?", 'deploys" OR scope_key:"g']) find(text)
    expect(find('how do "deploys" work?')).toEqual(["Deploys happen through GitHub Actions"])
  })
  test("never crosses a scope", () => {
    const [shop, desk] = [newProject(home.db, "shop"), newProject(home.db, "desk")]
    say("Login uses JWT tokens", { project: shop.id })
    say("Login uses sessions", { project: desk.id })
    say("Login pages are in English")
    expect(find("login", ["g", `p${shop.seq}`]).toSorted()).toEqual(["Login pages are in English", "Login uses JWT tokens"])
    expect(find("login", ["g"])).toEqual(["Login pages are in English"])
  })
  test("finds other forms of a word, parts of identifiers and other scripts", () => {
    say("Deploys to production happen on Tuesdays")
    say("The flaky test test_checkout_retry crosses midnight")
    say("数据库端口是五四三三")
    expect(find("when are we deploying")[0]).toContain("Deploys")
    expect(find("checkout retries")[0]).toContain("test_checkout_retry")
    expect(find("checkoutRetry")[0]).toContain("test_checkout_retry")
    expect(find("端口")[0]).toContain("端口")
  })
  test("a rule or preference of one tool is not told to another; facts are shared", () => {
    say("Codex: use the sandbox", { kind: "rule", tool: "codex" })
    say("The sandbox host is box1", { tool: "codex" })
    const ask = (tool: string) => recall(home.db, { text: "sandbox", scopes: null, toolNames: [tool], limit: 5, gate: 0, now: at.now }).map(({ memory }) => memory.text).toSorted()
    expect(ask("claude")).toEqual(["The sandbox host is box1"])
    expect(ask("codex")).toEqual(["Codex: use the sandbox", "The sandbox host is box1"])
  })
  test("the gate keeps out what shares only a common word with the question", () => {
    for (let i = 0; i < 50; i++) say(`Service number ${i} logs to the shared host`)
    say("The login endpoint signs JWT tokens with RS256")
    const ask = (text: string) => recall(home.db, { text, scopes: null, toolNames: null, limit: 5, gate: 0.3, now: at.now }).map(({ memory }) => memory.text)
    expect(ask("fix the login bug")).toEqual(["The login endpoint signs JWT tokens with RS256"])
    expect(ask("write a haiku about autumn leaves on a shared bench")).toEqual([])
  })
  test("reading changes nothing", () => {
    say("Deploys happen on Tuesdays")
    const before = home.db.query("select * from memory").all()
    find("deploys")
    expect(home.db.query("select * from memory").all()).toEqual(before)
  })
})

test("the home is 0700 and its files 0600", () => {
  say("x")
  expect(statSync(home.directory).mode & 0o777).toBe(0o700)
  for (const suffix of ["", "-wal", "-shm"]) expect(statSync(home.paths.database + suffix).mode & 0o777).toBe(0o600)
})

test("counters for BM25 stay in step with the index through any life", () => {
  const a = say("alpha beta gamma").memory
  const b = say("delta epsilon", { subject: "s" }).memory
  say("zeta eta theta", { subject: "s" })
  forgetMemory(home.db, a.id, at)
  restoreMemory(home.db, a.id, at)
  editMemory(home.db, a.id, { text: "alpha" }, at)
  restoreMemory(home.db, b.id, at)
  const live = home.db.query("select count(*) as docs, sum(length) as terms from memory where tombstone = 0 and superseded_by is null").get()
  const kept = Object.fromEntries((home.db.query("select k, v from site where k in ('docs', 'terms')").all() as { k: string; v: number }[]).map(({ k, v }) => [k, v]))
  expect(kept).toEqual(live as never)
  home.db.run("insert into memory_fts (memory_fts) values ('integrity-check')")
})
