import { NswrapError } from "../errors.ts"
import { readFileText } from "../system/libc.ts"
import { type Mode, MODES } from "./modes.ts"
import { onOff } from "./on-off.ts"
import type { Environment, Paths } from "./paths.ts"

const CONFIG_BYTES_MAX = 256 * 1024

/** How a project or tool stands to context: unset = on. */
export type Switch = "on" | "off"

export interface Settings {
  stableTokens: number
  recalledTokens: number
  /** Automatic injection abstains below this recall score, 0 to 1. */
  gate: number
  /** The line that teaches the tool to run `nswrap remember`. */
  teach: boolean
  /** Channels whose text shows in the process list (codex, qwen) may be used. */
  argvChannels: boolean
  /** New texts from wrapped tools: kept as proposals, or accepted at once. */
  fromTools: "propose" | "accept"
  maxWaitMs: number
  debug: boolean
  mode: Mode
  bypass: boolean
  compat: boolean
  /** TOOL_NAME: whose memories and counters a run belongs to. */
  toolName: string | null
  session: string | null
  host: string
  port: number
  endpoint: string
  token: string
  /** Rows of the tool table added or changed by the user: name -> plain object (see wrap/tools.ts). */
  tools: Record<string, unknown>
  /** Project name or directory -> on | off. */
  projects: Record<string, Switch>
  /** What was wrong with the configuration file, one line each; wrong values count as absent. */
  problems: string[]
}

/** One setting: its key in config.yaml, its environment variable, its default and how its text is understood. */
interface Definition<T> {
  key: string
  env: string | null
  fallback: T
  parse: (value: unknown) => T | undefined
  about: string
}

const setting = <T>(key: string, env: string | null, fallback: T, parse: (value: unknown) => T | undefined, about: string): Definition<T> =>
  ({ key, env, fallback, parse, about })

/** Every setting, in the order of the default file. `nswrap config` prints this table; the README documents it. */
export const DEFINITIONS = {
  stableTokens: setting("context.stable_tokens", null, 1000, whole(0, 100_000), "budget of the stable part (persona, pinned, your rules), in tokens of 3 bytes"),
  recalledTokens: setting("context.recalled_tokens", null, 1000, whole(0, 100_000), "budget of the recalled memories, in tokens of 3 bytes"),
  gate: setting("context.gate", null, 0.3, fraction, "automatic injection abstains below this recall score, 0 to 1"),
  teach: setting("context.teach", null, true, onOff, "one line that teaches the tool to run `nswrap remember`"),
  argvChannels: setting("context.argv", null, true, onOff, "allow channels that show the text in the process list (codex, qwen)"),
  fromTools: setting<"propose" | "accept">("remember.from_tools", null, "propose", oneOf("propose", "accept"), "what a wrapped tool remembers waits in `nswrap inbox`, or is accepted at once"),
  mode: setting<Mode>("loading_mode", "NS_LOADING_MODE", "balanced", oneOf(...MODES), "bypass, minimal (stable part only), balanced (and recalled memories), complete, adaptive"),
  bypass: setting("bypass", "NS_BYPASS_MODE", false, onOff, "start every command without context"),
  maxWaitMs: setting("max_wait_ms", "NS_MAX_WAIT_MS", 800, whole(0, 60_000), "the command starts after this long at the latest, with whatever is ready"),
  debug: setting("debug", "NS_DEBUG_PERF", false, onOff, "one line on stderr with each stage's milliseconds"),
  compat: setting("compat", "NS_COMPAT", false, onOff, "render NeuralSync's preamble and listen for @remember: lines"),
  host: setting("bind_host", "NS_HOST", "127.0.0.1", text, "address of the server"),
  port: setting("bind_port", "NS_PORT", 8373, whole(1, 65_535), "port of the server"),
  token: setting("token", "NS_TOKEN", "", text, "token of the server"),
} as const

/**
 * Settings from environment, then config.yaml, then default: the first that is present and valid counts.
 * Never throws: what is wrong lands in `problems`, because the user's command must start whatever the file holds.
 */
