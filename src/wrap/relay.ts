import { LineScanner } from "../memory/remember-line.ts"
import { close, isTerminal, LINUX, poll, setEnv, writeErr } from "../system/libc.ts"
import {
  childNews, currentGroup, dieBy, inForeground, isIgnored, leaveGroup, reap, returnToGroup, sendSignal, SIGCONT, SIGPIPE, startChild, stopAs,
  type ChildNews,
} from "./child.ts"
import { eventLoopDescriptor, reasonText, type ArgvPart } from "./exec.ts"
import { Feed, openPipe, Output, releaseStdout, stdinCanFollow, type Watch } from "./pipes.ts"

export interface RelayOptions {
  file: string
  /** Begins with the command's own name, as for execCommand(). */
  argv: ArgvPart[]
  /** Variables to add to what the child gets. */
  env?: Record<string, string>
  /** Bytes that stdin begins with; null leaves stdin alone. */
  prefix: Uint8Array | null
  /** Gets each line of stdout that begins with `@remember:`, without its end; null leaves stdout alone. */
  onOutputLine: ((line: string) => void) | null
  onChildStart?: (pid: number) => void
  /** Runs when the child has ended and its output is passed on, before we end. */
  onFinished?: () => void | Promise<void>
}

/**
 * Runs the command as our child, for the two cases where we must stay: bytes in front of a stdin that is too long or too
 * slow to be filled beforehand, and a stdout to look into. Everything else is the child's own, as in a direct run: stderr,
 * descriptors, terminal, job control. Ends as the child ends; returns only to say why it could not be started.
 *
 * A terminal on stdout is never looked into, one on stdin never read. What the child left running goes on writing through
 * a `cat`, without us, and gets no more of stdin.
 */
export async function relay(options: RelayOptions): Promise<{ errno: number }> {
  if (!LINUX) return (await import("./relay-portable.ts")).relayPortable(options)
  const captures = options.onOutputLine !== null && !isTerminal(1)
  const stdin = options.prefix === null ? null : openPipe("write")
  const stdout = captures ? openPipe("read") : null
  for (const [name, value] of Object.entries(options.env ?? {})) setEnv(name, value)
  const signals = listen()
  const child = startChild({ file: options.file, argv: options.argv, stdin: stdin?.theirs ?? null, stdout: stdout?.theirs ?? null })
  if (stdin) close(stdin.theirs)
  if (stdout) close(stdout.theirs)
  if ("errno" in child) return child
  options.onChildStart?.(child.pid)

  const scanner = new LineScanner(options.onOutputLine ?? (() => {}))
  const feed = stdin && new Feed({ to: stdin.ours, prefix: options.prefix ?? new Uint8Array(), follow: stdinCanFollow() })
  const output = stdout && new Output({ from: stdout.ours, onBytes: (bytes) => scanner.push(bytes) })
  const end = await stayWith({ pid: child.pid, signals, feed, output })
  scanner.end()
  // Readers of our stdout need not wait for what we still do.
  if (output) releaseStdout()
  await options.onFinished?.()
  return endAs(end, output?.failure ?? null)
}

type End = { exited: number } | { killedBy: number }

/** From the child's start to its end: moves the bytes, passes signals on, stops when it stops. */
async function stayWith({ pid, signals, feed, output }: { pid: number; signals: Signals; feed: Feed | null; output: Output | null }): Promise<End> {
  const home = currentGroup()
  let apart = leaveGroup()
  let end: End | null = null
  while (end === null) {
    if (!moveBytes(feed, output)) continue
    await handlersRun()
    for (const number of signals.take()) {
      // Typed at the terminal, it has reached the child already.
      if (apart || !TYPED.has(number) || !inForeground()) sendSignal(pid, number)
    }
    let news = childNews(pid)
    while (news !== null && "stoppedBy" in news) {
      // In the child's group, so that the `fg` that continues the child continues us.
      returnToGroup(home)
      news = await stopWithChild(pid, news.stoppedBy, signals)
      apart = apart && leaveGroup()
    }
    if (news !== null && !("continued" in news)) end = news
  }
  // While the child is not reaped its group exists, and ^C must find us in it while we pass on the last bytes.
  returnToGroup(home)
  reap(pid)
  feed?.stop()
  if (output) await passOnRest(output, signals)
  output?.end()
  return end
}

