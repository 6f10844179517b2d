import { NswrapError } from "../errors.ts"
import { MODES, type Mode } from "../config/modes.ts"
import type { Environment } from "../config/paths.ts"

export interface WrapOptions {
  tool: string | null
  mode: Mode | null
  noContext: boolean
  onlyPersona: boolean
  dryRun: boolean
  capture: boolean
  exportText: boolean
  channel: "stdin" | "file" | null
}

export interface WrapRequest {
  /** The command and its arguments. */
  argv: string[]
  /** Where `argv` begins in this process's own command line, so that arguments keep their bytes. */
  rawOffset: number
  options: WrapOptions
  env: Environment
  cwd: string
  /** A command of ours that a mistyped name is near to. */
  suggest: (name: string) => Promise<string | null>
}

/** Paths of shims passed on the way to the real tool, separated by colons. */
export const SHIMS = "NSWRAP_SHIMS"

/** What a command line asks for: to wrap a program, to run one of our own commands, or the short help. */
export type Request =
  | { kind: "wrap"; options: WrapOptions; commandAt: number }
  | { kind: "command" }
  | { kind: "help" }

/**
 * Splits our own options from the command. Only a `--` before the command is ours: the first word that is no option of
 * ours is the command, and all that follows belongs to it. `commandAt` is its index in `args`.
 * @throws usage for an option that is not ours, or one without its value
 */
export function readArguments(args: string[], isReserved: (name: string) => boolean): Request {
  const options: WrapOptions = { tool: null, mode: null, noContext: false, onlyPersona: false, dryRun: false, capture: false, exportText: false, channel: null }
  let at = 0
  for (; at < args.length; at++) {
    const argument = args[at]!
    if (argument === "--") {
      if (at + 1 >= args.length) throw new NswrapError("usage", "there is no command after --; for example: nswrap -- claude \"fix the bug\"")
      return { kind: "wrap", options, commandAt: at + 1 }
    }
    if (!argument.startsWith("-") || argument === "-") break
    const [name, inline] = splitOption(argument)
    const flag = FLAGS[name]
    if (flag !== undefined) {
      if (inline !== null) throw new NswrapError("usage", `${name} takes no value`)
      flag(options)
      continue
    }
    const valued = VALUED[name]
    if (valued === undefined) {
      if (at === 0) return { kind: "command" }
      throw new NswrapError("usage", `${name} is no option of nswrap; options of the command go behind it: nswrap -- CMD ${name}`)
    }
    const value = inline ?? args[++at]
    if (value === undefined || value === "" || (inline === null && value === "--")) throw new NswrapError("usage", `${name} needs a value`)
    valued(options, value)
  }
  if (at >= args.length) {
    if (args.length === 0) return { kind: "help" }
    throw new NswrapError("usage", `there is no command after ${args.join(" ")}; for example: nswrap ${args.join(" ")} -- claude "fix the bug"`)
  }
  if (!isReserved(args[at]!)) return { kind: "wrap", options, commandAt: at }
  if (at === 0) return { kind: "command" }
  throw new NswrapError("usage", `${args[at]} is a command of nswrap's own; to run a program of that name put -- before it, else put ${args[0]} behind it`)
}

const FLAGS: Record<string, (options: WrapOptions) => void> = {
  "--no-context": (options) => void (options.noContext = true),
  "--incognito": (options) => void (options.noContext = true),
  "--dry-run": (options) => void (options.dryRun = true),
  "--capture": (options) => void (options.capture = true),
  "--env": (options) => void (options.exportText = true),
}

const VALUED: Record<string, (options: WrapOptions, value: string) => void> = {
  "--tool": (options, value) => void (options.tool = value),
  "--mode": (options, value) => void (options.mode = choose("--mode", value, MODES)),
  "--only": (options, value) => void (options.onlyPersona = choose("--only", value, ["persona"] as const) === "persona"),
  "--channel": (options, value) => void (options.channel = choose("--channel", value, ["stdin", "file"] as const)),
}

function splitOption(argument: string): [string, string | null] {
  const equals = argument.indexOf("=")
  return argument.startsWith("--") && equals > 0 ? [argument.slice(0, equals), argument.slice(equals + 1)] : [argument, null]
}

function choose<T extends string>(name: string, value: string, words: readonly T[]): T {
  const found = words.find((word) => word === value)
  if (found === undefined) throw new NswrapError("usage", `${name} ${value}: it is one of ${words.join(", ")}`)
  return found
}
