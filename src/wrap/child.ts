import { dlopen, read, type Pointer } from "bun:ffi"
import { addressOf, again, cString, libc } from "../system/libc.ts"
import { argumentBytes, ignoredByShell, restoreDescriptorLimit, restoreDescriptors, type ArgvPart } from "./exec.ts"

/*
 * A child process by libc's posix_spawn, for the runs in which we stay. Not Bun.spawn: that loses raw argument bytes,
 * inherited descriptors, ignored signals and stops (^Z). Linux only.
 */

/** What became of a child: its status, the signal that killed or stopped it, or that it goes on. */
export type ChildNews = { exited: number } | { killedBy: number } | { stoppedBy: number } | { continued: true }

export const SIGKILL = 9
export const SIGPIPE = 13
export const SIGCONT = 18
const SIGSTOP = 19
const SIGTTOU = 22
const SIGXFSZ = 25
const ENOEXEC = 8

/**
 * Starts a command as execCommand() would, but beside us: in our process group, with what our parent gave to us and
 * `stdin`, `stdout` in the place of descriptors 0 and 1 where they are given.
 */
export function startChild({ file, argv, stdin, stdout }: { file: string; argv: ArgvPart[]; stdin: number | null; stdout: number | null }):
  { pid: number } | { errno: number } {
  restoreDescriptors()
  restoreDescriptorLimit()
  const args = argv.map(argumentBytes())
  const redirect = (actions: Uint8Array) => {
    if (stdin !== null) spawnDup2(actions, stdin, 0)
    if (stdout !== null) spawnDup2(actions, stdout, 1)
  }
  // Bun ignores these two. The child gets what our parent had, and we go on ignoring them, for EPIPE.
  const ignored = ignoredByShell()
  for (const number of [SIGPIPE, SIGXFSZ]) signal(number, (ignored >> BigInt(number - 1)) & 1n ? SIG_IGN : SIG_DFL)
  const direct = spawn({ file, args, redirect })
  const shellScript = "errno" in direct && direct.errno === ENOEXEC ? Bun.which(file) : null
  // A script without #!: shells run it by sh, and so does execvp.
  const child = shellScript === null ? direct
    : spawn({ file: "/bin/sh", args: [cString("sh"), cString(shellScript), ...args.slice(1)], redirect })
  for (const number of [SIGPIPE, SIGXFSZ]) signal(number, SIG_IGN)
  return child
}

/** Starts `cat` from one descriptor to our stdout, to go on when we are gone. */
export function startCat(from: number): boolean {
  return "pid" in spawn({ file: "cat", args: [cString("cat")], redirect: (actions) => spawnDup2(actions, from, 0) })
}

/** What changed with a child since it was asked last; an end is told again until reap(). */
export function childNews(pid: number): ChildNews | null {
  return waitFor(pid, WSTOPPED | WCONTINUED) ?? waitFor(pid, WEXITED | WNOWAIT)
}

/** Lets an ended child go: until then its id, and the process group it is in, stay valid. */
export function reap(pid: number): void {
  waitFor(pid, WEXITED)
}

export function sendSignal(pid: number, number: number): void {
  kill(pid, number)
}

/** Whether the signal was ignored when we were started (nohup, a shell's background job): then it stays so for all. */
export function isIgnored(number: number): boolean {
  const current = new Uint8Array(256)
  return sigaction(number, null, current) === 0 && new DataView(current.buffer).getBigUint64(0, true) === BigInt(SIG_IGN)
}

/**
 * Leaves the process group that the child stays in, for one of our own. From then on what a terminal (^C, ^Z) or a shell
 * (`kill %1`) sends to the group reaches the child alone and directly, as without us; and what does reach us was meant
 * for our process id alone, so passing on every signal is right. False where it cannot be done (a session's leader).
 */
export function leaveGroup(): boolean {
  if (getsid(0) === process.pid) return false
  // A group can only be entered that exists: a short-lived leader makes one.
  const leader = spawn({ file: "/bin/sh", args: ["sh", "-c", ":"].map(cString), ownGroup: true })
  if ("errno" in leader) return false
  const left = setpgid(0, leader.pid) === 0
  kill(leader.pid, SIGKILL)
  again(() => waitpid(leader.pid, null, 0))
  // From a group in the background a message to the terminal could stop us.
  if (left) signal(SIGTTOU, SIG_IGN)
  return left
}

export function currentGroup(): number {
  return getpgrp()
}

/** Goes back into the group that leaveGroup() left; nothing when no process is in it any more. */
export function returnToGroup(group: number): void {
  setpgid(0, group)
}

/** Whether ^C and ^Z typed at our terminal reach us: we are in its foreground group. */
export function inForeground(): boolean {
  terminal ??= openTerminal(cString("/dev/tty"), O_RDWR_NOCTTY_CLOEXEC, 0)
  return terminal >= 0 && tcgetpgrp(terminal) === getpgrp()
}

/** Stops us as the signal stopped the child; returns when we are continued. */
export function stopAs(number: number): void {
  if (number === SIGSTOP) {
    kill(process.pid, SIGSTOP)
    return
  }
  const before = new Uint8Array(256)
  sigaction(number, new Uint8Array(256), before)
  kill(process.pid, number)
  sigaction(number, before, null)
}

/** Ends us by a signal, as the child ended, without a core dump of ours. Returns only if the signal does not end us. */
export function dieBy(number: number): void {
  const RLIMIT_CORE = 4
  const PR_SET_DUMPABLE = 4
  setrlimit(RLIMIT_CORE, new Uint8Array(16))
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
  signal(number, SIG_DFL)
  sigprocmask(SIG_SETMASK, new Uint8Array(128), null)
  kill(process.pid, number)
}

