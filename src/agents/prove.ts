import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { NswrapError } from "../errors.ts"
import { countTokens, stripContext } from "../memory/context.ts"
import { type CapturedRequest, findText, type Landing, startCaptureServer } from "./capture-server.ts"
import { type Proof, RECIPES, type Recipe } from "./prove-recipes.ts"

/** An installed tool: its name in the table of tools, its program and the version of its package, if known. */
export interface ProveTool {
  name: string
  program: string
  version: string | null
}

/** Where a text arrived in the request: `system[2].text`, in the role `system`. */
export type Place = Omit<Landing, "text">

export interface ProveResult {
  tool: string
  program: string
  version: string | null
  state: "proved" | "failed" | "unknown"
  /** Where the context block landed; null: nowhere. */
  context: Place | null
  /** Tokens of the block, as budgets count them (UTF-8 bytes / 3). */
  tokens: number
  prompt: Place | null
  /** Where the text went that the user gave through the same door, and how it was given. */
  own: Place | null
  ownBy: string | null
  durationMs: number
  /** Why it failed or is unknown; null when proved. */
  reason: string | null
}

export interface ProveOptions {
  tools: ProveTool[]
  /** How to start this nswrap, e.g. `["/usr/local/bin/nswrap"]`. */
  self: string[]
  env: Record<string, string | undefined>
  /** At most so long a tool. */
  boundMs?: number
  /** Told before each tool is started: some take seconds. */
  onStart?: ((tool: string) => void) | undefined
}

/** The tools that can be proved, by their names in the table of tools. */
export const PROVABLE = Object.keys(RECIPES)

const BOUND_MS = 60_000
const SETUP_BOUND_MS = 10_000
/** A tool that has shown its request may end by itself, so that its exit is seen to work; then it is ended. */
const GRACE_MS = 2_000
const OUTPUT_BYTES_MAX = 1024 * 1024

/**
 * Starts each tool through this nswrap, against a model provider on 127.0.0.1 that refuses, and reports where in its
 * request the context landed. HOME, NS_HOME, TMPDIR and the working directory are scratch; nothing is left behind, also
 * not after ^C. Throws `invalid` when this nswrap cannot even save a memory.
 */
export async function runProve({ tools, self, env, boundMs = BOUND_MS, onStart }: ProveOptions): Promise<ProveResult[]> {
  const results: ProveResult[] = []
  const interrupt = new AbortController()
  const stop = (signal: NodeJS.Signals): void => interrupt.abort(signal)
  for (const signal of SIGNALS) process.on(signal, stop)
  try {
    for (const tool of tools) {
      if (interrupt.signal.aborted) break
      const recipe = RECIPES[tool.name]
      onStart?.(tool.name)
      const result = recipe ? await proveOne(tool, recipe, { self, env, boundMs, interrupt: interrupt.signal }) : unknown(tool)
      if (interrupt.signal.aborted) break
      results.push(result)
    }
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop)
  }
  // Only now that everything is tidied up does the signal do what it came for.
  if (interrupt.signal.aborted) process.kill(process.pid, interrupt.signal.reason as NodeJS.Signals)
  return results
}

/** The results as a table, with the reason of each failure below it. */
export function formatProve(results: ProveResult[]): string {
  const place = (found: Place | null): string => (found === null ? "-" : found.role === "" ? found.path : `${found.path} (${found.role})`)
  const rows = results.map((result) => [
    result.tool,
    result.version ?? "?",
    result.state,
    place(result.context),
    result.context === null ? "-" : String(result.tokens),
    place(result.prompt),
    result.own === null ? "-" : `${place(result.own)} by ${result.ownBy}`,
    String(result.durationMs),
  ])
  const all = [["tool", "version", "result", "context arrived in", "tokens", "prompt in", "the user's own in", "ms"], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  const lines = all.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd())
  const reasons = results.filter(({ reason }) => reason !== null).map(({ tool, reason }) => `${tool}: ${reason}`)
  return [...lines, ...(reasons.length > 0 ? ["", ...reasons] : [])].join("\n")
}

