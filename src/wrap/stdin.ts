import { FFIType } from "bun:ffi"
import {
  again, close, descriptorType, fcntl, isTerminal, libc, LINUX, poll, pollOne, readInto, writeAll,
} from "../system/libc.ts"

export type StdinKind = "tty" | "file" | "pipe" | "socket" | "none"

/** What stdin begins with. `complete`: nothing more will come after `bytes`. */
export interface Peeked {
  kind: StdinKind
  bytes: Uint8Array
  complete: boolean
}

/**
 * Looks at the first `maxBytes` of stdin and leaves them there: the command will read them all, and what comes later.
 * Waits for a pipe or socket until its writer is done, pauses, or `waitMs` are over; never for a terminal. Of what lies in
 * a pipe only as much is seen as a pipe of ours can hold. Nothing is seen of a device, and of anything outside Linux.
 */
export function peekStdin({ maxBytes, waitMs }: { maxBytes: number; waitMs: number }): Peeked {
  const kind = stdinKind()
  if (kind === "file") return peekFile(maxBytes)
  if ((kind === "pipe" || kind === "socket") && maxBytes > 0) {
    const ended = waitForInput(maxBytes, Bun.nanoseconds() + waitMs * 1e6)
    const bytes = kind === "pipe" ? peekPipe(maxBytes) : peekSocket(maxBytes)
    return { kind, bytes, complete: ended && bytes.length === waitingBytes() }
  }
  return { kind, bytes: new Uint8Array(), complete: false }
}

/**
 * Makes a pipe that already holds `bytes`, and then ends, our stdin. False, and nothing changed, when they do not fit.
 * `instead` is what `bytes` stand for: it is taken out of the old stdin, so that whoever shares that
 * (`(nswrap tool; cat) < file`) finds it as the command would have left it.
 */
export function replaceStdin(bytes: Uint8Array, instead: Peeked | null = null): boolean {
  const pipe = LINUX && bytes.length <= PIPE_BYTES_MAX ? openPipe(bytes.length) : null
  if (pipe === null) return false
  const filled = pipe.holds >= bytes.length && writeAll(pipe.writeEnd, bytes)
  if (filled && instead !== null) consume(instead)
  const replaced = filled && again(() => dup2(pipe.readEnd, 0)) === 0
  close(pipe.readEnd)
  close(pipe.writeEnd)
  return replaced
}

/** What a pipe may hold without privileges, unless the administrator says otherwise (fs.pipe-max-size). */
const PIPE_BYTES_MAX = 1024 * 1024
const PIPE_BYTES_DEFAULT = 64 * 1024
/** A writer that adds nothing for this long is done or waits for an answer. */
const QUIET_MS = 4

const S_IFIFO = 0o010000
const S_IFCHR = 0o020000
const S_IFREG = 0o100000
const S_IFSOCK = 0o140000
const SEEK_CUR = 1
const POLLIN = 1
const POLLHUP = 0x10
const POLLRDHUP = 0x2000
const O_CLOEXEC = 0o2000000
const F_SETPIPE_SZ = 1031
const F_GETPIPE_SZ = 1032
const FIONREAD = 0x541b
const SPLICE_F_NONBLOCK = 2
const MSG_PEEK_DONTWAIT = 0x2 | 0x40

const pread = libc("pread", ["i32", "ptr", "u64", "i64"], FFIType.i64_fast)
const lseek = libc("lseek", ["i32", "i64", "i32"], FFIType.i64_fast)
const tee = libc("tee", ["i32", "i32", "u64", "u32"], FFIType.i64_fast)
const recv = libc("recv", ["i32", "ptr", "u64", "i32"], FFIType.i64_fast)
const ioctl = libc("ioctl", ["i32", "u64", "ptr"])
const pipe2 = libc("pipe2", ["ptr", "i32"])
const dup2 = libc("dup2", ["i32", "i32"])

function stdinKind(): StdinKind {
  const type = LINUX ? descriptorType(0) : S_IFCHR
  if (type === S_IFREG) return "file"
  if (type === S_IFIFO) return "pipe"
  if (type === S_IFSOCK) return "socket"
  return type === S_IFCHR && isTerminal(0) ? "tty" : "none"
}

