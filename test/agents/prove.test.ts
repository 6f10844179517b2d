import { afterEach, expect, test } from "bun:test"
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { formatProve, type ProveResult, runProve } from "../../src/agents/prove.ts"
import { binary, cleanEnvironment, run, temporaryHome } from "../helpers/binary.ts"

const STAND_IN = resolve(import.meta.dir, "../fixtures/prove-claude.ts")
const BUN_BIN = resolve(process.execPath, "..")

const places: string[] = []
afterEach(() => {
  for (const place of places.splice(0)) rmSync(place, { recursive: true, force: true })
})

/** A directory that holds `claude`, and a TMPDIR whose contents show what a proof leaves behind. */
function install(fault: string) {
  const place = mkdtempSync(join(tmpdir(), "nswrap-prove-test-"))
  places.push(place)
  const tmp = join(place, "tmp")
  mkdirSync(tmp)
  copyFileSync(STAND_IN, join(place, "claude"))
  chmodSync(join(place, "claude"), 0o755)
  writeFileSync(join(place, "fault"), fault)
  const env = { PATH: `${place}:${BUN_BIN}:${process.env.PATH}`, TMPDIR: tmp, LANG: "C.UTF-8" }
  return { place, tmp, program: join(place, "claude"), env }
}

async function prove(fault: string, boundMs?: number): Promise<{ result: ProveResult; tmp: string; place: string }> {
  const { program, env, tmp, place } = install(fault)
  const before = process.env.TMPDIR
  process.env.TMPDIR = tmp
  try {
    const [result] = await runProve({ tools: [{ name: "claude", program, version: "2.1.330" }], self: [binary()], env, boundMs })
    return { result: result!, tmp, place }
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  }
}

/** Processes whose environment names a directory: what a proof started and did not end. */
function processesIn(directory: string): string[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name))
  return pids.filter((pid) => {
    try {
      return pid !== String(process.pid) && readFileSync(`/proc/${pid}/environ`, "latin1").includes(directory)
    } catch {
      return false
    }
  })
}

test("runProve() says where context, prompt and the user's own text landed, and leaves nothing", async () => {
  const { result, tmp } = await prove("")
  expect(result.reason).toBeNull()
  expect(result).toMatchObject({
    tool: "claude", version: "2.1.330", state: "proved", ownBy: "--append-system-prompt",
    context: { path: "system[1].text", role: "system" },
    own: { path: "system[1].text", role: "system" },
    prompt: { path: "messages[0].content", role: "user" },
  })
  expect(result.tokens).toBeGreaterThan(50)
  expect(result.tokens).toBeLessThan(500)
  expect(readdirSync(tmp)).toEqual([])
})

test.each([
  ["drops the context", "the context is not in its request"],
  ["drops the fence", "without its fence"],
  ["drops the user's own", "the text given by --append-system-prompt was lost"],
  ["dies", "no request with the prompt arrived before it ended with status 3; it said: "],
])("runProve() fails a tool that %s", async (fault, reason) => {
  const { result, tmp } = await prove(fault)
  expect(result.state).toBe("failed")
  expect(result.reason).toContain(reason)
  if (fault === "dies") expect(result.reason).toContain("I have no licence")
  expect(readdirSync(tmp)).toEqual([])
})

test.skipIf(process.platform !== "linux")("runProve() ends a tool that hangs at the bound, its background process too", async () => {
  const startedAt = performance.now()
  const { result, tmp } = await prove("hangs", 1_500)
  expect(performance.now() - startedAt).toBeLessThan(15_000)
  expect(result).toMatchObject({ state: "failed", context: null, tokens: 0 })
  expect(result.reason).toContain("no request with the prompt arrived within 2 s")
  expect(readdirSync(tmp)).toEqual([])
  expect(processesIn(tmp)).toEqual([])
})

