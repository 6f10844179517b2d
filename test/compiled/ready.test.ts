// What an earlier run made ready is served only while it is exactly what a run of the usual kind would get.
import { beforeEach, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { binary, cleanEnvironment, run, temporaryHome } from "../helpers/binary.ts"

let home: string
let work: string
beforeEach(() => {
  home = temporaryHome()
  work = join(home, "work/shop")
  mkdirSync(work, { recursive: true })
  writeFileSync(join(home, "tell"), '#!/bin/sh\n[ -z "$NS_CONTEXT_FILE" ] || cat "$NS_CONTEXT_FILE"\n', { mode: 0o755 })
  nswrap("remember", "RULE-ONE keep it simple", "--kind", "rule", "--scope", "global")
  Bun.sleepSync(130)
})

const nswrap = (...args: string[]) => {
  const ran = run(args, { home, cwd: work })
  expect(ran.status).toBe(0)
  return ran.stdout
}

/** What a program that is asked nothing is told, and whether it was ready. stdin is /dev/null, as ready runs need. */
function tell(cwd = work, env: Record<string, string> = {}): { text: string; wasReady: boolean } {
  const { stdout } = spawnSync(binary(), ["--", join(home, "tell")], { env: { ...cleanEnvironment(home), ...env }, cwd, stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" })
  const runs = readFileSync(join(home, "nswrap/runs.jsonl"), "utf8").trimEnd().split("\n")
  return { text: stdout, wasReady: Object.keys((JSON.parse(runs.at(-1)!) as { stages: object }).stages).length === 1 }
}

test("the second run like it is ready, and told the same bytes", () => {
  const [first, second] = [tell(), tell()]
  expect([first.wasReady, second.wasReady]).toEqual([false, true])
  expect(first.text).toContain("RULE-ONE")
  expect(second.text).toBe(first.text)
})

test("a change of a memory counts at once, through many of them", () => {
  for (let i = 0; i < 12; i++) {
    tell()
    tell()
    nswrap("remember", `RULE-${i} number ${i}`, "--kind", "rule", "--scope", "global")
    expect(tell().text).toContain(`RULE-${i} number ${i}`)
    if (i % 3 === 0) Bun.sleepSync(130)
  }
})

test("so do a persona, a setting, forgetting and a context file that is gone", () => {
  const ready = () => (tell(), expect(tell().wasReady).toBe(true))
  ready()
  nswrap("persona", "set", "PERSONA-TWO")
  expect(tell().text).toContain("PERSONA-TWO")
  Bun.sleepSync(130)
  ready()
  writeFileSync(join(home, "nswrap/config.yaml"), "context:\n  teach: off\n")
  expect(tell().text).not.toContain("nswrap remember")
  Bun.sleepSync(130)
  ready()
  rmSync(join(home, "nswrap/context"), { recursive: true })
  expect(tell()).toMatchObject({ wasReady: false, text: expect.stringContaining("PERSONA-TWO") })
  Bun.sleepSync(130)
  ready()
  nswrap("forget", "RULE-ONE keep it simple", "--yes")
  expect(tell().text).not.toContain("RULE-ONE")
})

test("another project is another context, also when its repository is made later", () => {
  spawnSync("git", ["init", "-q", work])
  nswrap("remember", "SHOP-RULE cents only", "--kind", "rule")
  Bun.sleepSync(130)
  const inner = join(work, "inner")
  mkdirSync(inner)
  tell(inner)
  expect(tell(inner)).toMatchObject({ wasReady: true, text: expect.stringContaining("SHOP-RULE") })
  spawnSync("git", ["init", "-q", inner])
  expect(tell(inner).text).not.toContain("SHOP-RULE")
  expect(tell(home).text).not.toContain("SHOP-RULE")
})

test("a memory that expires is not served a moment longer", () => {
  nswrap("remember", "FREEZE until then", "--kind", "rule", "--scope", "global", "--ttl", "1s")
  const until = Date.now() + 1000
  Bun.sleepSync(130)
  tell()
  expect(tell().text).toContain("FREEZE")
  Bun.sleepSync(Math.max(0, until - Date.now()) + 50)
  expect(tell().text).not.toContain("FREEZE")
})

test("another mode, tool or variable is another run", () => {
  tell()
  expect(tell().wasReady).toBe(true)
  expect(tell(work, { TOOL_NAME: "codex" }).wasReady).toBe(false)
  expect(tell(work, { NS_LOADING_MODE: "minimal" }).wasReady).toBe(false)
})
