import { FFIType } from "bun:ffi"
import { again, close, cString, descriptorType, EAGAIN, EINTR, errno, fcntl, libc, open, pollOne, readInto, writeFrom } from "../system/libc.ts"
import { startCat } from "./child.ts"

/*
 * The two streams of a run in which we stay. Neither ever blocks: what a reader does not take stays with the writer. And
 * neither makes a descriptor of the user's non-blocking, as that would hold for everyone who shares it.
 */

/** What poll(2) is to watch for a stream: a descriptor (-1 for none) and its events; errors are always told. */
export type Watch = [fd: number, events: number]

export const POLLIN = 1
export const POLLOUT = 4
export const BROKEN = 8 | 32 // POLLERR | POLLNVAL
const POLLHUP = 16

/** What is held of a stream at most, besides what the kernel holds in its pipes. */
const CHUNK_BYTES = 256 * 1024

/** A pipe above the standard descriptors, closed in the child; `ours` does not block. */
export function openPipe(ours: "read" | "write"): { ours: number; theirs: number } | null {
  const ends = new Int32Array(2)
  if (pipe2(new Uint8Array(ends.buffer), O_CLOEXEC) !== 0) return null
  const [readEnd = -1, writeEnd = -1] = [...ends].map(aboveStandard)
  if (readEnd < 0 || writeEnd < 0) return null
  const pipe = ours === "read" ? { ours: readEnd, theirs: writeEnd } : { ours: writeEnd, theirs: readEnd }
  fcntl(pipe.ours, F_SETFL, O_NONBLOCK)
  // Fewer turns. Not for the child's stdin: what it leaves there is lost to whoever reads the user's stdin next.
  if (ours === "read") fcntl(pipe.ours, F_SETPIPE_SZ, CHUNK_BYTES)
  return pipe
}

/**
 * From the child's stdout pipe to our stdout, byte for byte, every chunk shown to `onBytes`. Into a pipe the bytes go by
 * splice(2), which never blocks and does not copy; what is shown is a tee(2) of them.
 */
export class Output {
  readonly #from: number
  readonly #onBytes: (bytes: Uint8Array) => void
  readonly #kind = descriptorType(STDOUT)
  readonly #shown = this.#kind === S_IFIFO ? openPipe("read") : null
  readonly #buffer = new Uint8Array(CHUNK_BYTES)
  /** Shown, but not passed on yet: the first bytes of the child's pipe, or the last of our buffer. */
  #pending = 0
  #pendingFrom = 0
  /** There are, or may come, bytes to pass on. */
  open = true
  /** How many bytes were shown. */
  taken = 0
  /** Why our stdout took no more, when that was no reader going away: an errno. */
  failure: number | null = null

  constructor({ from, onBytes }: { from: number; onBytes: (bytes: Uint8Array) => void }) {
    this.#from = from
    this.#onBytes = onBytes
  }

