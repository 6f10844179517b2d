import { CString, FFIType, type Pointer } from "bun:ffi"
import {
  addressOf, close, cString, ENOENT, errno, fcntl, fileExists, libc, LINUX, open, readFileBytes, readFileText,
} from "../system/libc.ts"

/** One argument of the command: a string of ours, or the n-th of our own command line (0 is our own name), byte for byte. */
export type ArgvPart = string | { raw: number; before?: string }

/**
 * Becomes the command: on success it never returns and nothing of ours stays. `file` is looked up in PATH by libc.
 * Bun changed some of what a child inherits; it is put back first. What libc's environment holds is passed on (setEnv()).
 * `argv` begins with the command's own name, as in C. Returns only to say why the command could not be started.
 */
export function execCommand({ file, argv }: { file: string; argv: ArgvPart[] }): { errno: number } {
  if (process.platform === "win32") return runAsChild(file, argv)
  restoreSignals()
  if (LINUX) {
    restoreDescriptors()
    restoreDescriptorLimit()
  }
  const args = argv.map(argumentBytes())
  const addresses = new BigUint64Array([...args.map((arg) => BigInt(addressOf(arg))), 0n])
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
const getppid = libc("getppid", [])
const getrlimit = libc("getrlimit", ["i32", "ptr"])
const setrlimit = libc("setrlimit", ["i32", "ptr"])
const readlink = libc("readlink", ["ptr", "ptr", "u64"], FFIType.i64_fast)
const getdents64 = libc("syscall", ["i64", "i32", "ptr", "u64"], FFIType.i64_fast)
const strerror = libc("strerror", ["i32"], "ptr")

/** Arguments as C strings; those of our own command line from the kernel, as JavaScript would lose what is not UTF-8. */
export function argumentBytes(): (part: ArgvPart) => Uint8Array {
  let own: Uint8Array[] | null = null
  return (part) => {
    if (typeof part === "string") return cString(part)
    own ??= ownArguments()
    const bytes = own[part.raw] ?? cString(Bun.argv[part.raw + 1] ?? "")
    return part.before === undefined ? bytes : Buffer.concat([Buffer.from(part.before), bytes])
  }
}

function ownArguments(): Uint8Array[] {
  const bytes = (LINUX && readFileBytes("/proc/self/cmdline", CMDLINE_BYTES_MAX)) || new Uint8Array()
  const found: Uint8Array[] = []
  for (let start = 0, end = bytes.indexOf(0); end >= 0; start = end + 1, end = bytes.indexOf(0, start)) {
    found.push(bytes.subarray(start, end + 1))
  }
  return found
}

/** Those Bun touches at start: it ignores PIPE and XFSZ, which a child would inherit, and catches the others. */
const SIGNALS_OF_BUN = process.platform === "darwin"
  ? [13, 25]
  : [13 /* PIPE */, 25 /* XFSZ */, 4 /* ILL */, 5 /* TRAP */, 6 /* ABRT */, 7 /* BUS */, 8 /* FPE */, 11 /* SEGV */, 30 /* PWR */, 31 /* SYS */]
const SIG_DFL = 0
const SIG_IGN = 1

/** To their default; or ignored as they were, which is known when our parent is a shell that ignores them (`trap '' PIPE`). */
function restoreSignals(): void {
  const ignored = ignoredByShell()
  for (const number of SIGNALS_OF_BUN) signal(number, (ignored >> BigInt(number - 1)) & 1n ? SIG_IGN : SIG_DFL)
}

/** Shells pass on what they ignore. fish and programs such as Python ignore PIPE for themselves alone. */
export function ignoredByShell(): bigint {
  if (!LINUX) return 0n
  const status = readFileText(`/proc/${getppid()}/status`, PROC_BYTES_MAX) ?? ""
  if (!/^Name:\t(ba|z|da|k|mk|a)?sh$/m.test(status)) return 0n
  return BigInt(`0x${/^SigIgn:\t([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`)
}

export function restoreDescriptors(): void {
  rememberInheritedDescriptors()
  for (const fd of inherited ?? []) fcntl(fd, F_SETFD, 0)
}

const RLIMIT_NOFILE = 7

/** Bun raises the soft limit to the hard one and forgets the old value; our parent still has it. */
export function restoreDescriptorLimit(): void {
  const ours = new BigUint64Array(2)
  if (getrlimit(RLIMIT_NOFILE, new Uint8Array(ours.buffer)) !== 0 || ours[0] !== ours[1]) return
  const limits = readFileText(`/proc/${getppid()}/limits`, PROC_BYTES_MAX) ?? ""
  const [, soft, hard] = /^Max open files +(\d+) +(\d+)/m.exec(limits) ?? []
  if (soft === undefined || hard === undefined || BigInt(hard) !== ours[1]) return
  setrlimit(RLIMIT_NOFILE, new Uint8Array(new BigUint64Array([BigInt(soft), BigInt(hard)]).buffer))
}

/** What is open above stderr and not Bun's own: its epoll, and the eventfd that this epoll watches. */
function descriptorsOfParent(): number[] {
  const targets = openDescriptors().map((fd) => ({ fd, target: linkTarget(`/proc/self/fd/${fd}`) }))
  const epoll = targets.findLast(({ target }) => target === "anon_inode:[eventpoll]")
  const eventfds = targets.filter(({ target }) => target === "anon_inode:[eventfd]")
  const watched = eventfds.length < 2 || !epoll ? null : readFileText(`/proc/self/fdinfo/${epoll.fd}`, PROC_BYTES_MAX)
  const ofBun = (fd: number) => watched === null || new RegExp(`^tfd: +${fd} `, "m").test(watched)
  eventLoop = epoll?.fd ?? null
  const own = new Set([epoll?.fd, ...eventfds.map(({ fd }) => fd).filter(ofBun)])
  return targets.map(({ fd }) => fd).filter((fd) => !own.has(fd))
}

/** Descriptors above stderr, by getdents64(2) on /proc/self/fd. */
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
      const fd = Number.parseInt(textAt(bytes, at + 19), 10)
      if (fd > 2 && fd !== directory) found.push(fd)
    }
  }
  close(directory)
  return found.sort((a, b) => a - b)
}

function linkTarget(path: string): string {
  const bytes = new Uint8Array(64)
  const length = readlink(cString(path), bytes, bytes.length)
  return length > 0 ? new TextDecoder().decode(bytes.subarray(0, length)) : ""
}

function textAt(bytes: Uint8Array, start: number): string {
  return new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start)))
}

/** A name in PATH that is a file at all: a directory of that name is none to a shell. */
function inPath(name: string): boolean {
  const places = (process.env["PATH"] ?? "/bin:/usr/bin").split(":").map((place) => `${place || "."}/${name}`)
  return places.some((path) => fileExists(path) && !fileExists(`${path}/.`))
}

export function reasonText(reason: number): string {
  if (reason === ENOEXEC) return "cannot execute binary file: Exec format error"
  return new CString(strerror(reason) as Pointer).toString()
}

/** Windows cannot replace a process: the command runs as our child and we end with its status. Not run there yet. */
function runAsChild(file: string, argv: ArgvPart[]): { errno: number } {
  const path = Bun.which(file)
  if (path === null) return { errno: ENOENT }
  const args = argv.slice(1).map((part) => (typeof part === "string" ? part : (Bun.argv[part.raw + 1] ?? "")))
  const child = Bun.spawnSync([path, ...args], { stdin: "inherit", stdout: "inherit", stderr: "inherit", env: process.env })
  process.exit(child.exitCode)
}