function peekFile(maxBytes: number): Peeked {
  const bytes = new Uint8Array(maxBytes + 1)
  let length = 0
  for (const start = lseek(0, 0, SEEK_CUR); length < bytes.length; ) {
    const room = new Uint8Array(bytes.buffer, length)
    const count = again(() => pread(0, room, room.length, start + length))
    if (count <= 0) break
    length += count
  }
  return { kind: "file", bytes: new Uint8Array(bytes.buffer, 0, Math.min(length, maxBytes)), complete: length <= maxBytes }
}

/** Until `maxBytes` wait, the writer closed (then true), nothing was added for a moment, or the deadline (ns). */
function waitForInput(maxBytes: number, deadline: number): boolean {
  let seen = 0
  let quietSince = 0
  for (;;) {
    const now = Bun.nanoseconds()
    // With nothing there poll sleeps; with something it answers at once, so the pause is ours.
    const happened = pollOne(0, POLLIN | POLLRDHUP, seen === 0 ? Math.max(0, Math.ceil((deadline - now) / 1e6)) : 0)
    const waiting = waitingBytes()
    if (happened & (POLLHUP | POLLRDHUP)) return true
    if (waiting >= maxBytes || Bun.nanoseconds() >= deadline) return false
    if (waiting > seen) quietSince = now
    else if (seen > 0 && now - quietSince > QUIET_MS * 1e6) return false
    seen = waiting
    if (seen > 0) poll(null, 0, 1)
    else if (happened !== 0) return false
  }
}

function consume({ kind, bytes }: Peeked): void {
  if (kind === "file") lseek(0, bytes.length, SEEK_CUR)
  if (kind !== "pipe" && kind !== "socket") return
  const room = new Uint8Array(bytes.length)
  for (let left = bytes.length; left > 0 && pollOne(0, POLLIN, 0) & POLLIN; ) {
    const count = again(() => readInto(0, room, left))
    if (count <= 0) return
    left -= count
  }
}

function waitingBytes(): number {
  const count = new Int32Array(1)
  return ioctl(0, FIONREAD, new Uint8Array(count.buffer)) === 0 ? (count[0] ?? 0) : 0
}

/** tee(2) doubles what lies in the pipe into one of our own, which may then be read. */
function peekPipe(maxBytes: number): Uint8Array {
  const pipe = openPipe(PIPE_BYTES_MAX)
  if (pipe === null) return new Uint8Array()
  const bytes = new Uint8Array(maxBytes)
  let length = 0
  let copied = again(() => tee(0, pipe.writeEnd, maxBytes, SPLICE_F_NONBLOCK))
  while (copied > 0) {
    const room = new Uint8Array(bytes.buffer, length)
    const count = again(() => readInto(pipe.readEnd, room, copied))
    if (count <= 0) break
    copied -= count
    length += count
  }
  close(pipe.readEnd)
  close(pipe.writeEnd)
  return new Uint8Array(bytes.buffer, 0, length)
}

function peekSocket(maxBytes: number): Uint8Array {
  const bytes = new Uint8Array(maxBytes)
  const length = again(() => recv(0, bytes, bytes.length, MSG_PEEK_DONTWAIT))
  return new Uint8Array(bytes.buffer, 0, Math.max(0, length))
}

/** A pipe of our own, enlarged to `wanted` bytes where that is allowed. */
function openPipe(wanted: number): { readEnd: number; writeEnd: number; holds: number } | null {
  const ends = new Int32Array(2)
  if (pipe2(new Uint8Array(ends.buffer), O_CLOEXEC) !== 0) return null
  const [readEnd = -1, writeEnd = -1] = ends
  if (wanted > PIPE_BYTES_DEFAULT) fcntl(writeEnd, F_SETPIPE_SZ, wanted)
  return { readEnd, writeEnd, holds: fcntl(writeEnd, F_GETPIPE_SZ, 0) }
}