const SIG_DFL = 0
const SIG_IGN = 1
const SIG_SETMASK = 2
const P_PID = 1
const WNOHANG = 1
const WSTOPPED = 2
const WEXITED = 4
const WCONTINUED = 8
const WNOWAIT = 0x01000000
const O_RDWR_NOCTTY_CLOEXEC = 0o2 | 0o400 | 0o2000000
let terminal: number | null = null

const posixSpawnp = libc("posix_spawnp", ["ptr", "ptr", "ptr", "ptr", "ptr", "u64"])
const actionsInit = libc("posix_spawn_file_actions_init", ["ptr"])
const actionsDestroy = libc("posix_spawn_file_actions_destroy", ["ptr"])
const spawnDup2 = libc("posix_spawn_file_actions_adddup2", ["ptr", "i32", "i32"])
const attributesInit = libc("posix_spawnattr_init", ["ptr"])
const setSpawnFlags = libc("posix_spawnattr_setflags", ["ptr", "i32"])
const setSpawnMask = libc("posix_spawnattr_setsigmask", ["ptr", "ptr"])
const setSpawnDefaults = libc("posix_spawnattr_setsigdefault", ["ptr", "ptr"])
const waitid = libc("waitid", ["i32", "i32", "ptr", "i32"])
const waitpid = libc("waitpid", ["i32", "ptr", "i32"])
const kill = libc("kill", ["i32", "i32"])
const signal = libc("signal", ["i32", "i64"], "ptr")
const sigaction = libc("sigaction", ["i32", "ptr", "ptr"])
const sigprocmask = libc("pthread_sigmask", ["i32", "ptr", "ptr"])
const getpgrp = libc("getpgrp", [])
const getsid = libc("getsid", ["i32"])
const setpgid = libc("setpgid", ["i32", "i32"])
const tcgetpgrp = libc("tcgetpgrp", ["i32"])
const openTerminal = libc("open", ["ptr", "i32", "u32"])
const setrlimit = libc("setrlimit", ["i32", "ptr"])
const prctl = libc("prctl", ["i32", "u64", "u64", "u64", "u64"])

/** A sigset_t of 32 and 33, which glibc's posix_spawn leaves ignored in the child unless it is told otherwise. */
const SIGNALS_OF_GLIBC = new Uint8Array(128)
new DataView(SIGNALS_OF_GLIBC.buffer).setBigUint64(0, 0b11n << 31n, true)

interface Spawn {
  file: string
  args: Uint8Array[]
  redirect?: (actions: Uint8Array) => void
  ownGroup?: boolean
}

function spawn({ file, args, redirect, ownGroup }: Spawn): { pid: number } | { errno: number } {
  // Larger than posix_spawn_file_actions_t (80) and posix_spawnattr_t (336) of glibc and musl.
  const actions = new Uint8Array(256)
  const attributes = new Uint8Array(512)
  const addresses = new BigUint64Array([...args.map((arg) => BigInt(addressOf(arg))), 0n])
  const pid = new Int32Array(1)
  actionsInit(actions)
  redirect?.(actions)
  attributesInit(attributes)
  const POSIX_SPAWN_SETPGROUP = 2
  const POSIX_SPAWN_SETSIGDEF = 4
  const POSIX_SPAWN_SETSIGMASK = 8
  setSpawnFlags(attributes, POSIX_SPAWN_SETSIGDEF | (ownGroup ? POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK : 0))
  // A ^Z to the group it is leaving would stop it before its exec, and us for ever, as we wait for that exec.
  if (ownGroup) setSpawnMask(attributes, new Uint8Array(128).fill(0xff))
  setSpawnDefaults(attributes, SIGNALS_OF_GLIBC)
  const failed = posixSpawnp(new Uint8Array(pid.buffer), cString(file), actions, attributes, new Uint8Array(addresses.buffer), environment())
  actionsDestroy(actions)
  // `args` is named here so that the bytes behind the addresses live until now.
  return failed !== 0 && args.length >= 0 ? { errno: failed } : { pid: pid[0] ?? 0 }
}

/** The address that libc's `environ` holds, with what setEnv() added. Found from the program: libc.so.6 has a second, empty one. */
function environment(): number {
  const name = cString("environ")
  let variable = 0
  try {
    variable = dlsym(null, name)
  } catch {
    // glibc before 2.34 keeps dlsym in a library of its own, which Bun has loaded.
    const symbols = dlopen("libdl.so.2", { dlsym: { args: ["ptr", "ptr"], returns: "ptr" } }).symbols
    variable = Number(symbols.dlsym(null, name))
  }
  return read.ptr(variable as Pointer, 0)
}

const dlsym = libc("dlsym", ["ptr", "ptr"], "ptr")

/** siginfo_t of a 64-bit Linux: code at 8, pid at 16, status at 24. */
function waitFor(pid: number, kinds: number): ChildNews | null {
  const info = new Uint8Array(128)
  const view = new DataView(info.buffer)
  if (again(() => waitid(P_PID, pid, info, WNOHANG | kinds)) !== 0 || view.getInt32(16, true) === 0) return null
  const status = view.getInt32(24, true)
  switch (view.getInt32(8, true)) {
    case 1: return { exited: status }
    case 2: case 3: return { killedBy: status }
    case 5: return { stoppedBy: status }
    case 6: return { continued: true }
    default: return null
  }
}