/** One round of bytes, as far as they go. True when something else happened too: a signal, or nothing for a while. */
function moveBytes(feed: Feed | null, output: Output | null): boolean {
  const eventLoop = eventLoopDescriptor()
  const watched: Watch[] = [[eventLoop ?? -1, POLLIN], ...(output?.watch() ?? []), ...(feed?.watch() ?? [])]
  const requests = new Int32Array(watched.flat())
  const count = poll(new Uint8Array(requests.buffer), watched.length, eventLoop === null ? BLIND_WAIT_MS : WAIT_MS)
  if (count <= 0) return true
  const [loop = 0, ...told] = watched.map((_, i) => (requests[i * 2 + 1] ?? 0) >>> 16)
  if (output) output.move(told.shift() ?? 0, told.shift() ?? 0)
  if (feed) feed.move(told.shift() ?? 0, told.shift() ?? 0)
  return loop !== 0
}

/** Stops us as the child was stopped, and goes on when we are continued. Answers what else the child did. */
async function stopWithChild(pid: number, number: number, signals: Signals): Promise<ChildNews | null> {
  const meanwhile = childNews(pid)
  if (meanwhile !== null) return meanwhile
  stopAs(number)
  // What continued us is no signal for the child: `fg` continues the whole group. But `kill -CONT` with our process id
  // continues us alone. Both signs may take a moment, as any thread may be the one that gets the signal.
  let news: ChildNews | null = null
  let told = false
  for (let waited = 0; waited < CONTINUE_WAIT_MS && (news === null || !told); waited++) {
    await Bun.sleep(1)
    news ??= childNews(pid)
    told = signals.forget(SIGCONT) || told
  }
  if (news === null) sendSignal(pid, SIGCONT)
  return news
}

/** What the child left in its pipe. A signal ends the wait for a slow reader: the child it was meant for is gone. */
async function passOnRest(output: Output, signals: Signals): Promise<void> {
  const target = output.taken + output.left()
  while (output.open) {
    if (output.taken >= target && output.idle && output.hasWriters()) return output.handOver()
    if (!moveBytes(null, output)) continue
    await handlersRun()
    for (const number of signals.take()) {
      if (number === SIGTSTP) stopAs(SIGTSTP)
      else if (number !== SIGCONT && number !== SIGWINCH) return
    }
  }
}

function endAs(end: End, failure: number | null): never {
  const failed = failure !== null && ("killedBy" in end ? end.killedBy === SIGPIPE : end.exited === 0)
  if (failure !== null) writeErr(`nswrap: cannot pass on the output: ${reasonText(failure)}\n`)
  if (failed) process.exit(1)
  if ("exited" in end) process.exit(end.exited)
  dieBy(end.killedBy)
  process.exit(128 + end.killedBy)
}

const POLLIN = 1
const SIGTSTP = 20
const SIGWINCH = 28
/** A look at the child now and then, should the word of its end ever be lost. */
const WAIT_MS = 1000
const BLIND_WAIT_MS = 20
const CONTINUE_WAIT_MS = 20

/** What is passed on. The others end or stop us as they would have ended or stopped the command. */
const FORWARDED: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGUSR1: 10, SIGUSR2: 12, SIGALRM: 14, SIGTERM: 15, SIGCONT, SIGTSTP, SIGWINCH,
}
/** Those that a terminal sends to its whole foreground group. */
const TYPED = new Set([2, 3, SIGTSTP, SIGWINCH])

interface Signals {
  /** The signals since the last call, in their order. */
  take: () => number[]
  /** Whether there was one to forget. */
  forget: (number: number) => boolean
}

/** Before the child starts, so that none is lost; one that is ignored stays ignored, for us and the child. */
function listen(): Signals {
  let arrived: number[] = []
  for (const [name, number] of Object.entries(FORWARDED)) {
    if (!isIgnored(number)) process.on(name as NodeJS.Signals, () => arrived.push(number))
  }
  // Its arrival is what ends a poll().
  process.on("SIGCHLD", () => {})
  return {
    take: () => arrived.splice(0),
    forget: (number) => {
      const before = arrived.length
      arrived = arrived.filter((other) => other !== number)
      return arrived.length < before
    },
  }
}

/** JavaScript's signal handlers run between two turns of the event loop. */
function handlersRun(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
