import { dlopen, FFIType, ptr, read, type FFIFunction, type Pointer } from "bun:ffi"
import * as portable from "./portable.ts"

/*
 * Files, descriptors and the environment straight from libc, because on the hot path node:fs costs 1.1 ms to import and
 * Bun.file() a thread. A symbol is looked up when it is first called: the first costs 0.1 ms, each further one 5 µs.
 * Linux (glibc, musl) on x64 and arm64; elsewhere, and where bun:ffi is refused because the system or BUN_JSC_useJIT=0
 * allows no code to be made, src/system/portable.ts answers, by node:fs.
 */

/** `bun build --define NSWRAP_LIBC='"musl"'` marks a musl build; asking the running system could open the wrong libc. */
declare const NSWRAP_LIBC: string | undefined

/** Always loaded already (glibc), or absolute: Bun looks an unknown bare name up in the current directory. */
const LIBC = process.platform === "darwin"
  ? "/usr/lib/libSystem.B.dylib"
  : typeof NSWRAP_LIBC === "string" && NSWRAP_LIBC === "musl"
    ? `/lib/ld-musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`
    : "libc.so.6"

/** libc can be called. */
export const NATIVE = process.platform !== "win32" && canCallLibc()
/** And is Linux's, of which more is used than of others'. */
export const LINUX = process.platform === "linux" && NATIVE

/** A C function taking numbers, bytes (their address) or null, and answering a number. */
export type NativeFunction = (...args: (number | Uint8Array | null)[]) => number

/** A function of libc, looked up at its first call. Throws at that call when libc lacks it, or is not to be called at all (NATIVE). */
export function libc(name: string, args: FFIFunction["args"], returns: FFIFunction["returns"] = "i32"): NativeFunction {
  let found: NativeFunction | null = null
  return (...values) => {
    found ??= dlopen(LIBC, { [name]: { args, returns } }).symbols[name] as unknown as NativeFunction
    return found(...values)
  }
}

const errnoLocation = libc(process.platform === "darwin" ? "__error" : "__errno_location", [], "ptr")
let errnoAddress = 0

/** Why the last libc call failed; ask right after it. */
export function errno(): number {
  errnoAddress ||= errnoLocation()
  return read.i32(errnoAddress as Pointer, 0)
}

export const ENOENT = 2
export const EINTR = 4
export const EAGAIN = 11
export const EEXIST = 17

export const open = libc("open", ["ptr", "i32", "u32"])
export const close = libc("close", ["i32"])
export const readInto = libc("read", ["i32", "ptr", "u64"], FFIType.i64_fast)
export const writeFrom = libc("write", ["i32", "ptr", "u64"], FFIType.i64_fast)
export const poll = libc("poll", ["ptr", "u64", "i32"])
/** With a number as third argument; on macOS arm64 variadic arguments travel elsewhere, so Linux only. */
export const fcntl = libc("fcntl", ["i32", "i32", "i64"])
const access = libc("access", ["ptr", "i32"])
const rename = libc("rename", ["ptr", "ptr"])
const unlink = libc("unlink", ["ptr"])
const mkdir = libc("mkdir", ["ptr", "u32"])
const utimensat = libc("utimensat", ["i32", "ptr", "ptr", "i32"])
const realpath = libc("realpath", ["ptr", "ptr"], "ptr")
const isatty = libc("isatty", ["i32"])
const setenv = libc("setenv", ["ptr", "ptr", "i32"])
const unsetenv = libc("unsetenv", ["ptr"])
const statfs = libc("statfs", ["ptr", "ptr"])
/** By number: glibc before 2.28 has no statx, the kernel has it since 4.11. */
const syscallStatx = libc("syscall", ["i64", "i32", "ptr", "i32", "u32", "ptr"], FFIType.i64_fast)

