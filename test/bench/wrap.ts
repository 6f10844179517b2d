// bun run bench:wrap: what nswrap adds to the start of a command. Whole processes of the compiled binary, interleaved
// with an empty compiled Bun program in the same run; ratios of medians. BENCH_RUNS=200 for a quieter figure.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { seed } from "../helpers/seed.ts"

const RUNS = Number(process.env["BENCH_RUNS"] ?? 120)
const directory = mkdtempSync(join(tmpdir(), "nswrap-bench-"))
const flags = ["--compile", "--production", "--bytecode", "--format=esm", "--splitting", "--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"]

try {
  run(["bun", "build.ts"], process.cwd())
  writeFileSync(join(directory, "empty.ts"), "export {}\n")
  run(["bun", "build", ...flags, "empty.ts", "--outfile", "built"], directory)
  // How a file came into the page cache moves its start by a millisecond: both are written in the same way.
  for (const [from, to] of [[join(directory, "built"), "empty"], ["dist/nswrap", "nswrap"]] as const)
    writeFileSync(join(directory, to), readFileSync(from), { mode: 0o755 })
  writeFileSync(join(directory, "claude"), "#!/bin/true\n", { mode: 0o755 })
  mkdirSync(join(directory, "work"))
  for (const count of [10_000, 100_000]) await seed(join(directory, `home-${count}`), count)

  const environment = (count: number, more = {}) => ({ PATH: `${directory}:/usr/bin:/bin`, HOME: directory, NS_HOME: join(directory, `home-${count}`), ...more })
  const question = ["claude", "-p", "why does the login endpoint reject signed URLs after the migration?"]
  const cases: Case[] = [
    { name: "/bin/true", argv: ["/bin/true"], env: {} },
    { name: "empty compiled program", argv: [join(directory, "empty")], env: {} },
    { name: "bypass: nswrap --no-context -- true", argv: ["nswrap", "--no-context", "--", "true"], env: environment(10_000), atMost: 1.45 },
    { name: "bypass: nswrap -- claude --version", argv: ["nswrap", "--", "claude", "--version"], env: environment(10_000), atMost: 1.45 },
    { name: "stable context, 10,000 memories", argv: ["nswrap", "--", "true"], env: environment(10_000, { TOOL_NAME: "claude-code" }), atMost: 1.6, p95AtMost: 2 },
    { name: "stable context, 100,000 memories", argv: ["nswrap", "--", "true"], env: environment(100_000, { TOOL_NAME: "claude-code" }), atMost: 1.7 },
    { name: "recall by prompt, 10,000 memories", argv: ["nswrap", "--", ...question], env: environment(10_000), atMost: 3 },
    { name: "recall by prompt, 100,000 memories", argv: ["nswrap", "--", ...question], env: environment(100_000), atMost: 4.5 },
  ]
  const samples = measure(cases)
  report(cases, samples)
} finally {
  rmSync(directory, { recursive: true, force: true })
}

interface Case {
  name: string
  argv: string[]
  env: Record<string, string>
  atMost?: number
  p95AtMost?: number
}

function measure(cases: Case[]): number[][] {
  const samples: number[][] = cases.map(() => [])
  for (let round = -5; round < RUNS; round++) {
    for (const [i, { argv, env }] of cases.entries()) {
      const [file, ...rest] = argv
      const path = file === "nswrap" ? join(directory, "nswrap") : file!
      const start = Bun.nanoseconds()
      const { exitCode } = Bun.spawnSync([path, ...rest], { env, cwd: join(directory, "work"), stdin: "ignore", stdout: "ignore", stderr: "inherit" })
      const ms = (Bun.nanoseconds() - start) / 1e6
      if (exitCode !== 0) throw new Error(`${argv.join(" ")} ended with ${exitCode}`)
      if (round >= 0) samples[i]!.push(ms)
    }
  }
  return samples
}

function report(cases: Case[], samples: number[][]): void {
  const base = samples[1]!.toSorted((a, b) => a - b)
  console.log(`${RUNS} interleaved runs, ${cpus()[0]?.model ?? "?"}, ${cpus().length} cores, Bun ${Bun.version}`)
  console.log(`${"".padEnd(40)}${"median".padStart(9)}${"p95".padStart(9)}${"ratio".padStart(8)}${"at most".padStart(9)}${"p95/p95".padStart(9)}`)
  let missed = 0
  for (const [i, { name, atMost, p95AtMost }] of cases.entries()) {
    const sorted = samples[i]!.toSorted((a, b) => a - b)
    const ratio = quantile(sorted, 0.5) / quantile(base, 0.5)
    const p95 = quantile(sorted, 0.95) / quantile(base, 0.95)
    const isMissed = ratio > (atMost ?? Infinity) || p95 > (p95AtMost ?? Infinity)
    if (isMissed) missed++
    console.log(`${name.padEnd(40)}${quantile(sorted, 0.5).toFixed(2).padStart(6)} ms${quantile(sorted, 0.95).toFixed(2).padStart(6)} ms${ratio.toFixed(2).padStart(7)}x${(atMost === undefined ? "" : `${atMost}x`).padStart(9)}${p95.toFixed(2).padStart(8)}x${isMissed ? "  MISSED" : ""}`)
  }
  process.exitCode = missed > 0 ? 1 : 0
}

function quantile(sorted: number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!
}

function run(argv: string[], cwd: string): void {
  const { exitCode, stderr } = Bun.spawnSync(argv, { cwd, stdout: "ignore", stderr: "pipe" })
  if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr.toString()}`)
}
