import { onOff } from "../config/on-off.ts"
import type { WrapRequest } from "./arguments.ts"

/** Commands that nobody asks anything: a memory could only slow them down. */
const TRIVIAL = new Set(["ls", "pwd", "cd", "clear", "date", "whoami", "hostname", "uname", "which", "type", "env", "printenv", "id", "df", "du", "ps", "top", "htop", "free", "uptime", "man"])
const TRIVIAL_GIT = new Set(["status", "log", "diff", "branch", "fetch", "pull", "push", "add", "stash", "checkout", "switch", "show", "remote", "rev-parse"])
const VERSIONS = new Set(["--version", "--help"])

/**
 * Whether a run takes no context, as far as the words of the command line and the environment tell: by request, or because
 * of what it runs. The rest of nswrap is not even loaded then. A dry run and NS_DEBUG_PERF tell why, so they go the long way.
 */
export function isTrivial({ argv, options, env }: WrapRequest): boolean {
  if (options.dryRun || onOff(env["NS_DEBUG_PERF"])) return false
  if (env["NSWRAP_SHIMS"]) return false
  if (options.noContext || options.mode === "bypass") return true
  if (onOff(env["NS_BYPASS_MODE"]) || (options.mode === null && env["NS_LOADING_MODE"] === "bypass")) return true
  return isTrivialCommand(argv) && !options.capture && !options.exportText && options.channel === null
}

export function isTrivialName(command: string): boolean {
  return TRIVIAL.has(command) || command === "git"
}

/** `env` alone prints variables; `env X=1 claude` starts a tool. */
export function isTrivialCommand([command = "", ...args]: string[]): boolean {
  if (args.some((argument) => argument.includes("{context"))) return false
  const name = command.slice(command.lastIndexOf("/") + 1)
  if (name === "env") return args.length === 0
  if (name === "git") return args.length === 0 || TRIVIAL_GIT.has(args[0]!)
  return TRIVIAL.has(name) || (args.length === 1 && VERSIONS.has(args[0]!))
}
