/*
 * 100 MB through a captured stdout, and through a prefixed stdin, against `cat | cat` in the same run, interleaved.
 * bun test/bench/capture.ts [PROGRAM ARG…]   the program with its arguments before `--`; without: relay() alone, compiled.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const ROUNDS = 11
const MEGABYTES = 100
const directory = mkdtempSync(join(tmpdir(), "nswrap-bench-"))
try {
  const file = join(directory, "data")
  const line = `${"the quick brown fox jumps over the lazy dog @home ".repeat(2)}\n`
  writeFileSync(file, line.repeat(Math.ceil((MEGABYTES * 1e6) / line.length)))
  const empty = join(directory, "empty")
  writeFileSync(empty, "")
  const given = Bun.argv.slice(2)
  const program = given.length > 0 ? given : [await driver(directory), "--capture"]
  const own = program.map((word) => `'${word}'`).join(" ")
  const feeding = given.length > 0 ? `${own} --channel stdin` : `'${program[0]}' --prefix X`
  const rows: Record<string, string> = {
    "cat | cat": `cat '${file}' | cat >/dev/null`,
    "capture | cat": `${own} -- cat '${file}' | cat >/dev/null`,
    "capture | cat, 0 bytes": `${own} -- cat '${empty}' | cat >/dev/null`,
    "cat | prefix": `cat '${file}' | ${feeding} -- cat >/dev/null`,
  }
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(rows).map((name) => [name, []]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, command] of Object.entries(rows)) {
      const start = Bun.nanoseconds()
      Bun.spawnSync(["sh", "-c", command], { stderr: "inherit" })
      if (round > 0) times[name]?.push((Bun.nanoseconds() - start) / 1e6)
    }
  }
  const base = middle(times["cat | cat"] ?? [])
  for (const [name, each] of Object.entries(times)) {
    console.log(`${name.padEnd(24)} ${middle(each).toFixed(1).padStart(7)} ms ${(middle(each) / base).toFixed(2)}x`)
  }
} finally {
  rmSync(directory, { recursive: true })
}

function middle(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

async function driver(into: string): Promise<string> {
  const { buildRelayDriver } = await import("../helpers/relay-driver.ts")
  return buildRelayDriver(into)
}
