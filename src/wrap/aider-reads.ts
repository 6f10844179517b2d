import { fileExists, readFileText } from "../system/libc.ts"
import type { Reading } from "./tools.ts"

/**
 * The read-only files that aider takes from its configuration and would forget as soon as the command line holds a
 * `--read` (the command line hides the variable, which hides the files). undefined: they cannot be understood.
 */
export function aiderReads(options: {
  reading: Reading
  env: Record<string, string | undefined>
  cwd: string
}): string[] | undefined {
  const { reading, env, cwd } = options
  const flag = (...names: string[]) => reading.flags.findLast(({ name }) => names.includes(name))?.value ?? null
  if (reading.flags.some(({ name }) => name === "--read")) return [] // already hidden by the user's own
  const root = gitRoot(cwd)
  const places = [...new Set([cwd, root ?? cwd, env.HOME ?? cwd])]
  const environmentFiles = [flag("--env-file"), ...places.map(place => `${place}/.env`)]
  const sets = (file: string | null) => file !== null && readFileText(file, CONFIG_BYTES_MAX)?.includes("AIDER_READ")
  if (environmentFiles.some(sets)) return undefined
  if (env.AIDER_READ) return listIn(env.AIDER_READ)
  const chosen = flag("-c", "--config")
  for (const file of [...(chosen ? [chosen] : []), ...places.map(place => `${place}/.aider.conf.yml`)]) {
    const text = readFileText(file, CONFIG_BYTES_MAX)
    if (text?.includes("read")) {
      const found = readsIn(text)
      if (found === undefined || found.length > 0) return found
    }
  }
  return []
}

const CONFIG_BYTES_MAX = 256 * 1024

/** The value of a top-level `read:` in YAML: one name, `[a, b]`, or `- a` lines; undefined for anything cleverer. */
function readsIn(yaml: string): string[] | undefined {
  const lines = yaml.split(/\r?\n/)
  const start = lines.findIndex(line => /^["']?read["']?\s*:/.test(line))
  if (start < 0) return []
  const inline = withoutComment(lines[start]!.slice(lines[start]!.indexOf(":") + 1))
  if (inline !== "") return listIn(inline)
  const found: string[] = []
  for (const line of lines.slice(start + 1)) {
    const text = withoutComment(line)
    if (text === "") continue
    if (!/^\s*-\s/.test(line)) break
    const one = scalarIn(text.slice(1).trim())
    if (one === undefined) return undefined
    found.push(one)
  }
  return found
}

function listIn(text: string): string[] | undefined {
  const value = text.trim()
  if (!value.startsWith("[")) {
    const one = scalarIn(value)
    return one === undefined ? undefined : [one]
  }
  if (!value.endsWith("]")) return undefined
  const items = value.slice(1, -1).split(",").map(item => item.trim()).filter(item => item !== "").map(scalarIn)
  return items.includes(undefined) ? undefined : (items as string[])
}

function scalarIn(text: string): string | undefined {
  const quoted = /^(["'])([^"'\\]*)\1$/.exec(text)
  if (quoted) return quoted[2]
  return /^[^\s"'[\]{}&*!|>%@`#,][^"'[\]{}#]*$/.test(text) ? text : undefined
}

function withoutComment(line: string): string {
  return line.replace(/(^|\s)#.*$/, "").trim()
}

function gitRoot(cwd: string): string | null {
  for (let at = cwd; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) if (fileExists(`${at}/.git`)) return at
  return null
}
