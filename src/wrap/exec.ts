import { CString, FFIType, type Pointer } from "bun:ffi"
import {
  addressOf, close, cString, ENOENT, errno, fcntl, fileExists, libc, LINUX, NATIVE, open, readFileBytes, readFileText,
} from "../system/libc.ts"

/*
 * Written in plain loops: the first call of map(), filter(), subarray() or a regular expression costs 30-90 µs each, and
 * this whole file takes 300.
 */

/** One argument of the command: a string of ours, or the n-th of our own command line (0 is our own name), byte for byte. */
export type ArgvPart = string | { raw: number; before?: string }

/**
 * Becomes the command: on success it never returns and nothing of ours stays. `file` is looked up in PATH by libc.
 * Bun changed some of what a child inherits; it is put back first. What libc's environment holds is passed on (setEnv()).
 * `argv` begins with the command's own name, as in C. Returns only to say why the command could not be started.
 */
export function execCommand({ file, argv }: { file: string; argv: ArgvPart[] }): { errno: number } {
  if (!NATIVE) return startByBun(file, argv)
  restoreSignals()
  if (LINUX) {
    restoreDescriptors()
    restoreDescriptorLimit()
  }
  const bytesOf = argumentBytes()
  const args: Uint8Array[] = []
  const addresses = new BigUint64Array(argv.length + 1)
  for (const part of argv) {
    const bytes = bytesOf(part)
    addresses[args.push(bytes) - 1] = BigInt(addressOf(bytes))
  }
  execvp(cString(file), new Uint8Array(addresses.buffer))
  // Asked here, so that the bytes behind the addresses are alive until execvp is done with them.
  return { errno: args.length >= 0 ? errno() : 0 }
}

/** Exit status and words of a command that could not be started, as bash says them. */
export function execFailure(file: string, reason: number): { status: 126 | 127; message: string } {
  const failure = (status: 126 | 127, why: string) => ({ status, message: `nswrap: ${file}: ${why}` })
  const named = file.includes("/")
  if (!named && (reason === ENOENT || (reason === EACCES && !inPath(file)))) return failure(127, "command not found")
  if (reason === ENOENT && fileExists(file)) return failure(127, "cannot execute: required file not found")
  if (reason === ENOENT) return failure(127, "No such file or directory")
  if (reason === EACCES && fileExists(`${file}/.`)) return failure(126, "Is a directory")
  return failure(126, reasonText(reason))
}

let inherited: number[] | null = null
let eventLoop: number | null = null

/**
 * Notes which descriptors above stderr came from our parent, to pass on exactly these. Call it before anything of ours is
 * opened: Bun marks all of them close-on-exec, so later they look like our own.
 */
export function rememberInheritedDescriptors(): void {
  inherited ??= LINUX ? descriptorsOfParent() : []
}

/** The epoll descriptor of Bun's event loop, readable when a signal or timer waits for JavaScript; null when unknown. */
export function eventLoopDescriptor(): number | null {
  rememberInheritedDescriptors()
  return eventLoop
}

const ENOEXEC = 8
const EACCES = 13
const F_SETFD = 2
const CMDLINE_BYTES_MAX = 256 * 1024 * 1024
const PROC_BYTES_MAX = 64 * 1024

const execvp = libc("execvp", ["ptr", "ptr"])
const signal = libc("signal", ["i32", "i64"], "ptr")
const sigaction = libc("sigaction", ["i32", "ptr", "ptr"])
const getppid = libc("getppid", [])
const prlimit = libc("prlimit", ["i32", "i32", "ptr", "ptr"])
const readlink = libc("readlink", ["ptr", "ptr", "u64"], FFIType.i64_fast)
const getdents64 = libc("syscall", ["i64", "i32", "ptr", "u64"], FFIType.i64_fast)
const strerror = libc("strerror", ["i32"], "ptr")

/** Arguments as C strings; those of our own command line from the kernel, as JavaScript would lose what is not UTF-8. */
export function argumentBytes(): (part: ArgvPart) => Uint8Array {
  let own: Uint8Array[] | null = null
  return (part) => {
    if (typeof part === "string") return cString(part)
    const text = Bun.argv[part.raw + 1] ?? ""
    // Only what was no UTF-8 has lost its bytes, and shows it by the replacement character.
    if (text.includes("\uFFFD")) own ??= ownArguments()
    const bytes = own?.[part.raw] ?? cString(text)
    return part.before === undefined ? bytes : Buffer.concat([Buffer.from(part.before), bytes])
  }
}

