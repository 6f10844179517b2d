import { Database } from "bun:sqlite"
import { expect, test } from "bun:test"
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { binary } from "../helpers/binary.ts"
import { newShop } from "./shop.ts"

interface Report { ok: boolean; checks: { name: string; state: string; detail: string }[] }
const report = (ran: { stdout: string }) => {
  const { ok, checks } = JSON.parse(ran.stdout) as Report
  return { ok, of: (name: string) => checks.find((check) => check.name === name) }
}

test("doctor finds nothing broken in a fresh and in a used home", () => {
  const { nswrap, remember } = newShop()
  expect(nswrap(["doctor"]).status).toBe(0)
  remember("Prices are in cents")
  const { ok, of } = report(nswrap(["doctor", "--json"]))
  expect(ok).toBe(true)
  expect(of("database")).toMatchObject({ state: "ok", detail: expect.stringContaining("1 memory") as string })
  expect(of("permissions")).toMatchObject({ state: "ok" })
})

test("doctor says which nswrap wins on PATH, and knows the Python one", () => {
  const { nswrap, home } = newShop()
  const [first, second] = [join(home, "a"), join(home, "b")]
  for (const directory of [first, second]) mkdirSync(directory)
  writeFileSync(join(first, "nswrap"), "#!/usr/bin/env python3\n", { mode: 0o755 })
  symlinkSync(binary(), join(second, "nswrap"))
  const path = (...directories: string[]) => report(nswrap(["doctor", "--json"], { env: { PATH: [...directories, "/usr/bin:/bin"].join(":") } })).of("PATH")
  expect(path(first, second)).toMatchObject({ state: "warning", detail: expect.stringContaining("the Python one of NeuralSync") as string })
  expect(path(second, first)).toMatchObject({ state: "ok" })
  expect(path()).toMatchObject({ state: "warning", detail: expect.stringContaining("not on PATH") as string })
})

test("doctor tells each tool's version and channel, and one too old", () => {
  const { nswrap, home } = newShop()
  const install = (name: string, packageName: string, version: string) => {
    const directory = join(home, "lib", name)
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, "package.json"), JSON.stringify({ name: packageName, version }))
    writeFileSync(join(directory, name), "#!/bin/sh\nexit 0\n", { mode: 0o755 })
    return directory
  }
  const path = [install("claude", "@anthropic-ai/claude-code", "2.9.0"), install("codex", "@openai/codex", "0.1.0"), "/usr/bin:/bin"].join(":")
  const { of } = report(nswrap(["doctor", "--json"], { env: { PATH: path } }))
  expect(of("claude")).toMatchObject({ state: "ok", detail: expect.stringMatching(/^2\.9\.0, .*--append-system-prompt-file/) as string })
  expect(of("codex")).toMatchObject({ state: "warning", detail: expect.stringContaining("older than") as string })
  expect(of("not found")?.detail).not.toContain("claude")
})

test("doctor warns of what others could read", () => {
  const { nswrap, remember, nsHome } = newShop()
  remember("x1")
  chmodSync(join(nsHome, "memory.db"), 0o644)
  expect(report(nswrap(["doctor", "--json"])).of("permissions")).toMatchObject({ state: "warning", detail: expect.stringContaining("memory.db") as string })
})

test("doctor ends with 1 for a damaged database and one of a newer nswrap, and touches neither", () => {
  const garbage = newShop()
  mkdirSync(garbage.nsHome, { mode: 0o700 })
  writeFileSync(join(garbage.nsHome, "memory.db"), "this is no database at all, ".repeat(100))
  const ran = garbage.nswrap(["doctor", "--json"])
  expect(ran.status).toBe(1)
  expect(report(ran).of("database")).toMatchObject({ state: "broken" })

  const newer = newShop()
  newer.remember("x1")
  const db = new Database(join(newer.nsHome, "memory.db"))
  db.run("pragma user_version = 99")
  db.close()
  const told = newer.nswrap(["doctor"])
  expect(told.status).toBe(1)
  expect(told.stdout).toMatch(/BROKEN .*newer nswrap \(schema 99/)
})

test("doctor tells the last reason for starting without context, and the configuration's problems", () => {
  const { nswrap, nsHome } = newShop()
  mkdirSync(nsHome, { mode: 0o700 })
  writeFileSync(join(nsHome, "memory.db"), "garbage ".repeat(1000), { mode: 0o600 })
  nswrap(["--tool", "claude", "--", "true"])
  writeFileSync(join(nsHome, "config.yaml"), "context:\n  gate: high\n")
  const before = nswrap(["doctor"]).stdout
  expect(before).toMatch(/WARNING {2}config .*context.gate/)
  Bun.spawnSync(["rm", join(nsHome, "memory.db")])
  nswrap(["remember", "x1"])
  expect(nswrap(["doctor"]).stdout).toMatch(/no context .* started without context: .*memory\.db/)
})
