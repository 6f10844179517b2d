import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

/** Compiles test/fixtures/NAME.ts as nswrap is compiled. Call `remove` after the tests. */
export function compileFixture(name: string): { path: string; remove: () => void } {
  const place = mkdtempSync(join(tmpdir(), "nswrap-fixture-"))
  const path = join(place, name)
  const source = resolve(import.meta.dir, "../fixtures", `${name}.ts`)
  const flags = ["--production", "--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"]
  const { status, stderr } = spawnSync(process.execPath, ["build", "--compile", ...flags, source, "--outfile", path], { cwd: place, encoding: "utf8" })
  if (status !== 0) throw new Error(stderr)
  return { path, remove: () => rmSync(place, { recursive: true, force: true }) }
}
