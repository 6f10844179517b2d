import type { Database } from "bun:sqlite"
import { type Environment, type Paths, resolvePaths } from "../config/paths.ts"
import { readSettings, type Settings } from "../config/settings.ts"
import { openForReading } from "../store/database.ts"
import { locateProject, type Located, recordJoin } from "../store/projects.ts"
import { recordRun, type Run } from "../store/runs.ts"
import { isTerminal, readFileText, writeErr } from "../system/libc.ts"
import { SHIMS, type WrapRequest } from "./arguments.ts"
import { applyChannel, type Injection } from "./channel.ts"
import { isFirstTime, saveContext, saveFiles } from "./context-file.ts"
import { type PreparedContext, prepareContext } from "./prepare.ts"
import { isShim, resolveOnPath, toolVersion } from "./program.ts"
import { keepReady, stampsBefore } from "./ready.ts"
import { type Peeked, peekStdin } from "./stdin.ts"
import { findTool, identify, type Identified, readCommand, type Reading, type Tool, toolFromConfig } from "./tools.ts"
import { isTrivialCommand } from "./trivial.ts"

const STDIN_BYTES_MAX = 64 * 1024
const STDIN_WAIT_MS = 50

/**
 * Finds out all that a run needs: which tool, which project, what was asked, what matters for it, and how it gets there.
 * Never throws: an error of ours is a reason in the run's record, and the command runs as if we were not there.
 */
export async function planRun(request: WrapRequest): Promise<Plan> {
  const { options, env, argv } = request
  const stages = newStages()
  const paths = pathsOrNull(env)
  const settings = readSettings(env, paths)
  const tools = userTools(settings)
  const identified = identify(argv, tools)
  const program = locateProgram(request, identified)
  const reading = readCommand(identified.tool, argv.slice(identified.at + 1))
  const owner = options.tool ?? settings.toolName
  stages.mark("read")

  const run: Run = {
    t: Date.now(), tool: (owner === null ? null : (findTool(owner, tools)?.name ?? owner)) ?? identified.tool?.name ?? null, program: identified.program,
    project: null, mode: options.mode ?? settings.mode, channel: "none", stable: [], recalled: [], stable_tokens: 0, recalled_tokens: 0, stages: {}, reason: null,
  }
  const plan: Plan = {
    program, injection: null, stdin: null, context: null, file: null, run, settings, join: null, toolMark: null, captures: false, isLasting: false,
    bypass: bypassReason({ request, settings, reading, program, run }),
  }
  if (plan.bypass !== null || paths === null) {
    run.mode = "bypass"
    run.reason = paths === null ? "HOME is not set" : null
  } else {
    const before = stampsBefore(request)
    try {
      gather(request, plan, { paths, settings, identified, reading, tools, stages })
    } catch (error) {
      run.reason = error instanceof Error ? error.message : String(error)
      plan.injection = null
      plan.context = null
    }
    // Also when nothing was injected: what a tool remembers is a proposal whatever it was told.
    if (run.mode !== "bypass" && (owner !== null || identified.tool !== null)) plan.toolMark = run.tool
    if (before?.isSettled && plan.isLasting && plan.file !== null && plan.context !== null)
      keepReady(request, { stamps: before.stamps, file: plan.file, toolMark: plan.toolMark, run, memories: [...plan.context.stable, ...plan.context.recalled] })
    plan.captures = (options.capture || settings.compat || wantsCapture(settings, run.tool)) && !isTerminal(1)
  }
  run.stages = stages.done()
  if (paths !== null && plan.bypass === null && !options.dryRun) recordRun(paths, run)
  if (plan.join !== null) await writeJoin(plan.join, run)
  if (settings.debug && !options.dryRun) writeErr(debugLine(request, plan))
  return plan
}

