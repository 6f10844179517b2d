import { fileExists, readFileText, realPath } from "../system/libc.ts"
import { baseName, type Tool } from "./tools.ts"

/** The file that a command name means: itself when it holds a slash, else the first on PATH that is not in `skip` (real paths). */
export function resolveOnPath(file: string, path: string, skip: string[] = []): string | null {
  if (file.includes("/")) return fileExists(file) ? file : null
  for (const directory of path.split(":")) {
    const candidate = `${directory === "" ? "." : directory}/${file}`
    if (!fileExists(candidate)) continue
    if (skip.includes(candidate) || skip.includes(realPath(candidate) ?? "")) continue
    return candidate
  }
  return null
}

/** Whether a program is a script that calls nswrap itself: wrapping it would inject twice, or loop. */
export function isShim(path: string): boolean {
  const head = readFileText(path, SHIM_HEAD_BYTES)
  return head !== null && head.startsWith("#!") && head.includes("nswrap")
}

/**
 * Version of the tool installed at `path`, read from the package beside it, or from its path where the installer puts each
 * version in a directory of its own (`…/claude/versions/2.1.330`, `…/Cellar/codex/0.169.0/bin/codex`); null: unknown.
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
  return inPath && tool.names.includes(baseName(inPath[1]!)) ? inPath[2]! : null
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

const SHIM_HEAD_BYTES = 4096
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
  return { numbers: [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0), Number(match?.[3] ?? 0)], isPreRelease: match?.[4] === "-" }
}