  watch(): [Watch, Watch] {
    if (!this.open) return [NOTHING, NOTHING]
    // A reader that went away is noticed at once: then the child gets its SIGPIPE as soon as it writes.
    const tells = this.#kind === S_IFIFO || this.#kind === S_IFSOCK
    if (this.#pending > 0) return [NOTHING, [STDOUT, POLLOUT]]
    return [[this.#from, POLLIN], tells ? [STDOUT, 0] : NOTHING]
  }

  move(readable: number, writable: number): void {
    if (!this.open) return
    if (writable & BROKEN) return this.#stop(null)
    if (readable !== 0 && this.#pending === 0) this.#take()
    if (this.open && this.#pending > 0) this.#pass()
  }

  /** Everything that was shown is passed on, or nobody wants it. */
  get idle(): boolean {
    return this.#pending === 0
  }

  /** How many bytes wait in the child's pipe, not shown yet. */
  left(): number {
    const count = new Int32Array(1)
    if (!this.open || ioctl(this.#from, FIONREAD, new Uint8Array(count.buffer)) !== 0) return 0
    return (count[0] ?? 0) - (this.#shown ? this.#pending : 0)
  }

  /** Asked when the child is gone: whether something that it left running still has its stdout. */
  hasWriters(): boolean {
    return (pollOne(this.#from, POLLIN, 0) & POLLHUP) === 0
  }

  /** What the child left running goes on writing to our stdout, through a `cat` in our place. */
  handOver(): void {
    fcntl(this.#from, F_SETFL, 0)
    startCat(this.#from)
    this.#stop(null)
  }

  end(): void {
    if (this.open) this.#stop(null)
  }

  #take(): void {
    const { theirs, ours } = this.#shown ?? { theirs: -1, ours: this.#from }
    const seen = this.#shown ? again(() => tee(this.#from, theirs, CHUNK_BYTES, SPLICE_F_NONBLOCK)) : CHUNK_BYTES
    const count = seen > 0 ? again(() => readInto(ours, this.#buffer, seen)) : seen
    if (count < 0 && errno() === EAGAIN) return
    if (count <= 0) return this.#stop(null)
    this.taken += count
    this.#pending = count
    this.#pendingFrom = 0
    this.#onBytes(this.#buffer.subarray(0, count))
  }

  #pass(): void {
    while (this.#pending > 0) {
      const count = this.#passSome()
      if (count < 0) {
        const reason = errno()
        if (reason === EAGAIN || reason === EINTR) return
        return this.#stop(reason === EPIPE || reason === ECONNRESET ? null : reason)
      }
      this.#pending -= count
      this.#pendingFrom += count
    }
  }

  #passSome(): number {
    if (this.#shown) return splice(this.#from, null, STDOUT, null, this.#pending, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
    const bytes = this.#buffer.subarray(this.#pendingFrom, this.#pendingFrom + this.#pending)
    if (this.#kind === S_IFSOCK) return send(STDOUT, bytes, bytes.length, MSG_DONTWAIT)
    return writeFrom(STDOUT, bytes, bytes.length)
  }

  #stop(failure: number | null): void {
    this.open = false
    this.failure = failure
    this.#pending = 0
    close(this.#from)
  }
}

/** The prefix, then the user's stdin, into the child's stdin pipe. Reads no more of the user's than the child may take. */
export class Feed {
  readonly #to: number
  #pending: Uint8Array
  #room = true
  #canSplice = true
  #open = true
  /** The user's stdin comes behind the prefix. */
  readonly #follow: boolean

  constructor({ to, prefix, follow }: { to: number; prefix: Uint8Array; follow: boolean }) {
    this.#to = to
    this.#pending = prefix
    this.#follow = follow
  }

  watch(): [Watch, Watch] {
    if (!this.#open) return [NOTHING, NOTHING]
    const waits = this.#pending.length > 0 || !this.#room || !this.#follow
    return [[waits ? -1 : STDIN, POLLIN], [this.#to, waits ? POLLOUT : 0]]
  }

  move(readable: number, writable: number): void {
    if (!this.#open) return
    // The child, and whoever has its stdin, is gone or closed it: quiet, and the rest of the user's stdin stays unread.
    if (writable & BROKEN) return this.stop()
    this.#room ||= (writable & POLLOUT) !== 0
    if (this.#pending.length > 0) this.#write()
    else if (!this.#follow) this.stop()
    else if (readable !== 0 && this.#room) this.#pass(readable)
  }

  stop(): void {
    if (this.#open) close(this.#to)
    this.#open = false
    this.#pending = new Uint8Array()
  }

  #write(): void {
    const bytes = this.#pending
    const count = again(() => writeFrom(this.#to, bytes, bytes.length))
    if (count >= 0) this.#pending = bytes.subarray(count)
    else if (errno() === EAGAIN) this.#room = false
    else this.stop()
  }

  #pass(readable: number): void {
    if (readable & POLLNVAL) return this.stop()
    // splice(2) takes from the user's pipe only what the child's has room for.
    if (this.#canSplice) {
      const count = again(() => splice(STDIN, null, this.#to, null, SPLICE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK))
      if (count > 0) return
      if (count === 0) return this.stop()
      const reason = errno()
      if (reason === EAGAIN) {
        this.#room = false
        return
      }
      if (reason !== EINVAL) return this.stop()
      this.#canSplice = false
    }
    const bytes = new Uint8Array(CHUNK_BYTES)
    const count = again(() => readInto(STDIN, bytes, CHUNK_BYTES))
    if (count < 0 && errno() === EAGAIN) return
    if (count <= 0) return this.stop()
    this.#pending = bytes.subarray(0, count)
    this.#write()
  }
}

/** Whether our stdin is one to read on behind a prefix: open, and no terminal (which is read by the foreground only). */
export function stdinCanFollow(): boolean {
  return (pollOne(STDIN, POLLIN, 0) & POLLNVAL) === 0 && isatty(STDIN) !== 1
}

const STDIN = 0
const STDOUT = 1
const NOTHING: Watch = [-1, 0]
const POLLNVAL = 32
const EINVAL = 22
const EPIPE = 32
const ECONNRESET = 104
const O_WRONLY = 1
const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const F_SETFL = 4
const F_DUPFD_CLOEXEC = 1030
const F_SETPIPE_SZ = 1031
const FIONREAD = 0x541b
const SPLICE_F_MOVE = 1
const SPLICE_F_NONBLOCK = 2
const SPLICE_BYTES = 1024 * 1024
const S_IFIFO = 0o010000
const S_IFSOCK = 0o140000
const MSG_DONTWAIT = 0x40

const dup2 = libc("dup2", ["i32", "i32"])
const pipe2 = libc("pipe2", ["ptr", "i32"])
const ioctl = libc("ioctl", ["i32", "u64", "ptr"])
const isatty = libc("isatty", ["i32"])
const send = libc("send", ["i32", "ptr", "u64", "i32"], FFIType.i64_fast)
const tee = libc("tee", ["i32", "i32", "u64", "u32"], FFIType.i64_fast)
const splice = libc("splice", ["i32", "ptr", "i32", "ptr", "u64", "u32"], FFIType.i64_fast)

/** Nothing of ours holds the user's stdout open from here on; the descriptor stays taken. */
export function releaseStdout(): void {
  const nowhere = open(cString("/dev/null"), O_WRONLY | O_CLOEXEC, 0)
  if (nowhere < 0) return
  dup2(nowhere, STDOUT)
  close(nowhere)
}

function aboveStandard(fd: number): number {
  if (fd > 2) return fd
  const moved = fcntl(fd, F_DUPFD_CLOEXEC, 3)
  close(fd)
  return moved
}
