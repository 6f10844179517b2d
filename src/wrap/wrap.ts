import { setEnv, unsetEnv, writeErr } from "../system/libc.ts"
import { SHIMS, type WrapRequest } from "./arguments.ts"
import { execCommand, execFailure } from "./exec.ts"
import type { Plan } from "./plan.ts"
import { isShim, resolveOnPath } from "./program.ts"
import { type Ready, recordReady, takeReady } from "./ready.ts"
import { isTrivial, isTrivialName } from "./trivial.ts"

const PREFILLED_BYTES_MAX = 1024 * 1024

/**
 * The story of a wrapped run. What takes no context becomes the command at once, and so does what an earlier run made
 * ready (ready.ts); for all else it is found out which tool, project and prompt this is and what matters for it (plan.ts),
 * and then our process becomes the command too. An error of ours is never the user's: the command runs without context.
 * Returns only when the command could not be started (its exit status), or after a dry run.
 */
export async function wrap(request: WrapRequest): Promise<number> {
  if (isTrivial(request) && !startsShim(request)) return fail(request, becomeCommand(request))
  const ready = takeReady(request)
  if (ready !== null) return fail(request, becomeReady(request, ready))
  let plan: Plan
  try {
    const { planRun } = await import("./plan.ts")
    plan = await planRun(request)
  } catch (error) {
    if (request.options.dryRun) throw error
    return fail(request, becomeCommand(request))
  }
  if (request.options.dryRun) return (await import("./dry-run.ts")).printDryRun(request, plan)
  return handOver(request, plan)
}

/** A script that calls nswrap again must find the tool behind it, also where no context is wanted (`claude --version`). */
function startsShim({ argv, env }: WrapRequest): boolean {
  if (isTrivialName(argv[0]!)) return false
  const path = resolveOnPath(argv[0]!, env["PATH"] ?? "")
  return path !== null && isShim(path)
}

function becomeCommand({ argv, rawOffset }: WrapRequest): { errno: number } {
  const parts: { raw: number }[] = []
  for (let raw = rawOffset; raw < rawOffset + argv.length; raw++) parts.push({ raw })
  return execCommand({ file: argv[0]!, argv: parts })
}

/** With the context that an earlier run like this one prepared. */
function becomeReady(request: WrapRequest, ready: Ready): { errno: number } {
  recordReady(request, ready)
  setEnv("NS_CONTEXT_FILE", ready.file)
  if (ready.toolMark !== null) setEnv("NSWRAP_TOOL", ready.toolMark)
  return becomeCommand(request)
}

async function handOver(request: WrapRequest, plan: Plan): Promise<number> {
  const { argv, rawOffset, env, cwd } = request
  const { program, injection, run } = plan
  for (const [name, value] of Object.entries(injection?.environment ?? {})) setEnv(name, value)
  if (plan.toolMark !== null) setEnv("NSWRAP_TOOL", plan.toolMark)
  if (program.isShim) setEnv(SHIMS, [...program.passed, program.path].join(":"))
  else if (program.passed.length > 0) unsetEnv(SHIMS)

  const parts = (injection?.argv ?? argv.map((_, raw) => ({ raw }))).map((part) => (typeof part === "string" ? part : { ...part, raw: part.raw + rawOffset }))
  const prefix = injection?.stdinPrefix ?? null
  if (plan.captures || (prefix !== null && !(await prefill(prefix, plan)))) {
    const { stay } = await import("./stay.ts")
    return fail(request, await stay({ file: program.file, argv: parts, prefix, capture: plan.captures, run, env, cwd }))
  }
  return fail(request, execCommand({ file: program.file, argv: parts }))
}

/** Puts the context and all of a finished stdin into one pipe, so that we need not stay to feed it. */
async function prefill(prefix: Uint8Array, { stdin }: Plan): Promise<boolean> {
  const { replaceStdin } = await import("./stdin.ts")
  if (stdin === null || stdin.kind === "tty" || stdin.kind === "none") return replaceStdin(prefix)
  if (!stdin.complete || prefix.length + stdin.bytes.length > PREFILLED_BYTES_MAX) return false
  return replaceStdin(Buffer.concat([prefix, stdin.bytes]), stdin)
}

/** The shell's words and status for a command that could not be started. */
async function fail(request: WrapRequest, { errno }: { errno: number }): Promise<number> {
  const { argv } = request
  const { status, message } = execFailure(argv[0]!, errno)
  writeErr(`${message}${status === 127 && !argv[0]!.includes("/") ? await suggestion(request) : ""}\n`)
  return status
}

async function suggestion({ argv, suggest }: WrapRequest): Promise<string> {
  const near = await suggest(argv[0]!)
  return near === null ? "" : ` (did you mean nswrap ${near}?)`
}