/** What was found out about a run, for hand-over, dry run and record. */
export interface Plan {
  program: Program
  injection: Injection | null
  stdin: Peeked | null
  context: PreparedContext | null
  /** The file that holds the context. */
  file: string | null
  run: Run
  settings: Settings
  /** Why the run takes no context, or null. */
  bypass: string | null
  /** Name of the tool, to mark what it remembers as said by it. */
  toolMark: string | null
  /** The next run of this kind gets the same, as long as nothing changes. */
  isLasting: boolean
  /** Its stdout is looked into for @remember: lines. */
  captures: boolean
  /** A directory that turned out to belong to a known project: to be written down before hand-over. */
  join: { paths: Paths; located: Located } | null
}

export interface Program {
  /** What execvp gets. */
  file: string
  /** Where the tool's file is, when it was looked for. */
  path: string | null
  /** A script that calls nswrap itself: it gets its context there. */
  isShim: boolean
  /** Shims already passed on the way here. */
  passed: string[]
}

interface Sources {
  paths: Paths
  settings: Settings
  identified: Identified
  reading: Reading
  tools: Tool[]
  stages: Stages
}

/** Fills the plan: project, prompt, context, its file, the channel. Each stage is bounded, and none starts after the deadline. */
function gather(request: WrapRequest, plan: Plan, { paths, settings, identified, reading, tools, stages }: Sources): void {
  const { run } = plan
  const { env, cwd, options, argv } = request
  const opened = openForReading(paths)
  stages.mark("open")
  if (opened.state !== "ready") {
    // No memories yet is how everyone begins, and no reason to complain.
    run.reason = opened.state === "absent" ? null : opened.reason
  } else {
    const { db } = opened
    try {
      const located = locateProject(db, cwd)
      if (located.joined === "moved" || located.joined === "remote") announceJoin(request, plan, { paths, located })
      run.project = located.project?.name ?? null
      plan.isLasting = isPlain(located) && identified.tool === null && identified.at === 0 && reading.prompt === null
      stages.mark("project")
      if (isOptedOut(settings, located, run.tool)) {
        run.mode = "bypass"
        run.reason = "switched off for this project or tool in the configuration"
      }
      else if (stages.elapsed() < settings.maxWaitMs) {
        plan.stdin = peekAt(reading, identified, { waitMs: Math.min(STDIN_WAIT_MS, settings.maxWaitMs - stages.elapsed()), forced: options.channel === "stdin" })
        stages.mark("stdin")
        plan.context = choose(db, { request, plan, located, identified, reading, tools })
        stages.mark("recall")
      } else run.reason = `the deadline of ${settings.maxWaitMs} ms passed before the context was read`
    } finally {
      db.close()
    }
  }
  if (plan.context !== null && stages.elapsed() > settings.maxWaitMs) {
    run.reason = `the deadline of ${settings.maxWaitMs} ms passed while the context was chosen`
    plan.context = null
  }
  const text = plan.context?.text ?? ""
  const file = text === "" ? null : saveContext(paths, text, { dryRun: options.dryRun })
  if (text !== "" && file === null) run.reason = `the context could not be written to ${paths.contexts}`
  plan.file = file
  plan.injection = applyChannel({
    argv, identified, reading, env, cwd,
    context: file === null ? null : { text, file },
    contexts: paths.contexts,
    stdin: plan.stdin?.kind ?? peekStdin({ maxBytes: 0, waitMs: 0 }).kind,
    version: identified.tool === null ? null : (identified.version ?? (plan.program.path === null ? null : toolVersion(plan.program.path, identified.tool))),
    argvAllowed: settings.argvChannels,
    exportText: options.exportText,
    ...(options.channel === null ? {} : { force: options.channel }),
  })
  if (!saveFiles(plan.injection.files, { dryRun: options.dryRun })) throw new Error(`no file could be written to ${paths.contexts}`)
  const { notice } = plan.injection
  if (notice !== null && !options.dryRun && isTerminal(2) && isFirstTime(paths, notice)) writeErr(`nswrap: ${notice}\n`)
  plan.isLasting &&= run.reason === null && notice === null && plan.injection.channel === "file"
  stages.mark("channel")
  describe(run, plan)
}

