import { join } from "node:path"

/** Compiles test/fixtures/relay-driver.ts, relay() as a program, with the flags that matter of the shipped build. */
export function buildRelayDriver(directory: string): string {
  const program = join(directory, "relayed")
  const source = join(import.meta.dir, "../fixtures/relay-driver.ts")
  const flags = "--compile --production --bytecode --format=esm --no-compile-autoload-dotenv --no-compile-autoload-bunfig"
  const built = Bun.spawnSync([process.execPath, "build", ...flags.split(" "), source, "--outfile", program], { stderr: "pipe" })
  if (built.exitCode !== 0) throw new Error(built.stderr.toString())
  return program
}
