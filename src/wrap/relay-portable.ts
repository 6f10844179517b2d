import { LineScanner } from "../memory/remember-line.ts"
import { ENOENT, isTerminal } from "../system/libc.ts"
import type { RelayOptions } from "./relay.ts"

/*
 * relay() by Bun.spawn, for systems other than Linux: bytes, status and the usual signals; ^Z, inherited descriptors and
 * ignored signals are as Bun leaves them. Built for macOS, not run there yet.
 */

export async function relayPortable({ file, argv, env, prefix, onOutputLine, onChildStart, onFinished }: RelayOptions): Promise<{ errno: number }> {
  const path = Bun.which(file)
  if (path === null) return { errno: ENOENT }
  const captures = onOutputLine !== null && !isTerminal(1)
  const given = argv.map((part) => (typeof part === "string" ? part : (Bun.argv[part.raw + 1] ?? "")))
  const child = Bun.spawn([path, ...given.slice(1)], {
    argv0: given[0] ?? file, env: { ...process.env, ...env }, stderr: "inherit",
    stdin: prefix === null ? "inherit" : "pipe", stdout: captures ? "pipe" : "inherit",
  })
  for (const name of ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const) process.on(name, () => child.kill(name))
  // Typed at the terminal, these reach the child by themselves, and only it decides what they mean.
  for (const name of ["SIGINT", "SIGQUIT"] as const) process.on(name, () => {})
  onChildStart?.(child.pid)
  const scanner = new LineScanner(onOutputLine ?? (() => {}))
  if (prefix !== null && child.stdin) void feed(child.stdin, prefix)
  if (captures && child.stdout) await passOn(child.stdout, scanner)
  await child.exited
  scanner.end()
  await onFinished?.()
  const signal = child.signalCode
  // Bun ignores SIGPIPE and cannot die by it; shells say the same by this status.
  if (signal === "SIGPIPE") process.exit(141)
  if (signal !== null) {
    process.removeAllListeners(`${signal}`)
    process.kill(process.pid, signal)
    await Bun.sleep(1000)
  }
  process.exit(child.exitCode ?? 1)
}

/** An end of the child's that closes early is no error. */
async function feed(stdin: Bun.FileSink, prefix: Uint8Array): Promise<void> {
  try {
    stdin.write(prefix)
    await stdin.flush()
    if (!isTerminal(0)) {
      for await (const bytes of Bun.stdin.stream()) {
        stdin.write(bytes)
        await stdin.flush()
      }
    }
    await stdin.end()
  } catch {
    return
  }
}

/** A reader of ours that goes away ends the reading: then the child gets its SIGPIPE. */
async function passOn(stdout: ReadableStream<Uint8Array>, scanner: LineScanner): Promise<void> {
  // Bun.stdout.writer() does not tell that its reader is gone.
  const { writeSync } = process.getBuiltinModule("node:fs")
  try {
    for await (const bytes of stdout) {
      scanner.push(bytes)
      for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at)
    }
  } catch {
    return
  }
}