export function readSettings(env: Environment, paths: Paths | null): Settings {
  const problems: string[] = []
  const file = paths === null ? {} : readConfigFile(paths.configFile, problems)
  const get = <T>(definition: Definition<T>): T => resolveSetting(definition, env, file, problems).value
  const host = get(DEFINITIONS.host)
  const port = get(DEFINITIONS.port)
  const fast = onOff(env["NS_FAST_MODE"]) ?? true
  return {
    stableTokens: get(DEFINITIONS.stableTokens),
    recalledTokens: get(DEFINITIONS.recalledTokens),
    gate: get(DEFINITIONS.gate),
    teach: get(DEFINITIONS.teach),
    argvChannels: get(DEFINITIONS.argvChannels),
    fromTools: get(DEFINITIONS.fromTools),
    mode: fast || env["NS_LOADING_MODE"] !== undefined ? get(DEFINITIONS.mode) : "complete",
    bypass: get(DEFINITIONS.bypass),
    maxWaitMs: get(DEFINITIONS.maxWaitMs),
    debug: get(DEFINITIONS.debug),
    compat: get(DEFINITIONS.compat),
    toolName: env["TOOL_NAME"] ? env["TOOL_NAME"] : null,
    session: env["NS_SESSION"] ? env["NS_SESSION"] : null,
    host,
    port,
    endpoint: env["NS_ENDPOINT"] ? env["NS_ENDPOINT"] : `http://${host}:${port}`,
    token: get(DEFINITIONS.token),
    tools: record(file["tools"]),
    projects: switches(file["projects"], problems),
    problems,
  }
}

/** The configuration file as nested plain objects; {} when absent. A file that is no YAML is a problem, not an error. */
export function readConfigFile(path: string, problems: string[]): Record<string, unknown> {
  const source = readFileText(path, CONFIG_BYTES_MAX)
  if (source === null || source.trim() === "") return {}
  try {
    return record(Bun.YAML.parse(source))
  } catch (error) {
    problems.push(`${path} is not valid YAML (${error instanceof Error ? error.message : error}); its settings are ignored`)
    return {}
  }
}

export function resolveSetting<T>(definition: Definition<T>, env: Environment, file: Record<string, unknown>, problems: string[]): { value: T; from: "environment" | "file" | "default" } {
  const fromEnv = definition.env === null ? undefined : env[definition.env]
  // `NS_DEBUG_PERF=` turns a switch off, as NeuralSync's documentation says; an empty number or word counts as not set.
  if (fromEnv !== undefined && (fromEnv !== "" || typeof definition.fallback === "boolean")) {
    const value = definition.parse(fromEnv)
    if (value !== undefined) return { value, from: "environment" }
    problems.push(`${definition.env}=${fromEnv} is not understood; it is ignored`)
  }
  const fromFile = lookUp(file, definition.key)
  if (fromFile !== undefined && fromFile !== null) {
    const value = definition.parse(fromFile)
    if (value !== undefined) return { value, from: "file" }
    problems.push(`${definition.key}: ${JSON.stringify(fromFile)} in the configuration is not understood; it is ignored`)
  }
  return { value: definition.fallback, from: "default" }
}

export function lookUp(file: Record<string, unknown>, dotted: string): unknown {
  let value: unknown = file
  for (const part of dotted.split(".")) value = record(value)[part]
  return value
}

/** Refuses a value for a key that the table knows. @throws usage */
export function validateSetting(key: string, value: string): unknown {
  const definition = Object.values(DEFINITIONS).find((candidate) => candidate.key === key)
  if (definition === undefined) throw new NswrapError("usage", `there is no setting ${key}; nswrap config lists them`)
  const parsed = definition.parse(value)
  if (parsed === undefined) throw new NswrapError("usage", `${key} cannot be ${JSON.stringify(value)}: ${definition.about}`)
  return parsed
}

function whole(min: number, max: number): (value: unknown) => number | undefined {
  return (value) => {
    const number = typeof value === "number" ? value : /^\s*\d+\s*$/.test(String(value)) ? Number(value) : Number.NaN
    return Number.isInteger(number) && number >= min && number <= max ? number : undefined
  }
}

function fraction(value: unknown): number | undefined {
  const number = typeof value === "number" ? value : String(value).trim() === "" ? Number.NaN : Number(value)
  return number >= 0 && number <= 1 ? number : undefined
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined
}

function oneOf<T extends string>(...words: T[]): (value: unknown) => T | undefined {
  return (value) => words.find((word) => word === String(value).trim().toLowerCase())
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

function switches(value: unknown, problems: string[]): Record<string, Switch> {
  const result: Record<string, Switch> = {}
  for (const [name, given] of Object.entries(record(value))) {
    const on = onOff(given)
    if (on === undefined) problems.push(`projects.${name}: ${JSON.stringify(given)} is neither on nor off; it is ignored`)
    else result[name] = on ? "on" : "off"
  }
  return result
}
