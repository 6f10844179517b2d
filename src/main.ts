import { AVAILABLE, RESERVED } from "./cli/names.ts"
import { errorLine, exitStatus } from "./errors.ts"
import { writeErr } from "./system/libc.ts"
import { readArguments, type Request } from "./wrap/arguments.ts"
import { rememberInheritedDescriptors } from "./wrap/exec.ts"
import { wrap } from "./wrap/wrap.ts"

// What a child may inherit is known only before anything of ours is open.
rememberInheritedDescriptors()

// [bun, our own file, …]: what the user typed begins at 2 here, and at 1 in the process's own command line.
const args = process.argv.slice(2)
const request = readOrExit()

if (request.kind === "wrap") {
  process.exit(await wrap({
    argv: args.slice(request.commandAt),
    rawOffset: request.commandAt + 1,
    options: request.options,
    env: process.env,
    cwd: process.cwd(),
    suggest: async (name) => (await import("./cli/arguments.ts")).closest(name, AVAILABLE),
  }))
}
// Not process.exit(): what was printed may still be on its way through a pipe.
Bun.unsafe.setJITPolicy?.(1)
const { runCli } = await import("./cli/index.ts")
process.exitCode = await runCli(request.kind === "help" ? [] : args)

function readOrExit(): Request {
  try {
    return readArguments(args, (name) => RESERVED.has(name))
  } catch (error) {
    writeErr(`${errorLine(error)}\n`)
    process.exit(exitStatus(error))
  }
}
