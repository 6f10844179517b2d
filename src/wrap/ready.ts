import { onOff } from "../config/on-off.ts"
import { type Environment, resolvePaths } from "../config/paths.ts"
import type { Memory } from "../memory/memory.ts"
import type { Run } from "../store/runs.ts"
import { appendFile, descriptorType, fileIdentity, fileStamp, LINUX, readFileText, touch, writeFileAtomic } from "../system/libc.ts"
import type { WrapRequest } from "./arguments.ts"

/**
 * A program that is no known tool and is asked nothing gets the stable part of its project by file, and that is the same
 * from run to run. So what was prepared is kept beside the contexts, with stamps of all that it came from, and the next
 * such run needs neither the database nor the tool table. Anything that changed, and any doubt, means a run of the usual kind.
 */
export interface Ready {
  version: 1
  /** Stamps of the database, its log, the configuration and the directories in which a repository could be. */
  stamps: string
  /** Not after this time (epoch ms): a memory in it expires. */
  until: number
  file: string
  toolMark: string | null
  run: Run
}

const READY_BYTES_MAX = 64 * 1024
const LIFE_MS_MAX = 86_400_000
/** Clocks of file systems tick every 4 ms: a file written this shortly before may be written again without a new stamp. */
const SETTLED_MS = 100
const S_IFCHR = 0o020000
/** Three words or more: a question (see readCommand). */
const QUESTION = /\S\s+\S+\s+\S/

/** The context of an earlier run like this one, if it is still exactly what this one would get; else null. */
export function takeReady(request: WrapRequest): Ready | null {
  if (!isAskedNothing(request)) return null
  try {
    const ready = JSON.parse(readFileText(readyFile(request), READY_BYTES_MAX) ?? "null") as Ready | null
    if (ready === null || ready.version !== 1 || Date.now() > ready.until) return null
    const { stamps } = takeStamps(request)
    return stamps === ready.stamps && touch(ready.file) ? ready : null
  } catch {
    return null
  }
}

/** One line for `nswrap last`, as the usual run leaves it. */
export function recordReady({ env }: WrapRequest, { run }: Ready): void {
  const start = Math.round(performance.now() * 100) / 100
  appendFile(resolvePaths(env).runs, Buffer.from(`${JSON.stringify({ ...run, t: Date.now(), stages: { start } })}\n`), 0o600)
}

/** Stamps to be taken before anything is read, and whether they are old enough to be trusted; null where nothing is kept. */
export function stampsBefore(request: WrapRequest): { stamps: string; isSettled: boolean } | null {
  try {
    return isAskedNothing(request) ? takeStamps(request) : null
  } catch {
    return null
  }
}

/** Keeps what a run prepared for the next one like it. `memories`: all that stand in it. */
export function keepReady(request: WrapRequest, { stamps, file, toolMark, run, memories }: Omit<Ready, "version" | "until"> & { memories: Memory[] }): void {
  const until = Math.min(run.t + LIFE_MS_MAX, ...memories.map(({ expires_at }) => expires_at ?? Number.POSITIVE_INFINITY))
  const ready: Ready = { version: 1, stamps, until, file, toolMark, run }
  writeFileAtomic(readyFile(request), Buffer.from(JSON.stringify(ready)), 0o600)
}

function isAskedNothing({ argv, options, env }: WrapRequest): boolean {
  if (!LINUX || options.dryRun || options.capture || options.exportText || options.channel !== null) return false
  if (onOff(env["NS_DEBUG_PERF"]) || onOff(env["NS_COMPAT"]) || env["NSWRAP_SHIMS"]) return false
  if (argv.some((argument) => QUESTION.test(argument) || argument.includes("{context"))) return false
  return descriptorType(0) === S_IFCHR
}

function readyFile({ argv, options, env, cwd }: WrapRequest): string {
  const own = Object.entries(env).filter(([name]) => name.startsWith("NS_") || name === "TOOL_NAME").toSorted()
  const key = JSON.stringify([cwd, argv[0], env["PATH"], options.tool, options.mode, options.onlyPersona, own])
  return `${contexts(env)}/.ready-${Bun.hash.wyhash(key).toString(16)}`
}

function contexts(env: Environment): string {
  return resolvePaths(env).contexts
}

function takeStamps({ env, cwd }: WrapRequest): { stamps: string; isSettled: boolean } {
  const { database, configFile } = resolvePaths(env)
  // An empty log says nothing, and any reader may make one.
  const files = [database, `${database}-wal`, configFile].map(fileStamp).filter(({ sizeBytes }) => sizeBytes > 0)
  const places: string[] = []
  for (let directory = cwd; ; directory = directory.slice(0, directory.lastIndexOf("/"))) {
    const git = fileIdentity(`${directory}/.git`)
    if (git !== null) places.push(`${directory} ${git.inode}:${git.birth}`, fileStamp(`${directory}/.git/config`).stamp)
    if (directory === "") break
  }
  const newest = Math.max(0, ...files.map(({ changedMs }) => changedMs))
  return { stamps: [...files.map(({ stamp }) => stamp), ...places].join(" "), isSettled: Date.now() - newest > SETTLED_MS }
}
