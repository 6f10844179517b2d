// Law 1: the user's command always runs, unchanged, whatever is wrong with us.
import { Database } from "bun:sqlite"
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { binary, run, type RunOptions } from "../helpers/binary.ts"

const COMMAND = ["--", "sh", "-c", 'echo "in:$(cat)"; echo err >&2; exit 7', "what do we know of the login endpoint"]
let prepared: string
let scratch: string

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "nswrap-law-"))
  chmodSync(scratch, 0o755)
  prepared = join(scratch, "prepared")
  writeFileSync(join(scratch, "tell"), '#!/bin/sh\n[ -z "$NS_CONTEXT_FILE" ] || cat "$NS_CONTEXT_FILE"\n', { mode: 0o755 })
  for (const text of ["The login endpoint signs JWT tokens", "Deploys happen on Tuesdays"]) expect(run(["remember", text], { env: { NS_HOME: prepared } }).status).toBe(0)
  expect(run(["persona", "set", "PERSONA-MARK"], { env: { NS_HOME: prepared } }).status).toBe(0)
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** A copy of the prepared home, to be damaged. */
function newHome(): string {
  const home = mkdtempSync(join(scratch, "home-"))
  cpSync(prepared, home, { recursive: true })
  return home
}

function expectRuns(options: RunOptions) {
  const ran = run(COMMAND, { stdin: "hello", ...options })
  expect({ status: ran.status, stdout: ran.stdout, stderr: ran.stderr }).toEqual({ status: 7, stdout: "in:hello\n", stderr: "err\n" })
  return ran
}

/** What the run told the command: the context file's text, or "" without one. */
function contextOf(options: RunOptions): string {
  return run(["--", join(scratch, "tell"), "what do we know of the login endpoint"], options).stdout
}

test("the prepared home gives context, so that the cases below lose something", () => {
  expect(contextOf({ env: { NS_HOME: newHome() } })).toContain("The login endpoint signs JWT tokens")
})

