import { expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { newShop } from "./shop.ts"

interface Shown { text: string; tokens: { stable: number }; stable: { text: string; why: string }[]; recalled: { text: string; score: number }[]; off: string | null }

test("context prints the very bytes that the wrapper injects", () => {
  const { nswrap, remember, home } = newShop()
  nswrap(["persona", "set", "Senior engineer"])
  nswrap(["persona", "set", "--project", ".", "Knows the shop"])
  remember("Answer in British English", "--kind", "preference", "--scope", "global")
  remember("The staging database listens on port 5433")
  const claude = join(home, "claude")
  writeFileSync(claude, '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = --append-system-prompt-file ] && cat "$2"; shift; done\n', { mode: 0o755 })
  const prompt = "which port does the staging database use"
  const injected = nswrap(["--", claude, "-p", prompt]).stdout
  expect(injected).toContain("port 5433")
  expect(nswrap(["context", "--tool", "claude", prompt]).stdout).toBe(injected)
  expect(injected).toContain("Knows the shop")
})

test("context explains each line, and leaves out what does not clear the gate", () => {
  const { json, nswrap, remember } = newShop()
  remember("Answer in British English", "--kind", "preference")
  remember("The staging database listens on port 5433")
  const shown = json<Shown>(["context", "staging database port"])
  expect(shown.stable).toMatchObject([{ text: "Answer in British English", why: "your own preference" }])
  expect(shown.recalled).toMatchObject([{ text: "The staging database listens on port 5433" }])
  expect(shown.recalled[0]!.score).toBeGreaterThan(0.3)
  expect(json<Shown>(["context", "paint the fence blue"]).recalled).toEqual([])
  expect(nswrap(["context", "--explain", "staging database port"]).stdout).toMatch(/Recalled\n {2}[0-9a-f]{8} .*score/)
  expect(json<Shown>(["context", "--only", "persona", "staging database"]).text).toBe("")
})

test("context says when nothing would be injected", () => {
  const { json, nswrap, remember } = newShop()
  remember("Answer in British English", "--kind", "preference")
  expect(json<Shown>(["context"], { env: { NS_BYPASS_MODE: "1" } }).off).toBe("the mode is bypass")
  nswrap(["config", "set", "projects.shop", "off"])
  expect(nswrap(["context"]).stderr).toContain("the configuration switches it off")
})

test("last shows what the last run injected, newest first, and never the prompt", () => {
  const { nswrap, json, remember } = newShop()
  const memory = remember("The staging database listens on port 5433")
  nswrap(["--tool", "claude", "--", "true", "which staging database port xyzzyprompt"])
  nswrap(["--tool", "claude", "--", "true", "something entirely different"])
  const runs = json<{ recalled: { id: string; text: string }[] }[]>(["last", "-n", "5"])
  expect(runs.map(({ recalled }) => recalled.map(({ id }) => id))).toEqual([[], [memory.id]])
  expect(nswrap(["last", "-n", "2"]).stdout).toMatch(/score \d/)
  expect(nswrap(["last", "-n", "2", "--json"]).stdout).not.toContain("xyzzyprompt")
})

test("persona keeps every version, says nothing twice, and restores", () => {
  const { nswrap, json } = newShop()
  expect(nswrap(["persona", "set", "terse"]).stdout).toBe("persona set\n")
  expect(nswrap(["persona", "set", "terse"]).stdout).toBe("persona unchanged\n")
  expect(nswrap(["persona", "set"], { stdin: "long-winded\n" }).stdout).toBe("persona set\n")
  expect(nswrap(["persona"]).stdout).toBe("long-winded\n")
  expect(nswrap(["persona", "set", ""]).stdout).toBe("persona removed\n")
  expect(nswrap(["persona", "get"]).stdout).toBe("")
  expect(json<{ version: number; text: string }[]>(["persona", "history"]).map(({ text }) => text)).toEqual(["", "long-winded", "terse"])
  nswrap(["persona", "history", "--restore", "1"])
  expect(nswrap(["persona"]).stdout).toBe("terse\n")
  expect(nswrap(["persona", "history", "--restore", "9"]).status).toBe(1)
})

test("persona edit opens the editor, and a project's persona is its own", () => {
  const { nswrap, editor, remember } = newShop()
  remember("makes the project")
  nswrap(["persona", "set", "terse"])
  nswrap(["persona", "edit", "--project", "shop"], { env: { EDITOR: editor('echo "of the shop" > "$1"') } })
  expect(nswrap(["persona", "get", "--project", "shop"]).stdout).toBe("of the shop\n")
  expect(nswrap(["persona"]).stdout).toBe("terse\n")
  expect(nswrap(["persona", "get", "--project", "shp"]).stderr).toContain("shop")
})