test("runProve() gives the tool no key, proxy or setting of the user", async () => {
  const { program, env, place } = install("")
  const shown = join(place, "shown")
  writeFileSync(join(place, "claude"), `#!/bin/sh\nenv > '${shown}'\n`)
  await runProve({
    tools: [{ name: "claude", program, version: null }], self: [binary()], boundMs: 5_000,
    env: { ...env, HOME: "/home/someone", ANTHROPIC_AUTH_TOKEN: "sk-real", CLAUDE_CONFIG_DIR: "/home/someone/.claude", HTTP_PROXY: "http://proxy.example:3128", TOOL_NAME: "codex", NS_BYPASS_MODE: "1" },
  })
  const text = readFileSync(shown, "utf8")
  expect(text).not.toMatch(/someone|sk-real|proxy\.example|TOOL_NAME|NS_BYPASS/)
  expect(text).toMatch(/^ANTHROPIC_BASE_URL=http:\/\/127\.0\.0\.1:\d+$/m)
})

test("formatProve() shows a row for each tool and the reason of a failure", () => {
  const proved: ProveResult = {
    tool: "claude", program: "/bin/claude", version: "2.1.330", state: "proved", context: { path: "system[2].text", role: "system" }, tokens: 145,
    prompt: { path: "messages[0].content", role: "user" }, own: { path: "system[2].text", role: "system" }, ownBy: "--append-system-prompt", durationMs: 900, reason: null,
  }
  const failed: ProveResult = { ...proved, tool: "qwen", version: null, state: "failed", context: null, own: null, reason: "no request arrived" }
  const lines = formatProve([proved, failed]).split("\n")
  expect(lines[0]).toMatch(/^tool +version +result +context arrived in/)
  expect(lines[1]).toMatch(/^claude +2\.1\.330 +proved +system\[2\]\.text \(system\) +145 +messages\[0\]\.content \(user\) +system\[2\]\.text \(system\) by --append-system-prompt +900$/)
  expect(lines[2]).toMatch(/^qwen +\? +failed +- +-/)
  expect(lines.at(-1)).toBe("qwen: no request arrived")
})

test("doctor --prove TOOL prints the table, or JSON, and its status tells whether all were proved", () => {
  const good = install("")
  const table = run(["doctor", "--prove", "claude"], { env: good.env })
  expect(table.status).toBe(0)
  expect(table.stdout).toMatch(/^claude +\? +proved +system\[1\]\.text \(system\)/m)
  const bad = install("drops the context")
  const json = run(["doctor", "--prove", "claude-code", "--json"], { env: bad.env })
  expect(json.status).toBe(1)
  expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, proofs: [{ tool: "claude", state: "failed", context: null }] })
  expect([...readdirSync(good.tmp), ...readdirSync(bad.tmp)]).toEqual([])
})

test.each([
  [["--prove", "claude"], 1, "claude is not on PATH"],
  [["--prove"], 1, "none of claude, codex"],
  [["--prove", "ollama"], 2, "ollama cannot be proved"],
  [["claude"], 2, "nswrap doctor --prove claude"],
])("doctor %j without the tool is told what is wrong", (args, status, words) => {
  const place = install("").place
  const ran = run(["doctor", ...args], { env: { PATH: join(place, "tmp") } })
  expect(ran.stderr).toContain(words)
  expect(ran.status).toBe(status)
})

test.skipIf(process.platform !== "linux")("doctor --prove that is interrupted tidies up and dies of the signal", async () => {
  const { env, tmp } = install("hangs")
  const child = Bun.spawn([binary(), "doctor", "--prove", "claude"], {
    env: { ...cleanEnvironment(temporaryHome()), ...env } as Record<string, string>, stdio: ["ignore", "ignore", "ignore"],
  })
  // The tool's background process is there: the tool runs.
  for (let tries = 0; tries < 200 && processesIn(tmp).length < 3; tries++) await Bun.sleep(50)
  expect(processesIn(tmp).length).toBeGreaterThanOrEqual(3)
  child.kill("SIGINT")
  await child.exited
  expect(child.signalCode).toBe("SIGINT")
  expect(readdirSync(tmp)).toEqual([])
  expect(processesIn(tmp)).toEqual([])
})
