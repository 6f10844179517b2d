import { cString, fileExists, libc, NATIVE, readFileText, readHead, realPath } from "../system/libc.ts"
import type { Tool } from "./tools.ts"

/** The program that a command name means: itself when it holds a slash, else (or when it is in `skip`) the first on PATH that is not. */
export function resolveOnPath(file: string, path: string, skip: string[] = []): string | null {
  if (skip.includes(file)) file = file.slice(file.lastIndexOf("/") + 1)
  if (file.includes("/")) return fileExists(file) ? file : null
  for (const directory of path.split(":")) {
    const candidate = `${directory === "" ? "." : directory}/${file}`
    if (!isProgram(candidate)) continue
    if (skip.includes(candidate) || skip.includes(realPath(candidate) ?? "")) continue
    return candidate
  }
  return null
}

/**
 * Whether a program is a script that calls nswrap itself: wrapping it would inject twice, or loop. With `own`, only a script
 * that calls nswrap with this name of its own.
 */
export function isShim(path: string, own: string | null = null): boolean {
  const head = readHead(path, SHIM_HEAD_BYTES)
  if (head[0] !== 0x23 || head[1] !== 0x21) return false // #!
  const text = new TextDecoder().decode(head)
  if (!SHIM.test(text)) return false
  return own === null || text.split("\n").some((line) => SHIM.test(line) && !/^\s*#/.test(line) && line.split(/[\s"'/]+/).some((word) => word === own || word === "$0"))
}

/**
 * Version of the tool installed at `path`, from the package beside it, or from its path where each version has a directory
 * of its own (`…/claude/versions/2.1.330`, `…/Cellar/codex/0.169.0/bin/codex`); null: unknown.
 */
export function toolVersion(path: string, tool: Tool): string | null {
  const real = realPath(path) ?? path
  let directory = real
  for (let level = 0; level < PACKAGE_LEVELS_MAX; level++) {
    const cut = directory.lastIndexOf("/")
    if (cut <= 0) break
    directory = directory.slice(0, cut)
    const found = packageVersion(readFileText(`${directory}/package.json`, PACKAGE_BYTES_MAX), tool)
    if (found) return found
  }
  const inPath = /\/([^/]+)\/(?:versions\/)?v?(\d+\.\d+\.\d+[^/]*)(?:\/|$)/.exec(real)
  return inPath && tool.names.includes(inPath[1]!.toLowerCase()) ? inPath[2]! : null
}

/** Below zero when `a` is older than `b`; a pre-release (`1.2.0-rc.1`) is older than its release. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map(parseVersion) as [ParsedVersion, ParsedVersion]
  for (let part = 0; part < 3; part++) {
    if (left.numbers[part] !== right.numbers[part]) return left.numbers[part]! - right.numbers[part]!
  }
  if (left.isPreRelease !== right.isPreRelease) return left.isPreRelease ? -1 : 1
  return 0
}

const access = libc("access", ["ptr", "i32"])
const X_OK = 1

/** Whether a shell looking through PATH would stop here. */
function isProgram(path: string): boolean {
  if (!fileExists(path) || fileExists(`${path}/.`)) return false
  return !NATIVE || access(cString(path), X_OK) === 0
}

const SHIM_HEAD_BYTES = 4096
/** The program's name as a word of its own, with or without a directory: not `~/.cache/nswrap-x/`, not a fence. */
const SHIM = /(?<![\w.-])nswrap(?![\w./-])/
const PACKAGE_LEVELS_MAX = 4
const PACKAGE_BYTES_MAX = 256 * 1024

/** The version in a package.json that is this tool's, or one of its platform packages (`@openai/codex-linux-x64`). */
function packageVersion(text: string | null, tool: Tool): string | null {
  if (text === null) return null
  try {
    const { name, version } = JSON.parse(text) as { name?: unknown; version?: unknown }
    if (typeof name !== "string" || typeof version !== "string") return null
    return tool.packages.some(known => name === known || name.startsWith(`${known}-`)) ? version : null
  } catch {
    return null
  }
}

interface ParsedVersion {
  numbers: [number, number, number]
  isPreRelease: boolean
}

function parseVersion(version: string): ParsedVersion {
  const match = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(-)?/.exec(version.trim())
  const [major, minor, patch] = [1, 2, 3].map(part => Number(match?.[part] ?? 0)) as [number, number, number]
  return { numbers: [major, minor, patch], isPreRelease: match?.[4] === "-" }
}

/** File name without directory and Windows extension, in lower case. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).toLowerCase().replace(/\.(exe|cmd|ps1)$/, "")
}