const STATX_TYPE = 0x1
const STATX_MTIME = 0x40
const STATX_INO = 0x100
const STATX_SIZE = 0x200
const STATX_BTIME = 0x800
const O_RDONLY = 0
const O_WRONLY = 1
const O_CREAT = 0o100
const O_EXCL = 0o200
const O_APPEND = 0o2000
const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const AT_FDCWD = -100
const PATH_BYTES_MAX = 4096
const READ_BYTES_FIRST = 16 * 1024
/** How long a terminal or pipe that does not take our error text may hold us up. */
const WRITE_WAIT_MS = 100
const POLLOUT = 4

/** The bytes of a file of at most `maxBytes`; null when it is absent, unreadable, larger, or no plain file. */
export function readFileBytes(path: string, maxBytes: number): Uint8Array | null {
  if (!LINUX) return portable.readFileBytes(path, maxBytes)
  // Non-blocking, so that a named pipe in the place of our file cannot hold the user's command up.
  const fd = openFile(path, O_RDONLY | O_NONBLOCK, 0)
  if (fd < 0) return null
  try {
    return readAll(fd, maxBytes)
  } finally {
    close(fd)
  }
}

/** The first bytes of a file, at most `bytes`; empty when it is absent, unreadable or no plain file. */
export function readHead(path: string, bytes: number): Uint8Array {
  if (!LINUX) return (portable.readFileBytes(path, 64 * bytes) ?? new Uint8Array()).subarray(0, bytes)
  const fd = openFile(path, O_RDONLY | O_NONBLOCK, 0)
  if (fd < 0) return new Uint8Array()
  const head = new Uint8Array(bytes)
  const count = again(() => readInto(fd, head, bytes))
  close(fd)
  return head.subarray(0, Math.max(0, count))
}

/** readFileBytes() as UTF-8. */
export function readFileText(path: string, maxBytes: number): string | null {
  const bytes = readFileBytes(path, maxBytes)
  return bytes === null ? null : new TextDecoder().decode(bytes)
}