function choose(db: Database, { request, plan, located, identified, reading, tools }: { request: WrapRequest; plan: Plan; located: Located; identified: Identified; reading: Reading; tools: Tool[] }): PreparedContext {
  const { run, settings } = plan
  const tool = run.tool === null ? null : findTool(run.tool, tools)
  const stableOnly = reading.resume || run.mode === "minimal"
  return prepareContext(db, {
    project: located.project,
    session: settings.session,
    toolNames: [...new Set([run.tool, ...(tool?.names ?? []), ...(identified.tool?.names ?? [])])].filter((name) => name !== null),
    prompt: promptOf(reading, plan.stdin, request.cwd),
    asked: reading.prompt,
    extent: request.options.onlyPersona ? "persona" : stableOnly ? "stable" : "full",
    settings,
    now: run.t,
  })
}

/** The question: the tool's own prompt argument, the file it is told to read it from, and what is piped in. */
function promptOf(reading: Reading, stdin: Peeked | null, cwd: string): string | null {
  const { promptFile } = reading
  const fromFile = promptFile === null || promptFile === "-" ? null : readFileText(promptFile.startsWith("/") ? promptFile : `${cwd}/${promptFile}`, STDIN_BYTES_MAX)
  const piped = stdin === null || stdin.bytes.length === 0 ? "" : new TextDecoder().decode(stdin.bytes)
  const prompt = [reading.prompt ?? "", fromFile ?? "", piped].filter((part) => part.trim() !== "").join("\n")
  return prompt === "" ? null : prompt
}

/** Only a tool that reads its question from stdin is worth waiting for; of any other, what is there already is looked at. */
function peekAt(reading: Reading, identified: Identified, { waitMs, forced }: { waitMs: number; forced: boolean }): Peeked {
  const asks = forced || (identified.tool !== null && reading.readsStdin)
  return peekStdin({ maxBytes: STDIN_BYTES_MAX, waitMs: asks ? waitMs : 0 })
}

function bypassReason({ request, settings, reading, program, run }: { request: WrapRequest; settings: Settings; reading: Reading; program: Program; run: Run }): string | null {
  if (request.options.noContext) return "--no-context"
  if (settings.bypass) return "NS_BYPASS_MODE"
  if (run.mode === "bypass") return "mode bypass"
  if (isTrivialCommand(request.argv)) return `${request.argv[0]} takes no context`
  if (reading.bypass) return "this command takes no context"
  if (program.isShim) return `${program.path} calls nswrap itself`
  return null
}

/**
 * A tool found on PATH may be a script that calls nswrap (a shim): it is started as it is, and remembered in a variable, so
 * that the nswrap in it finds the real tool behind it instead of the script again.
 */
function locateProgram({ argv, env, options }: Pick<WrapRequest, "argv" | "env" | "options">, identified: Identified): Program {
  const passed = (env[SHIMS] ?? "").split(":").filter((path) => path !== "")
  const program: Program = { file: argv[0]!, path: null, isShim: false, passed }
  // Of what is no tool known to us, only a script that starts itself again matters.
  const own = identified.tool === null ? argv[0]! : null
  if (identified.fetched || own?.includes("/")) return program
  const path = resolveOnPath(own ?? argv[identified.at]!, env["PATH"] ?? "", passed)
  // Behind the last shim there is no tool: not found, or the shim would be started again and again.
  if (path === null) return passed.length > 0 && identified.at === 0 ? { ...program, file: "" } : program
  const shim = isShim(path, own)
  // The nswrap in the script would not know that no context is wanted: the script is passed over.
  if (shim && (options.noContext || options.mode === "bypass")) return locateProgram({ argv, options, env: { ...env, [SHIMS]: [...passed, path].join(":") } }, identified)
  return { file: identified.at === 0 && passed.length > 0 ? path : argv[0]!, path, isShim: shim, passed }
}

function wantsCapture(settings: Settings, tool: string | null): boolean {
  const row = tool === null ? undefined : settings.tools[tool]
  return typeof row === "object" && row !== null && (row as Record<string, unknown>)["capture"] === true
}

