import type { FileIdentity } from "./libc.ts"

/*
 * What src/system/libc.ts promises, by node:fs, for systems other than Linux. node:fs is fetched by getBuiltinModule so
 * that Linux never pays for it. Built for macOS and Windows, not run there yet.
 */

export function readFileBytes(path: string, maxBytes: number): Uint8Array | null {
  return attempt(() => {
    const status = files().statSync(path)
    return status.isFile() && status.size <= maxBytes ? new Uint8Array(files().readFileSync(path)) : null
  }, null)
}

export function writeFileAtomic(path: string, bytes: Uint8Array, mode: number): boolean {
  const beside = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`
  const written = attempt(() => {
    files().writeFileSync(beside, bytes, { mode, flag: "wx" })
    files().renameSync(beside, path)
    return true
  }, false)
  if (!written) removeFile(beside)
  return written
}

export function appendFile(path: string, bytes: Uint8Array, mode: number): boolean {
  return attempt(() => {
    files().appendFileSync(path, bytes, { mode })
    return true
  }, false)
}

export function fileExists(path: string): boolean {
  return attempt(() => files().existsSync(path), false)
}

export function touch(path: string): boolean {
  const now = new Date()
  return attempt(() => {
    files().utimesSync(path, now, now)
    return true
  }, false)
}

export function removeFile(path: string): boolean {
  return attempt(() => {
    files().rmSync(path, { force: true })
    return true
  }, false)
}

export function makeDirectory(path: string, mode: number): boolean {
  return attempt(() => {
    files().mkdirSync(path, { recursive: true, mode })
    return true
  }, false)
}

export function fileIdentity(path: string): FileIdentity | null {
  return attempt(() => {
    const status = files().statSync(path, { bigint: true })
    return { device: `${status.dev}`, inode: `${status.ino}`, birth: status.birthtimeNs > 0n ? `${status.birthtimeNs}` : "" }
  }, null)
}

export function fileStamp(path: string): { stamp: string; sizeBytes: number; changedMs: number } {
  return attempt(() => {
    const status = files().statSync(path, { bigint: true })
    return { stamp: `${status.ino}:${status.size}:${status.mtimeNs}`, sizeBytes: Number(status.size), changedMs: Number(status.mtimeNs / 1_000_000n) }
  }, { stamp: "", sizeBytes: 0, changedMs: 0 })
}

export function realPath(path: string): string | null {
  return attempt(() => files().realpathSync.native(path), null)
}

export function isTerminal(fd: number): boolean {
  return process.getBuiltinModule("node:tty").isatty(fd)
}

export function writeErr(text: string): void {
  attempt(() => files().writeSync(2, text), 0)
}

/** macOS numbers its file systems in the order they were loaded, so statfs(2) by node:fs tells nothing. */
export function fileSystemType(_path: string): string | null {
  return null
}

export function setEnv(name: string, value: string): void {
  process.env[name] = value
}

export function unsetEnv(name: string): void {
  delete process.env[name]
}

function files() {
  return process.getBuiltinModule("node:fs")
}

function attempt<T>(work: () => T, otherwise: T): T {
  try {
    return work()
  } catch {
    return otherwise
  }
}
