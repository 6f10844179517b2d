import { expect, test } from "bun:test"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { newShop, type Remembered } from "./shop.ts"

test("list shows this project and the global memories, --project only that one, --all-projects all", () => {
  const { json, remember, plain } = newShop()
  remember("of the shop")
  remember("for everyone", "--scope", "global")
  const texts = (args: string[], cwd?: string) => json<Remembered[]>(["list", ...args], cwd === undefined ? {} : { cwd }).map(({ text }) => text).sort()
  expect(texts([])).toEqual(["for everyone", "of the shop"])
  expect(texts([], plain)).toEqual(["for everyone"])
  expect(texts(["--project", "shop"], plain)).toEqual(["of the shop"])
  expect(texts(["--all-projects"], plain)).toEqual(["for everyone", "of the shop"])
  expect(texts(["--scope", "global"])).toEqual(["for everyone"])
})

test("list filters by kind, tag, tool, pin, age and state", () => {
  const { json, nswrap, remember } = newShop()
  const plain = remember("a plain fact")
  remember("a rule", "--kind", "rule", "--tag", "style", "--tool", "codex", "--pin")
  nswrap(["forget", plain.short_id])
  const texts = (...args: string[]) => json<Remembered[]>(["list", ...args]).map(({ text }) => text)
  expect(texts("--kind", "rule")).toEqual(["a rule"])
  expect(texts("--tag", "style")).toEqual(["a rule"])
  expect(texts("--tag", "other")).toEqual([])
  expect(texts("--tool", "codex")).toEqual(["a rule"])
  expect(texts("--pinned")).toEqual(["a rule"])
  expect(texts("--since", "1h")).toEqual(["a rule"])
  expect(texts("--until", "1h")).toEqual([])
  expect(texts("--dead")).toEqual(["a plain fact"])
})

test("list gives pages: --limit and --before", () => {
  const { json, nswrap, remember } = newShop()
  for (const text of ["one", "two", "three"]) remember(text)
  const first = nswrap(["list", "--limit", "2"])
  expect(first.stdout).toMatch(/three[\s\S]*two/)
  const before = /--before ([0-9a-f]{8})/.exec(first.stderr)![1]!
  expect(json<Remembered[]>(["list", "--before", before]).map(({ text }) => text)).toEqual(["one"])
})

test("a text cannot drive the terminal, and stays one line in a table", () => {
  const { nswrap, remember } = newShop()
  const memory = remember("red \u001b[31malert\u001b[0m\nsecond \u202eline")
  for (const args of [["list"], ["show", memory.short_id], ["recall", "alert"], ["recall", "alert", "--explain"]]) {
    expect(nswrap(args).stdout).not.toMatch(/\u001b|\u202e/)
  }
  expect(nswrap(["list"]).stdout.trimEnd().split("\n")).toHaveLength(2)
})

test("recall finds by words, best first, and says why", () => {
  const { nswrap, json, remember } = newShop()
  remember("The staging database listens on port 5433")
  remember("Prices are in cents")
  expect(json<(Remembered & { score: number })[]>(["recall", "staging database port"])[0]).toMatchObject({ text: "The staging database listens on port 5433" })
  expect(nswrap(["recall", "staging", "--explain"]).stdout).toContain("would be injected")
  const none = nswrap(["recall", "zebra"])
  expect({ status: none.status, stdout: none.stdout }).toEqual({ status: 0, stdout: "" })
})

test("show answers to any unique part of an id and shows history, near-duplicates and successors", () => {
  const { nswrap, json, remember } = newShop()
  const memory = remember("port 5433")
  nswrap(["edit", memory.short_id, "--text", "port 5434"])
  const newer = json<{ newer: Remembered }>(["supersede", memory.short_id, "port 5435"]).newer
  for (const part of [memory.id, memory.short_id, memory.id.replaceAll("-", "").slice(0, 24)]) expect(nswrap(["show", part]).stdout).toContain("port 5434")
  const shown = nswrap(["show", memory.short_id]).stdout
  expect(shown).toContain(`superseded by ${newer.short_id} port 5435`)
  expect(shown).toContain("was: port 5433")
  expect(nswrap(["show", "ffffffff"])).toMatchObject({ status: 1, stderr: "nswrap: no memory ffffffff; nswrap list shows them\n" })
})

test("edit opens the editor with the text, in a private file that is gone afterwards", () => {
  const { nswrap, json, remember, editor, nsHome } = newShop()
  const memory = remember("first line\nsecond line")
  const log = join(nsHome, "..", "log")
  const program = editor(`stat -c %a "$1" > ${log}; stat -c %a "$(dirname "$1")" >> ${log}; cat "$1" >> ${log}; echo "a new text" > "$1"; touch "$1~"`)
  expect(nswrap(["edit", memory.short_id], { env: { EDITOR: program } }).stdout).toBe(`edited ${memory.short_id}\n`)
  expect(require("node:fs").readFileSync(log, "utf8")).toBe("600\n700\nfirst line\nsecond line\n")
  expect(json<Remembered>(["show", memory.short_id]).text).toBe("a new text")
  expect(existsSync(join(nsHome, "editing"))).toBe(false)
})

