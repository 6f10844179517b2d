import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll } from "bun:test"

const root = resolve(import.meta.dir, "../..")
const scratch: string[] = []

/** Path of the executable under test: NSWRAP_BINARY, or dist/nswrap, built when it is missing or older than the sources. */
export function binary(): string {
  path ??= process.env.NSWRAP_BINARY ?? freshBuild()
  return path
}
let path: string | undefined

export interface RunOptions {
  /** Added to a small clean environment; `undefined` takes a variable away. */
  env?: Record<string, string | undefined>
  stdin?: string | Uint8Array
  cwd?: string
  /** HOME and NS_HOME of the run: an empty one of its own when absent. See temporaryHome(). */
  home?: string
  timeoutMs?: number
}

export interface Ran {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** Where the run kept its memories (NS_HOME). */
  nsHome: string
}

/** Runs the executable with its own HOME and NS_HOME and without the caller's NS_* variables. */
export function run(args: string[], { env = {}, stdin = "", cwd, home = temporaryHome(), timeoutMs = 20_000 }: RunOptions = {}): Ran {
  const merged = { ...cleanEnvironment(home), ...env }
  for (const name of Object.keys(merged)) if (merged[name] === undefined) delete merged[name]
  const result = spawnSync(binary(), args, { env: merged, input: stdin, cwd: cwd ?? home, timeout: timeoutMs, maxBuffer: 256 << 20 })
  if (result.error && result.status === null && result.signal === null) throw result.error
  return {
    status: result.status,
    signal: result.signal,
    stdout: result.stdout.toString(),
    stderr: result.stderr.toString(),
    nsHome: merged.NS_HOME ?? "",
  }
}

/** What a login shell would have, and nothing of ours: NS_HOME lies inside `home`. */
export function cleanEnvironment(home: string): Record<string, string | undefined> {
  return { PATH: process.env.PATH, HOME: home, NS_HOME: join(home, "nswrap"), TMPDIR: tmpdir(), LANG: "C.UTF-8", TERM: "dumb" }
}

/** A new empty directory, removed after the tests of the file. */
export function temporaryHome(): string {
  const home = mkdtempSync(join(tmpdir(), "nswrap-home-"))
  scratch.push(home)
  return home
}

afterAll(() => {
  for (const directory of scratch.splice(0)) rmSync(directory, { recursive: true, force: true })
})

function freshBuild(): string {
  const built = join(root, "dist/nswrap")
  const inputs = ["src", "build.ts", "package.json", "bun.lock"].map((name) => join(root, name))
  if (existsSync(built) && Math.max(...inputs.map(newest)) <= statSync(built).mtimeMs) return built
  mkdirSync(join(root, "dist"), { recursive: true })
  const { status, stderr } = spawnSync(process.execPath, ["build.ts"], { cwd: root, encoding: "utf8" })
  if (status !== 0) throw new Error(`bun build.ts failed:\n${stderr}`)
  return built
}

function newest(path: string): number {
  const { mtimeMs } = statSync(path)
  if (!statSync(path).isDirectory()) return mtimeMs
  return Math.max(mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))))
}