function ownArguments(): Uint8Array[] {
  const bytes = (LINUX && readFileBytes("/proc/self/cmdline", CMDLINE_BYTES_MAX)) || new Uint8Array()
  const found: Uint8Array[] = []
  for (let start = 0, end = bytes.indexOf(0); end >= 0; start = end + 1, end = bytes.indexOf(0, start)) {
    found.push(new Uint8Array(bytes.buffer, bytes.byteOffset + start, end + 1 - start))
  }
  return found
}

/** Those Bun touches at start: it ignores PIPE and XFSZ, which a child would inherit, and catches the others. */
const SIGNALS_OF_BUN = process.platform === "darwin"
  ? [13, 25]
  : [13 /* PIPE */, 25 /* XFSZ */, 4 /* ILL */, 5 /* TRAP */, 6 /* ABRT */, 7 /* BUS */, 8 /* FPE */, 11 /* SEGV */, 30 /* PWR */, 31 /* SYS */]
const SIGINT = 2
const SIGQUIT = 3
const SIGTERM = 15
const SIGTSTP = process.platform === "darwin" ? 18 : 20
const IGNORED_BY_BUN = [13 /* PIPE */, 25 /* XFSZ */]
const SIG_DFL = 0
const SIG_IGN = 1

/** To their default; or ignored as they were, which is known when our parent is a shell that ignores them (`trap '' PIPE`). */
function restoreSignals(): void {
  const ignored = ignoredByShell()
  const isIgnored = (number: number) => ((ignored >> BigInt(number - 1)) & 1n) === 1n
  // A handler goes by itself when the program is replaced; only PIPE and XFSZ are ignored, and would stay so.
  for (const number of ignored === 0n ? IGNORED_BY_BUN : SIGNALS_OF_BUN) signal(number, isIgnored(number) ? SIG_IGN : SIG_DFL)
  // At a terminal Bun catches these two as well. A shell starts `command &` in a script with INT and QUIT ignored, and Bun
  // leaves QUIT alone. A shell with job control, one that ignores TSTP, ignores TERM for itself.
  if (isCaught(SIGINT) && (isIgnored(SIGINT) || handlerOf(SIGQUIT) === SIG_IGN)) signal(SIGINT, SIG_IGN)
  if (isCaught(SIGTERM) && isIgnored(SIGTERM) && !isIgnored(SIGTSTP)) signal(SIGTERM, SIG_IGN)
}

function isCaught(number: number): boolean {
  const handler = handlerOf(number)
  return handler !== SIG_DFL && handler !== SIG_IGN
}

/** The first word of struct sigaction. */
function handlerOf(number: number): number {
  const action = new BigUint64Array(32)
  return sigaction(number, null, new Uint8Array(action.buffer)) === 0 ? Number(action[0]) : SIG_DFL
}

/** Shells pass on what they ignore. fish and programs such as Python ignore PIPE for themselves alone. */
export function ignoredByShell(): bigint {
  if (!LINUX) return 0n
  const status = readFileText(`/proc/${getppid()}/status`, PROC_BYTES_MAX) ?? ""
  const name = lineOf(status, "Name:\t")
  return SHELLS.has(name) ? BigInt(`0x${lineOf(status, "\nSigIgn:\t") || "0"}`) : 0n
}

const SHELLS = new Set(["sh", "bash", "zsh", "dash", "ksh", "mksh", "ash", "busybox"])

function lineOf(text: string, start: string): string {
  const at = text.indexOf(start)
  return at < 0 ? "" : text.slice(at + start.length, text.indexOf("\n", at + start.length))
}

export function restoreDescriptors(): void {
  rememberInheritedDescriptors()
  for (const fd of inherited ?? []) fcntl(fd, F_SETFD, 0)
}

const RLIMIT_NOFILE = 7

/** Bun raises the soft limit to the hard one and forgets the old value; our parent still has it. */
export function restoreDescriptorLimit(): void {
  const ours = new BigUint64Array(2)
  const parents = new BigUint64Array(2)
  if (prlimit(0, RLIMIT_NOFILE, null, new Uint8Array(ours.buffer)) !== 0 || ours[0] !== ours[1]) return
  if (prlimit(getppid(), RLIMIT_NOFILE, null, new Uint8Array(parents.buffer)) !== 0 || parents[1] !== ours[1]) return
  if (parents[0] !== ours[0]) prlimit(0, RLIMIT_NOFILE, new Uint8Array(parents.buffer), null)
}