/** Writes beside `path` and renames, so a reader sees the old or the new file whole. Not synced. False on failure. */
export function writeFileAtomic(path: string, bytes: Uint8Array, mode: number): boolean {
  if (!LINUX) return portable.writeFileAtomic(path, bytes, mode)
  const beside = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`
  const fd = openFile(beside, O_WRONLY | O_CREAT | O_EXCL, mode)
  if (fd < 0) return false
  const written = writeAll(fd, bytes)
  const closed = close(fd) === 0
  if (written && closed && rename(cString(beside), cString(path)) === 0) return true
  unlink(cString(beside))
  return false
}

/** One O_APPEND write, so lines of several processes do not mix. False when not all of it was written. */
export function appendFile(path: string, bytes: Uint8Array, mode: number): boolean {
  if (!LINUX) return portable.appendFile(path, bytes, mode)
  const fd = openFile(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, mode)
  if (fd < 0) return false
  const count = bytes.length === 0 ? 0 : again(() => writeFrom(fd, bytes, bytes.length))
  return close(fd) === 0 && count === bytes.length
}

export function fileExists(path: string): boolean {
  if (!LINUX) return portable.fileExists(path)
  return validPath(path) && access(cString(path), 0) === 0
}

/** Sets the file's times to now; false when it is absent. */
export function touch(path: string): boolean {
  if (!LINUX) return portable.touch(path)
  return validPath(path) && utimensat(AT_FDCWD, cString(path), null, 0) === 0
}

/** Removes one file; true when it is gone afterwards. */
export function removeFile(path: string): boolean {
  if (!LINUX) return portable.removeFile(path)
  return validPath(path) && (unlink(cString(path)) === 0 || errno() === ENOENT)
}

/** mkdir -p, every new directory with `mode`; true when the directory exists afterwards. */
export function makeDirectory(path: string, mode: number): boolean {
  if (!LINUX) return portable.makeDirectory(path, mode)
  if (!validPath(path)) return false
  if (mkdir(cString(path), mode) === 0) return true
  const reason = errno()
  if (reason === EEXIST) return fileExists(`${path}/.`)
  const slash = path.replace(/\/+$/, "").lastIndexOf("/")
  if (reason !== ENOENT || slash <= 0) return fileExists(`${path}/.`)
  if (!makeDirectory(path.slice(0, slash), mode)) return false
  return mkdir(cString(path), mode) === 0 || fileExists(`${path}/.`)
}

/** What stays of a file or directory when it is moved: decimal strings, `birth` in ns and "" when unknown. */
export interface FileIdentity {
  device: string
  inode: string
  birth: string
}

/** Follows symbolic links; null when there is nothing at `path`. */
export function fileIdentity(path: string): FileIdentity | null {
  if (!LINUX) return portable.fileIdentity(path)
  const view = validPath(path) ? statx(AT_FDCWD, path, 0) : null
  if (view === null) return null
  // struct statx, the same on every architecture: mask 0, mode 28, inode 32, birth 80 (s) and 88 (ns), device 136, 140.
  const born = (view.getUint32(0, true) & STATX_BTIME) !== 0
  const birth = view.getBigInt64(80, true) * 1_000_000_000n + BigInt(view.getUint32(88, true))
  return {
    device: ((BigInt(view.getUint32(136, true)) << 32n) | BigInt(view.getUint32(140, true))).toString(),
    inode: view.getBigUint64(32, true).toString(),
    birth: born ? birth.toString() : "",
  }
}

/** One word that changes whenever a file is written or replaced: inode, size and the time of the last write in ns. "" when absent. */
export function fileStamp(path: string): { stamp: string; sizeBytes: number; changedMs: number } {
  if (!LINUX) return portable.fileStamp(path)
  const view = validPath(path) ? statx(AT_FDCWD, path, 0) : null
  if (view === null) return { stamp: "", sizeBytes: 0, changedMs: 0 }
  // size at 40, time of the last write at 112 (s) and 120 (ns)
  const [seconds, nanoseconds] = [view.getBigInt64(112, true), view.getUint32(120, true)]
  return { stamp: `${view.getBigUint64(32, true)}:${view.getBigUint64(40, true)}:${seconds}.${nanoseconds}`, sizeBytes: Number(view.getBigUint64(40, true)), changedMs: Number(seconds) * 1000 + nanoseconds / 1e6 }
}

/** The type bits (S_IFMT) of what is open as `fd`; 0 when nothing is. Linux only. */
export function descriptorType(fd: number): number {
  const AT_EMPTY_PATH = 0x1000
  const S_IFMT = 0o170000
  return (statx(fd, "", AT_EMPTY_PATH)?.getUint16(28, true) ?? 0) & S_IFMT
}

/** Absolute, without symbolic links; null when a part of it does not exist. */
export function realPath(path: string): string | null {
  if (!LINUX) return portable.realPath(path)
  const bytes = new Uint8Array(PATH_BYTES_MAX)
  if (!validPath(path) || !realpath(cString(path), bytes)) return null
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)))
}

/** isatty(3): `process.stdout.isTTY` costs 8 ms. */
export function isTerminal(fd: number): boolean {
  if (!LINUX) return portable.isTerminal(fd)
  return isatty(fd) === 1
}

/** Writes to stderr at once; a stderr that takes nothing is given up after a moment. */
export function writeErr(text: string): void {
  if (!LINUX) return portable.writeErr(text)
  writeAll(2, new TextEncoder().encode(text))
}

/** "ext4", "nfs", "tmpfs"… of the file system that holds `path`; null when there is no such path or name. */
export function fileSystemType(path: string): string | null {
  if (!LINUX) return portable.fileSystemType(path)
  const bytes = new Uint8Array(256)
  if (!validPath(path) || statfs(cString(path), bytes) !== 0) return null
  return FILE_SYSTEMS[new DataView(bytes.buffer).getUint32(0, true)] ?? null
}

/** f_type of statfs(2), from linux/magic.h and the file systems' own headers. */
const FILE_SYSTEMS: Record<number, string> = {
  0x6969: "nfs", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x517b: "smb", 0x65735546: "fuse", 0x01021997: "9p",
  0x5346414f: "afs", 0x00c36400: "ceph", 0x73757245: "coda", 0x0bd00bd0: "lustre", 0x47504653: "gpfs",
  0x7461636f: "ocfs2", 0x01161970: "gfs2", 0x19830326: "beegfs",
  0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs", 0xf2f52010: "f2fs", 0xca451a4e: "bcachefs",
  0x01021994: "tmpfs", 0x858458f6: "ramfs", 0x794c7630: "overlay", 0x4d44: "vfat", 0x2011bab0: "exfat",
  0x5346544e: "ntfs", 0x7366746e: "ntfs3", 0x786f4256: "vboxsf", 0xf15f: "ecryptfs", 0x73717368: "squashfs",
}

/** Sets a variable for the command that replaces us; process.env keeps what it was. */
export function setEnv(name: string, value: string): void {
  if (!NATIVE) return portable.setEnv(name, value)
  if (name !== "" && !name.includes("=") && validPath(name) && !value.includes("\0")) setenv(cString(name), cString(value), 1)
}

/** Removes a variable for the command that replaces us. */
export function unsetEnv(name: string): void {
  if (!NATIVE) return portable.unsetEnv(name)
  if (name !== "" && !name.includes("=") && validPath(name)) unsetenv(cString(name))
}

/** UTF-8 with the closing zero byte. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`)
}