describe("the command runs with", () => {
  test("no home at all", () => void expectRuns({ env: { HOME: undefined, NS_HOME: undefined } }))
  test("a home that does not exist and cannot be made", () => void expectRuns({ env: { HOME: "/proc/none", NS_HOME: "/proc/none/here" } }))
  test("garbage for a database", () => {
    const home = newHome()
    for (const name of readdirSync(home)) if (name.startsWith("memory.db")) rmSync(join(home, name))
    writeFileSync(join(home, "memory.db"), Buffer.alloc(20_000, "garbage "))
    expectRuns({ env: { NS_HOME: home } })
    expect(run(["doctor"], { env: { NS_HOME: home } }).status).toBe(1)
  })
  test("a truncated database, at every length", () => {
    const home = newHome()
    const path = join(home, "memory.db")
    const db = new Database(path)
    db.run("pragma wal_checkpoint(truncate)")
    db.close()
    for (const size of [60_000, 30_000, 8192, 5000, 100, 10, 0]) {
      truncateSync(path, size)
      expectRuns({ env: { NS_HOME: home } })
    }
  })
  test("a directory for a database", () => {
    const home = mkdtempSync(join(scratch, "dir-"))
    mkdirSync(join(home, "memory.db"))
    expectRuns({ env: { NS_HOME: home } })
  })
  test("a database of a newer nswrap, and doctor tells the reason", () => {
    const home = newHome()
    const db = new Database(join(home, "memory.db"))
    db.run("pragma user_version = 99")
    db.close()
    expectRuns({ env: { NS_HOME: home } })
    const debug = run(["--", "true"], { env: { NS_HOME: home, NS_DEBUG_PERF: "1" } })
    expect(debug.stderr).toContain("newer nswrap")
    expect(run(["doctor"], { env: { NS_HOME: home } }).stdout).toContain("newer nswrap")
  })
  test("a database locked for writing for ever: with context, and soon", () => {
    const home = newHome()
    const db = new Database(join(home, "memory.db"))
    db.run("begin immediate")
    const start = performance.now()
    expectRuns({ env: { NS_HOME: home } })
    expect(contextOf({ env: { NS_HOME: home } })).toContain("login endpoint signs")
    expect(performance.now() - start).toBeLessThan(3000)
    db.run("rollback")
    db.close()
  })
  test("a database locked exclusively for ever", () => {
    const home = newHome()
    const db = new Database(join(home, "memory.db"))
    db.run("pragma locking_mode = exclusive")
    db.run("begin exclusive")
    db.run("create table mine (x)")
    const start = performance.now()
    expectRuns({ env: { NS_HOME: home } })
    expect(performance.now() - start).toBeLessThan(2000)
    db.close()
  })
  test("a read-only home: with context from what is there", () => {
    const home = newHome()
    const db = new Database(join(home, "memory.db"))
    db.run("pragma wal_checkpoint(truncate)")
    db.close()
    for (const suffix of ["-wal", "-shm"]) rmSync(join(home, `memory.db${suffix}`), { force: true })
    rmSync(join(home, "context"), { recursive: true, force: true })
    spawnSync("chmod", ["-R", "a+rX,a-w", home])
    const asNobody = process.getuid?.() === 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []
    const [file, ...rest] = [...asNobody, binary(), ...COMMAND]
    const ran = spawnSync(file!, rest, { env: { PATH: process.env["PATH"], HOME: home, NS_HOME: home, NS_DEBUG_PERF: "1" }, cwd: "/", input: "hello", encoding: "utf8" })
    expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status: 7, stdout: "in:hello\n" })
    expect(ran.stderr).toContain("could not be written")
    chmodSync(home, 0o700)
  })
  test("no room to write anything", () => {
    const home = newHome()
    const full = ["-c", 'ulimit -f 0; exec "$0" "$@"', binary(), ...COMMAND]
    const ran = spawnSync("bash", full, { env: { PATH: process.env["PATH"], HOME: home, NS_HOME: home }, cwd: home, input: "hello", encoding: "utf8" })
    expect({ status: ran.status, stdout: ran.stdout, stderr: ran.stderr }).toEqual({ status: 7, stdout: "in:hello\n", stderr: "err\n" })
    const lost = spawnSync("bash", ["-c", 'ulimit -f 0; exec "$0" "$@"', binary(), "remember", "something new"], { env: { PATH: process.env["PATH"], HOME: home, NS_HOME: home }, cwd: home, encoding: "utf8" })
    expect(lost.status).toBe(1)
    expect(lost.stderr).toStartWith("nswrap: ")
    expect(lost.stdout).not.toContain("remembered")
    const after = run(["list", "--json"], { env: { NS_HOME: home } })
    expect(JSON.parse(after.stdout)).toHaveLength(2)
  })
  test("a TMPDIR that cannot be used", () => {
    for (const TMPDIR of ["/proc/none", "/dev/null", ""]) expectRuns({ env: { NS_HOME: newHome(), TMPDIR } })
  })
  test("10,000 environment variables, all of which reach it", () => {
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`MANY_${i}`, String(i)]))
    expect(run(["--", "sh", "-c", "env | grep -c ^MANY_"], { env: { ...many, NS_HOME: newHome() } }).stdout).toBe("10000\n")
  })
  test("a configuration of garbage, told by doctor", () => {
    const home = newHome()
    writeFileSync(join(home, "config.yaml"), "a: [\n\t:::\0")
    expectRuns({ env: { NS_HOME: home } })
    expect(run(["doctor"], { env: { NS_HOME: home } }).stdout).toContain("config.yaml")
  })
  test("a hostile working directory, NODE_OPTIONS, BUN_OPTIONS and BUN_BE_BUN", () => {
    const cwd = mkdtempSync(join(scratch, "hostile-"))
    const evil = `require("fs").writeFileSync(${JSON.stringify(join(cwd, "owned"))}, "")`
    writeFileSync(join(cwd, "evil.js"), evil)
    writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./evil.js"]\n')
    writeFileSync(join(cwd, ".env"), "EVIL=1\nNS_BYPASS_MODE=1\n")
    writeFileSync(join(cwd, "package.json"), "{ not json")
    writeFileSync(join(cwd, "tsconfig.json"), "{ not json")
    mkdirSync(join(cwd, "node_modules/citty"), { recursive: true })
    writeFileSync(join(cwd, "node_modules/citty/index.js"), evil)
    for (const name of ["libc.so.6", "libc.so"]) writeFileSync(join(cwd, name), "evil")
    const env = { NS_HOME: newHome(), NODE_OPTIONS: `--require ${cwd}/evil.js`, BUN_OPTIONS: `--preload ${cwd}/evil.js`, BUN_BE_BUN: "1" }
    expectRuns({ cwd, env })
    expect(run(["--", "sh", "-c", 'echo "$EVIL|$NODE_OPTIONS|$BUN_OPTIONS|$BUN_BE_BUN"'], { cwd, env }).stdout).toBe(`|${env.NODE_OPTIONS}|${env.BUN_OPTIONS}|1\n`)
    expect(run(["list"], { cwd, env }).stdout).toContain("login endpoint")
    expect(existsSync(join(cwd, "owned"))).toBe(false)
  })
  test("a deadline of 0 ms: at once, without context", () => {
    const env = { NS_HOME: newHome(), NS_MAX_WAIT_MS: "0" }
    expectRuns({ env })
    expect(contextOf({ env })).toBe("")
  })
})

describe("without context on request", () => {
  for (const [name, args, env] of [
    ["--no-context", ["--no-context"], {}], ["--incognito", ["--incognito"], {}], ["NS_BYPASS_MODE", [], { NS_BYPASS_MODE: "1" }], ["--mode bypass", ["--mode", "bypass"], {}],
    ["NS_LOADING_MODE", [], { NS_LOADING_MODE: "bypass" }],
  ] as const) {
    test(name, () => {
      const home = newHome()
      const ran = run([...args, "--", "sh", "-c", "env | grep -E 'NS_CONTEXT|NSWRAP' ; exit 3", "tell me about the login"], { env: { NS_HOME: home, ...env } })
      expect([ran.status, ran.stdout, existsSync(join(home, "runs.jsonl"))]).toEqual([3, "", false])
    })
  }
  test("NS_BYPASS_MODE=0 is not on", () => {
    expect(contextOf({ env: { NS_HOME: newHome(), NS_BYPASS_MODE: "0" } })).toContain("PERSONA-MARK")
  })
})