interface Run {
  self: string[]
  env: Record<string, string | undefined>
  boundMs: number
  interrupt: AbortSignal
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const

async function proveOne(tool: ProveTool, recipe: Recipe, { self, env, boundMs, interrupt }: Run): Promise<ProveResult> {
  const scratch = mkdtempSync(join(tmpdir(), "nswrap-prove-"))
  const server = startCaptureServer()
  try {
    const proof = newProof(scratch, server.url)
    const clean = cleanEnvironment(env, scratch)
    for (const folder of ["home", "tmp", "work"]) mkdirSync(join(scratch, folder), { mode: 0o700 })
    for (const [path, text] of Object.entries(recipe.files?.(proof) ?? {})) {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
    await teach(self, { env: clean, cwd: join(scratch, "work"), proof })

    const startedAt = performance.now()
    const child = Bun.spawn([...self, "--", tool.program, ...recipe.args(proof)], {
      cwd: join(scratch, "work"),
      env: { ...clean, ...recipe.env(proof) },
      stdin: recipe.stdin === undefined ? "ignore" : new TextEncoder().encode(recipe.stdin(proof)),
      stdout: "pipe",
      stderr: "pipe",
      detached: true, // a process group of its own, so that it can be ended whole
    })
    const output = Promise.all([tail(child.stdout), tail(child.stderr)])
    const cut = (): void => endGroup(child.pid)
    interrupt.addEventListener("abort", cut, { once: true })
    const shown = server.waitFor((request) => isComplete(request, proof), boundMs)
    const ended = await Promise.race([child.exited.then(() => true), shown.then(() => false)])
    const durationMs = Math.round(performance.now() - startedAt)
    const isLate = !ended && !server.requests.some((request) => isComplete(request, proof))
    if (!ended && !isLate) await within(child.exited, GRACE_MS)
    interrupt.removeEventListener("abort", cut)
    endGroup(child.pid)
    await endStrays(scratch)
    await child.exited
    const [stdout, stderr] = (await within(output, GRACE_MS)) ?? ["", ""]
    const how = isLate ? `within ${Math.round(boundMs / 1000)} s` : `before it ended with status ${child.exitCode ?? child.signalCode}`
    return judge(tool, recipe, { requests: server.requests, proof, durationMs, how, said: lastWords(stderr, stdout) })
  } finally {
    await server.stop()
    await endStrays(scratch)
    rmSync(scratch, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
}

function newProof(scratch: string, url: string): Proof {
  const word = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(5))).toString("hex").replace(/\d/g, (digit) => "ghijklmnop"[Number(digit)]!)
  return { url, scratch, home: join(scratch, "home"), persona: word(), memory: word(), own: word(), prompt: `What colour is the lighthouse lamp of port ${word()}?` }
}

/**
 * What a tool gets of the user's environment: where programs and characters are, nothing else. No key, no proxy and no
 * setting of a tool reaches it. Each recipe switches off what would call home; what is forgotten meets a proxy that is not
 * there.
 */
function cleanEnvironment(env: Record<string, string | undefined>, scratch: string): Record<string, string> {
  const kept = Object.entries(env).filter((each): each is [string, string] => each[1] !== undefined && KEPT.has(each[0]))
  return {
    ...Object.fromEntries(kept),
    HOME: join(scratch, "home"),
    TMPDIR: join(scratch, "tmp"),
    NS_HOME: join(scratch, "nswrap"),
    NS_MAX_WAIT_MS: "10000", // a busy computer must not look like a broken channel
    NS_DEBUG_PERF: "1", // so that a reason for no context is among the last words
    TERM: "dumb",
    NO_COLOR: "1",
    DO_NOT_TRACK: "1",
    HTTPS_PROXY: NO_SUCH_PROXY,
    https_proxy: NO_SUCH_PROXY,
    NO_PROXY: "127.0.0.1,localhost",
    no_proxy: "127.0.0.1,localhost",
  }
}

const NO_SUCH_PROXY = "http://127.0.0.1:9"
const KEPT = new Set(["PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TZ", "USER", "LOGNAME", "SHELL"])

/** Gives the scratch home a persona and a memory that the prompt finds, by the commands that a user would type. */
async function teach(self: string[], { env, cwd, proof }: { env: Record<string, string>; cwd: string; proof: Proof }): Promise<void> {
  const port = proof.prompt.split(" ").at(-1)!.replace("?", "")
  for (const words of [
    ["persona", "set", `Keeper of the ${proof.persona} archive.`],
    ["remember", "--kind", "fact", "--scope", "global", `The lighthouse lamp of port ${port} has the colour ${proof.memory}.`],
  ]) {
    const child = Bun.spawn([...self, ...words], { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: SETUP_BOUND_MS })
    const [stdout, stderr] = await Promise.all([tail(child.stdout), tail(child.stderr)])
    if ((await child.exited) !== 0) throw new NswrapError("invalid", `nswrap ${words[0]} failed in a scratch home: ${lastWords(stderr, stdout)}`)
  }
}

/** Context, prompt and the user's own text are all in this request. */
function isComplete({ text, body }: CapturedRequest, proof: Proof): boolean {
  return text.includes(proof.prompt) && text.includes(proof.own) && contextIn(body, proof) !== null
}

/** The string that holds the block: persona and recalled memory both. */
function contextIn(body: unknown, { persona, memory }: Proof): Landing | null {
  return findText(body, persona).find(({ text }) => text.includes(memory)) ?? null
}

interface Seen {
  requests: CapturedRequest[]
  proof: Proof
  durationMs: number
  how: string
  said: string
}

function judge(tool: ProveTool, recipe: Recipe, { requests, proof, durationMs, how, said }: Seen): ProveResult {
  // Some tools ask for a title or a classification first, without their system prompt: the request that says most counts.
  const asking = requests.filter(({ text }) => text.includes(proof.prompt)).toSorted((a, b) => weight(b) - weight(a))
  function weight({ body, sizeBytes }: CapturedRequest): number {
    return sizeBytes + (contextIn(body, proof) === null ? 0 : 1e9) + (findText(body, proof.own).length === 0 ? 0 : 1e9)
  }
  const request = asking[0]
  const context = request ? contextIn(request.body, proof) : null
  const prompt = request ? (findText(request.body, proof.prompt).at(-1) ?? null) : null
  const own = request ? (findText(request.body, proof.own)[0] ?? null) : null
  const isWhole = context !== null && context.text.includes("<nswrap-context>") && context.text.includes("</nswrap-context>")
  let reason: string | null = null
  if (request === undefined) reason = `no request with the prompt arrived ${how}; ${said}`
  else if (context === null) reason = `the context is not in its request; ${said}`
  else if (!isWhole) reason = `the context arrived without its fence in ${context.path}`
  else if (own === null) reason = `the text given by ${recipe.ownBy} was lost; ${said}`
  return {
    tool: tool.name,
    program: tool.program,
    version: tool.version,
    state: reason === null ? "proved" : "failed",
    context: place(context),
    tokens: context === null ? 0 : countTokens(context.text) - countTokens(stripContext(context.text)),
    prompt: place(prompt),
    own: place(own),
    ownBy: recipe.ownBy,
    durationMs,
    reason,
  }
}

function place(landing: Landing | null): Place | null {
  return landing === null ? null : { path: landing.path, role: landing.role }
}

function unknown({ name, program, version }: ProveTool): ProveResult {
  const reason = `there is no recipe for it; there is one for ${PROVABLE.join(", ")}`
  return { tool: name, program, version, state: "unknown", context: null, tokens: 0, prompt: null, own: null, ownBy: null, durationMs: 0, reason }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL")
  } catch {
    // It has ended already.
  }
}

/** Ends what a tool started in a session of its own: every process whose HOME is the scratch one (Linux only). */
async function endStrays(scratch: string): Promise<void> {
  if (process.platform !== "linux") return
  for (let round = 0; round < STRAY_ROUNDS_MAX; round++) {
    const strays = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid) && livesIn(name, scratch))
    if (strays.length === 0) return
    for (const pid of strays) {
      try {
        process.kill(Number(pid), "SIGKILL")
      } catch {
        // It has ended already.
      }
    }
    await Bun.sleep(50)
  }
}

