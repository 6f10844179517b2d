import type { Paths } from "../config/paths.ts"
import { fileExists, makeDirectory, readFileText, touch, writeFileAtomic } from "../system/libc.ts"
import { contentName } from "./channel.ts"

const UNUSED_DAYS_MAX = 30
const SWEEP_EVERY_MS = 86_400_000

/** Writes a context under a name made of its content, or marks the one that is there as used. Null when it cannot be written. */
export function saveContext(paths: Paths, text: string, { dryRun }: { dryRun: boolean }): string | null {
  const path = `${paths.contexts}/${contentName(text)}.md`
  if (dryRun) return path
  if (touch(path)) return path
  if (!makeDirectory(paths.contexts, 0o700) || !writeFileAtomic(path, Buffer.from(text), 0o600)) return null
  return path
}

/** Writes the further files of an injection, which are named by what they say as well. False when one cannot be written. */
export function saveFiles(files: { path: string; text: string }[], { dryRun }: { dryRun: boolean }): boolean {
  return dryRun || files.every(({ path, text }) => {
    const directory = path.slice(0, path.lastIndexOf("/"))
    touch(directory)
    if (fileExists(path)) {
      touch(path)
      return true
    }
    return makeDirectory(directory, 0o700) && writeFileAtomic(path, Buffer.from(text), 0o600)
  })
}

/** Whether a notice was never shown before: what a tool cannot do is said once, not on every run. */
export function isFirstTime(paths: Paths, notice: string): boolean {
  const marker = `${paths.contexts}/.told-${contentName(notice)}`
  if (fileExists(marker)) return false
  return makeDirectory(paths.contexts, 0o700) && writeFileAtomic(marker, new Uint8Array(), 0o600)
}

/** Removes contexts unused for 30 days; at most once a day, after a command of ours, never on the way to the user's. */
export async function sweepContexts(paths: Paths, now: number): Promise<void> {
  const marker = `${paths.contexts}/.swept`
  const last = Number(readFileText(marker, 32) ?? 0)
  if (!fileExists(paths.contexts) || now - last < SWEEP_EVERY_MS) return
  writeFileAtomic(marker, Buffer.from(String(now)), 0o600)
  const { readdirSync, statSync, rmSync } = await import("node:fs")
  for (const name of readdirSync(paths.contexts)) {
    const path = `${paths.contexts}/${name}`
    if (name !== ".swept" && !name.startsWith(".told-") && now - statSync(path).mtimeMs > UNUSED_DAYS_MAX * SWEEP_EVERY_MS) rmSync(path, { recursive: true, force: true })
  }
}