/** Repeats a call that a signal interrupted. */
export function again(call: () => number): number {
  for (;;) {
    const result = call()
    if (result >= 0 || errno() !== EINTR) return result
  }
}

/** Everything that is left to read in `fd`; null on an error or beyond `maxBytes`. */
export function readAll(fd: number, maxBytes: number): Uint8Array | null {
  let bytes = new Uint8Array(Math.min(maxBytes + 1, READ_BYTES_FIRST))
  let length = 0
  for (;;) {
    const room = new Uint8Array(bytes.buffer, length)
    const count = again(() => readInto(fd, room, room.length))
    if (count < 0) return null
    if (count === 0) return new Uint8Array(bytes.buffer, 0, length)
    length += count
    if (length > maxBytes) return null
    if (length === bytes.length) {
      const larger = new Uint8Array(Math.min(maxBytes + 1, bytes.length * 4))
      larger.set(bytes)
      bytes = larger
    }
  }
}

/** The whole of `bytes`, through short writes and a full pipe. */
export function writeAll(fd: number, bytes: Uint8Array): boolean {
  let rest = bytes
  while (rest.length > 0) {
    const part = rest
    const count = again(() => writeFrom(fd, part, part.length))
    if (count >= 0) rest = rest.subarray(count)
    else if (errno() !== EAGAIN || pollOne(fd, POLLOUT, WRITE_WAIT_MS) === 0) return false
  }
  return true
}

/** What poll(2) says of one descriptor: its revents, 0 when nothing happened within `waitMs`. */
export function pollOne(fd: number, events: number, waitMs: number): number {
  const request = new Int32Array([fd, events])
  return poll(new Uint8Array(request.buffer), 1, waitMs) > 0 ? (request[1] ?? 0) >>> 16 : 0
}

/** The address of bytes that must stay alive while C uses it. */
export function addressOf(bytes: Uint8Array): number {
  return ptr(bytes)
}

function canCallLibc(): boolean {
  try {
    dlopen(LIBC, { close: { args: ["i32"], returns: "i32" } })
    return true
  } catch {
    return false
  }
}

function openFile(path: string, flags: number, mode: number): number {
  if (!validPath(path)) return -1
  const name = cString(path)
  return again(() => open(name, flags | O_CLOEXEC, mode))
}

function statx(fd: number, path: string, flags: number): DataView | null {
  const bytes = new Uint8Array(256)
  const number = process.arch === "arm64" ? 291 : 332
  const failed = syscallStatx(number, fd, cString(path), flags, STATX_TYPE | STATX_MTIME | STATX_INO | STATX_SIZE | STATX_BTIME, bytes) !== 0
  return failed ? null : new DataView(bytes.buffer)
}

/** A zero byte would end the path early: another file than the one that was named. */
function validPath(path: string): boolean {
  return !path.includes("\0")
}