const STRAY_ROUNDS_MAX = 20

function livesIn(pid: string, scratch: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(`HOME=${join(scratch, "home")}`)
  } catch {
    return false // ended, or somebody else's
  }
}

/** What a promise resolves to, or undefined after `ms`; no timer is left to keep us alive. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: Timer | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** The end of a stream, bounded; what it had is kept when it breaks. */
async function tail(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = ""
  const decoder = new TextDecoder()
  try {
    for await (const chunk of stream) text = (text + decoder.decode(chunk, { stream: true })).slice(-OUTPUT_BYTES_MAX)
  } catch {
    // The process is gone.
  }
  return text
}

/** Our own line on why and how a context was given, and the last line of the program. */
function lastWords(stderr: string, stdout: string): string {
  const lines = (text: string): string[] => Bun.stripANSI(text).split("\n").map((line) => line.trim()).filter((line) => line !== "")
  const ours = lines(stderr).find((line) => line.startsWith("nswrap: "))
  const last = lines(stderr).findLast((line) => line !== ours) ?? lines(stdout).at(-1)
  const said = [ours, last].filter((line) => line !== undefined).map((line) => line.slice(0, LINE_LENGTH_MAX))
  return said.length === 0 ? "it said nothing" : `it said: ${said.join(" … ")}`
}

const LINE_LENGTH_MAX = 300