test("edit changes nothing when the editor changed nothing, failed, or emptied the text", () => {
  const { nswrap, json, remember, editor, nsHome } = newShop()
  const memory = remember("as it was")
  const edit = (script: string) => nswrap(["edit", memory.short_id], { env: { VISUAL: editor(script) } })
  expect(edit("exit 0")).toMatchObject({ status: 0, stdout: `unchanged ${memory.short_id}\n` })
  expect(edit('echo other > "$1"; exit 3')).toMatchObject({ status: 1, stderr: expect.stringContaining("ended with status 3; nothing was changed") as string })
  expect(edit(': > "$1"').status).toBe(1)
  expect(json<Remembered & { history: unknown[] }>(["show", memory.short_id])).toMatchObject({ text: "as it was", history: [] })
  expect(readdirSync(nsHome)).not.toContain("editing")
})

test("edit changes fields by options, and says when nothing is different", () => {
  const { nswrap, json, remember } = newShop()
  const memory = remember("a text", "--tag", "old")
  expect(nswrap(["edit", memory.short_id, "--kind", "rule", "--tag", "x,y"]).stdout).toBe(`edited ${memory.short_id}\n`)
  expect(json<Remembered>(["show", memory.short_id])).toMatchObject({ kind: "rule", tags: ["x", "y"] })
  expect(nswrap(["edit", memory.short_id, "--kind", "rule"]).stdout).toBe(`unchanged ${memory.short_id}\n`)
  nswrap(["edit", memory.short_id, "--scope", "global"])
  expect(json<Remembered>(["show", memory.short_id])).toMatchObject({ scope: "global", project_name: null })
})

test("forget by id works at once, --undo brings back the last or the one named", () => {
  const { nswrap, json, remember } = newShop()
  const [a, b] = [remember("apples"), remember("bananas")]
  expect(nswrap(["forget", a.short_id, b.short_id]).status).toBe(0)
  expect(json<unknown[]>(["list"])).toEqual([])
  expect(nswrap(["forget", "--undo"]).stdout).toContain("bananas")
  expect(nswrap(["forget", "--undo", a.short_id]).stdout).toContain("apples")
  expect(json<unknown[]>(["list"])).toHaveLength(2)
  expect(nswrap(["forget", "--undo"])).toMatchObject({ status: 1, stderr: "nswrap: there is nothing forgotten to bring back\n" })
})

test("forget by words lists and forgets nothing without a terminal, unless --yes", () => {
  const { nswrap, json, remember } = newShop()
  remember("The staging database listens on port 5433")
  const asked = nswrap(["forget", "staging", "database"])
  expect(asked).toMatchObject({ status: 1, stdout: expect.stringContaining("5433") as string, stderr: expect.stringContaining("nothing was forgotten") as string })
  expect(json<unknown[]>(["list"])).toHaveLength(1)
  expect(nswrap(["forget", "staging", "database", "--yes"]).status).toBe(0)
  expect(json<unknown[]>(["list"])).toEqual([])
})

test("forget treats a mistyped id as an error, a word of hex letters as words", () => {
  const { nswrap, remember } = newShop()
  remember("the cafe around the corner")
  expect(nswrap(["forget", "12345678", "--yes"]).stderr).toContain("no memory 12345678")
  expect(nswrap(["forget", "cafe", "--yes"]).stdout).toContain("the cafe around the corner")
})

test("forget --purge asks for --yes where nobody can be asked", () => {
  const { nswrap, remember } = newShop()
  const memory = remember("apples")
  expect(nswrap(["forget", "--purge", memory.short_id])).toMatchObject({ status: 2, stderr: "nswrap: a purge cannot be undone: add --yes\n" })
  expect(nswrap(["forget", "--purge", "--yes", memory.short_id]).status).toBe(0)
  expect(nswrap(["show", memory.short_id]).status).toBe(1)
})

test("pin refuses what does not fit the stable budget, and tells how much is used", () => {
  const { nswrap, json, remember } = newShop()
  const small = remember("British English")
  const large = remember("long ".repeat(700))
  expect(nswrap(["pin", small.short_id]).stdout).toContain(`pinned ${small.short_id}`)
  const refused = nswrap(["pin", large.short_id])
  expect(refused.status).toBe(1)
  expect(refused.stderr).toMatch(/would not fit: the persona and 1 pinned memories use \d+ of 1000 tokens/)
  expect(nswrap(["remember", "longer ".repeat(700), "--pin"]).status).toBe(1)
  expect(json<Remembered[]>(["list", "--pinned"])).toHaveLength(1)
  expect(nswrap(["unpin", small.short_id]).stdout).toContain("unpinned")
  expect(nswrap(["pin", "--remove", small.short_id]).stdout).toContain("already unpinned")
})

test("reading where nothing was stored leaves no file behind", () => {
  const { nswrap, nsHome } = newShop()
  for (const args of [["list"], ["recall", "x"], ["context"], ["inbox"], ["persona"], ["config"]]) expect(nswrap(args).status).toBe(0)
  expect(existsSync(join(nsHome, "memory.db"))).toBe(false)
})

test("a checkout that joins a project by its remote is announced once, also by a command that only reads", () => {
  const { nswrap, remember, shop, plain, home } = newShop()
  const git = (directory: string, ...args: string[]) => Bun.spawnSync(["git", "-C", directory, ...args], { env: { PATH: process.env["PATH"], HOME: home } })
  git(shop, "remote", "add", "origin", "https://example.com/a/shop.git")
  remember("Prices are in cents")
  git(plain, "init", "-q")
  git(plain, "remote", "add", "origin", "git@example.com:a/shop.git")
  const first = nswrap(["list"], { cwd: plain })
  expect(first.stdout).toContain("Prices are in cents")
  expect(first.stderr).toContain("shop")
  expect(nswrap(["list"], { cwd: plain }).stderr).toBe("")
})