/** What is open above stderr and not Bun's own: its epoll, and the eventfd that this epoll watches. */
function descriptorsOfParent(): number[] {
  const found = openDescriptors()
  if (found.length === 2) {
    eventLoop = found[0] ?? null
    return []
  }
  const eventfds: number[] = []
  for (const fd of found) {
    const kind = anonymousKind(fd)
    if (kind === "eventpoll") eventLoop = fd
    else if (kind === "eventfd") eventfds.push(fd)
  }
  const own = new Set([eventLoop])
  const watched = eventfds.length < 2 ? null : readFileText(`/proc/self/fdinfo/${eventLoop}`, PROC_BYTES_MAX)
  for (const fd of eventfds) if (watched === null || new RegExp(`^tfd: +${fd} `, "m").test(watched)) own.add(fd)
  return found.filter((fd) => !own.has(fd))
}

/** Descriptors above stderr in rising order, by getdents64(2) on /proc/self/fd. */
function openDescriptors(): number[] {
  const O_DIRECTORY_CLOEXEC = 0o2000000 | (process.arch === "arm64" ? 0o40000 : 0o200000)
  const directory = open(cString("/proc/self/fd"), O_DIRECTORY_CLOEXEC, 0)
  if (directory < 0) return []
  const found: number[] = []
  const bytes = new Uint8Array(4096)
  const view = new DataView(bytes.buffer)
  for (;;) {
    const length = getdents64(process.arch === "arm64" ? 61 : 217, directory, bytes, bytes.length)
    if (length <= 0) break
    // struct linux_dirent64: inode 0, offset 8, record length 16, type 18, name 19.
    for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
      const fd = decimalAt(bytes, at + 19)
      if (fd > 2 && fd !== directory) found.push(fd)
    }
  }
  close(directory)
  return found
}

/** "eventpoll", "eventfd", "pidfd"…: what has no file, by its name in /proc; "" for everything else. */
function anonymousKind(fd: number): string {
  const bytes = new Uint8Array(64)
  const length = readlink(cString(`/proc/self/fd/${fd}`), bytes, bytes.length)
  return bytes[0] === 0x61 /* anon_inode:[…] */ ? new TextDecoder().decode(new Uint8Array(bytes.buffer, 12, length - 13)) : ""
}

/** -1 for "." and "..". */
function decimalAt(bytes: Uint8Array, start: number): number {
  let value = 0
  for (let at = start; bytes[at] !== 0; at++) {
    const digit = (bytes[at] ?? 0) - 48
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}

/** A name in PATH that is a file at all: a directory of that name is none to a shell. */
function inPath(name: string): boolean {
  const places = (process.env["PATH"] ?? "/bin:/usr/bin").split(":").map((place) => `${place || "."}/${name}`)
  return places.some((path) => fileExists(path) && !fileExists(`${path}/.`))
}

export function reasonText(reason: number): string {
  if (reason === ENOEXEC) return "cannot execute binary file: Exec format error"
  if (!NATIVE) return "cannot execute"
  return new CString(strerror(reason) as Pointer).toString()
}

/**
 * Where libc cannot be called: Bun's own exec, with what it changes for the command; on Windows, which cannot replace a
 * process, as our child, and we end with its status (not run there yet).
 */
function startByBun(file: string, argv: ArgvPart[]): { errno: number } {
  const path = file.includes("/") ? file : Bun.which(file)
  if (path === null || !fileExists(path)) return { errno: ENOENT }
  const args: string[] = []
  for (const part of argv) args.push(typeof part === "string" ? part : (Bun.argv[part.raw + 1] ?? ""))
  // Bun warns on stderr that this is experimental.
  process.emitWarning = () => {}
  try {
    process.execve?.(path, args, process.env)
  } catch {
    return { errno: EACCES }
  }
  const child = Bun.spawnSync([path, ...args.slice(1)], { stdin: "inherit", stdout: "inherit", stderr: "inherit", env: process.env })
  process.exit(child.exitCode)
}
