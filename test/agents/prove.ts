/**
 * Proves with the real tools that a context reaches the model.
 *
 *   bun run prove                  all six
 *   bun run prove codex claude     only these
 *   --dir DIR                      where the tools are installed (default ~/.cache/nswrap-prove; about 1.4 GB for all)
 *
 * Installs the pinned versions from npm, without their install scripts and away from everything else, builds dist/nswrap
 * (or takes NSWRAP_BINARY) and runs `nswrap doctor --prove`. Status 1 when one tool fails.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { homedir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"

const platform = `${process.platform}-${process.arch}`

/** The versions that nswrap is known to work with. `program` is where npm puts it when install scripts do not run. */
const PINNED: Record<string, { package: string; version: string; program: string }> = {
  claude: {
    package: `@anthropic-ai/claude-code-${platform}`,
    version: "2.1.330",
    program: `@anthropic-ai/claude-code-${platform}/claude`,
  },
  codex: { package: "@openai/codex", version: "0.169.0", program: ".bin/codex" },
  gemini: { package: "@google/gemini-cli", version: "0.61.0", program: ".bin/gemini" },
  opencode: { package: "opencode-ai", version: "1.18.33", program: `opencode-${platform}/bin/opencode` },
  qwen: { package: "@qwen-code/qwen-code", version: "0.15.10", program: ".bin/qwen" },
  copilot: { package: "@github/copilot", version: "1.0.102", program: ".bin/copilot" },
}

const root = resolve(import.meta.dir, "../..")
const { values, positionals } = parseArgs({ options: { dir: { type: "string" } }, allowPositionals: true })
const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache")
const directory = resolve(values.dir ?? join(cache, "nswrap-prove"))
const names = positionals.length > 0 ? positionals : Object.keys(PINNED)
const strange = names.filter((name) => !Object.hasOwn(PINNED, name))
if (strange.length > 0) fail(`no pinned version of ${strange.join(", ")}; there is ${Object.keys(PINNED).join(", ")}`)

const bin = join(directory, "bin")
mkdirSync(bin, { recursive: true })
for (const name of names) install(name)
process.exit(prove())

function install(name: string): void {
  const pin = PINNED[name]!
  const place = join(directory, name)
  if (installedVersion(place, pin.package) !== pin.version) {
    say(`installing ${pin.package}@${pin.version} in ${place}`)
    rmSync(place, { recursive: true, force: true })
    mkdirSync(place, { recursive: true })
    run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", place, `${pin.package}@${pin.version}`])
  }
  const program = join(place, "node_modules", pin.program)
  if (!existsSync(program)) fail(`${pin.package}@${pin.version} has no ${program}: is ${platform} supported by ${name}?`)
  rmSync(join(bin, name), { force: true })
  symlinkSync(program, join(bin, name))
}

function installedVersion(place: string, name: string): string | null {
  const file = join(place, "node_modules", name, "package.json")
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version : null
}

function prove(): number {
  const binary = process.env.NSWRAP_BINARY ?? join(root, "dist/nswrap")
  if (!process.env.NSWRAP_BINARY) run(process.execPath, ["build.ts"])
  // The developer's own memories and configuration have no part in this.
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, NS_HOME: join(directory, "no-memories") }
  return spawnSync(binary, ["doctor", "--prove", ...names], { env, stdio: "inherit" }).status ?? 1
}

function run(program: string, args: string[]): void {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] })
  if (status !== 0) fail(`${program} ${args[0]} failed${error ? `: ${error.message}` : ` with status ${status}`}`)
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

function fail(line: string): never {
  say(`prove: ${line}`)
  process.exit(1)
}