/** The nearest line of the configuration decides: the project's name, its directory or one above it, the tool, then `*`. */
export function isOptedOut(settings: Settings, located: Located, tool: string | null): boolean {
  const row = tool === null ? undefined : (settings.tools[tool] as { context?: unknown } | undefined)
  if (row?.context === false || row?.context === "off") return true
  const { projects } = settings
  if (located.project !== null && projects[located.project.name] !== undefined) return projects[located.project.name] === "off"
  for (let directory = located.place.directory; directory !== ""; directory = directory.slice(0, directory.lastIndexOf("/"))) {
    if (projects[directory] !== undefined) return projects[directory] === "off"
  }
  return projects["*"] === "off"
}

/** Known for good, and by a `.git` that the stamps of ready.ts cover. */
function isPlain({ joined, announce, place: { git } }: Located): boolean {
  return announce === null && (joined === null || joined === "known") && (git === null || git.commonDir === `${git.root}/.git`)
}

/** A checkout that joins a project by the URL it claims is told once, where somebody can read it; only then is it written down. */
function announceJoin(request: WrapRequest, plan: Plan, { paths, located }: { paths: Paths; located: Located }): void {
  if (request.options.dryRun) return
  if (located.announce !== null) {
    if (!isTerminal(2)) return
    writeErr(`${located.announce}\n`)
  }
  plan.join = { paths, located }
}

/** The one thing the wrapper may write into the memories; when they are locked, the next run tells and tries again. */
async function writeJoin({ paths, located }: { paths: Paths; located: Located }, { t }: Run): Promise<void> {
  try {
    const { openForWriting } = await import("../store/create.ts")
    const db = await openForWriting(paths)
    db.run("pragma busy_timeout = 20")
    recordJoin(db, located, { now: t })
    db.close()
  } catch {
    // Nothing depends on it.
  }
}

function userTools(settings: Settings): Tool[] {
  return Object.entries(settings.tools).flatMap(([name, row]) => {
    // A row of `capture` or `context` alone is a setting of a tool that is known already.
    if (typeof row !== "object" || row === null || !["channel", "flag", "env"].some((key) => key in row)) return []
    try {
      return [toolFromConfig(name, row)]
    } catch (error) {
      settings.problems.push(error instanceof Error ? error.message : String(error))
      return []
    }
  })
}

function describe(run: Run, { context, injection, file }: Plan): void {
  if (context === null || file === null) return
  const found = new Map(context.found.map((one) => [one.memory.id, one]))
  run.channel = injection?.channel ?? "none"
  run.stable = context.stable.map(({ id }) => id)
  run.recalled = context.recalled.map(({ id }) => ({ id, score: Math.round((found.get(id)?.score ?? 0) * 1000) / 1000, why: (found.get(id)?.why ?? []).map(({ term }) => term) }))
  run.stable_tokens = context.stableTokens
  run.recalled_tokens = context.recalledTokens
}

function debugLine(request: WrapRequest, { run, bypass }: Plan): string {
  const total = Object.values(run.stages).reduce((sum, ms) => sum + ms, 0)
  const parts = Object.entries(run.stages).map(([name, ms]) => `${name} ${ms.toFixed(2)}`)
  const what = bypass ?? run.reason ?? `${run.stable.length} stable, ${run.recalled.length} recalled, ${run.stable_tokens + run.recalled_tokens} tokens by ${run.channel}`
  return `nswrap: ${total.toFixed(1)} ms before ${request.argv[0]} (${parts.join(", ")}); ${run.mode}: ${what}\n`
}

function pathsOrNull(env: Environment): Paths | null {
  try {
    return resolvePaths(env)
  } catch {
    return null
  }
}

interface Stages {
  mark: (name: string) => void
  elapsed: () => number
  done: () => Record<string, number>
}

/** Milliseconds since our process began; the first stage is what Bun needed to get here. */
function newStages(): Stages {
  const stages: Record<string, number> = { start: performance.now() }
  let last = stages["start"]!
  return {
    mark(name) {
      const now = performance.now()
      stages[name] = now - last
      last = now
    },
    elapsed: () => performance.now(),
    done: () => Object.fromEntries(Object.entries(stages).map(([name, ms]) => [name, Math.round(ms * 100) / 100])),
  }
}
