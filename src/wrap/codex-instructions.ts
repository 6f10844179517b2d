import { readFileText } from "../system/libc.ts"
import type { Flag } from "./tools.ts"

/**
 * The developer_instructions that Codex would use without us: of the command line, else of the project's
 * `.codex/config.toml` where the project is trusted, else of the profile, else of the user's configuration, else of the
 * system's. null: none; undefined: there are some, but not to be understood. Order and trust as seen in codex 0.169.0.
 */
export function codexInstructions(options: {
  env: Record<string, string | undefined>
  cwd: string
  flags: Flag[]
  /** The user's own `developer_instructions=…` of the command line. */
  own: string | null
}): string | null | undefined {
  const { env, cwd, flags, own } = options
  if (own !== null) return valueOf(own.slice(own.indexOf("=") + 1))
  const home = env.CODEX_HOME || (env.HOME ? `${env.HOME}/.codex` : null)
  const value = (...names: string[]) => flags.findLast(flag => names.includes(flag.name))?.value ?? null
  const isIgnored = flags.some(flag => flag.name === "--ignore-user-config")
  const profile = value("-p", "--profile")
  const user = home && !isIgnored ? `${home}/config.toml` : null
  try {
    const directory = absolute(value("-C", "--cd") ?? ".", cwd)
    const isTrusted = (path: string) => flags.some(flag => flag.name === "--trust")
      || trustedProjects(user).some(known => path === known || path.startsWith(`${known}/`))
    for (let at = directory; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
      if (home === `${at}/.codex`) continue
      const found = instructionsIn(`${at}/.codex/config.toml`)
      if (found !== null && isTrusted(at)) return found
    }
    if (profile !== null && home) {
      const found = instructionsIn(`${home}/${profile}.config.toml`) ?? (user && instructionsIn(user, profile))
      if (typeof found === "string") return found
    }
    return (user && instructionsIn(user)) ?? instructionsIn("/etc/codex/config.toml")
  } catch {
    return undefined
  }
}

const CONFIG_BYTES_MAX = 1024 * 1024

/** The value of `-c key=value` as Codex reads it: TOML, else the raw text without quotes around; undefined: no string. */
function valueOf(raw: string): string | undefined {
  let value: unknown
  try {
    value = (Bun.TOML.parse(`value = ${raw.trim()}`) as { value?: unknown }).value
  } catch {
    value = raw.trim().replace(/^["']+|["']+$/g, "")
  }
  return typeof value === "string" ? value : undefined
}

/** developer_instructions of a file, or of an old profile in it; null: none. Throws where it cannot be understood. */
function instructionsIn(path: string, profile?: string): string | null {
  const text = readFileText(path, CONFIG_BYTES_MAX)
  if (!text?.includes("developer_instructions")) return null
  const config = Bun.TOML.parse(text) as Record<string, unknown>
  const profiles = config.profiles as Record<string, Record<string, unknown>> | undefined
  const table = profile === undefined ? config : profiles?.[profile]
  const found = table?.developer_instructions
  if (found === undefined) return null
  if (typeof found !== "string") throw new TypeError("developer_instructions is not a string")
  return found
}

/** What an untrusted project says never gets in through us. */
function trustedProjects(user: string | null): string[] {
  const text = user && readFileText(user, CONFIG_BYTES_MAX)
  if (!text || !text.includes("trust_level")) return []
  const { projects } = Bun.TOML.parse(text) as { projects?: Record<string, { trust_level?: unknown }> }
  const known = Object.entries(projects ?? {})
  return known.filter(([, project]) => project?.trust_level === "trusted").map(([path]) => path)
}

function absolute(path: string, cwd: string): string {
  const full = path === "." ? cwd : path.startsWith("/") ? path : `${cwd}/${path}`
  return full.replace(/\/+$/, "")
}
