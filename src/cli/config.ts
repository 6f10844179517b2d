import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { defineCommand } from "citty"
import type { Document } from "yaml"
import { onOff } from "../config/on-off.ts"
import { DEFINITIONS, lookUp, readConfigFile, resolveSetting, validateSetting } from "../config/settings.ts"
import { NswrapError } from "../errors.ts"
import { toolFromConfig } from "../wrap/tools.ts"
import { closest } from "./arguments.ts"
import { type Home, readHome } from "./home.ts"
import { print, printJson, table, tell } from "./output.ts"

/** What a row of `tools` may hold besides a channel: switches that the wrapper reads. */
const TOOL_SWITCHES = ["context", "capture"]
const json = { type: "boolean", description: "print JSON" } as const
const key = { type: "positional", required: true, valueHint: "KEY" } as const

const list = defineCommand({
  meta: { name: "list", description: "Every setting with its value and where it comes from." },
  args: { json },
  run({ args }) {
    const rows = listSettings(readHome())
    if (args.json) return printJson(rows.map(({ about, ...row }) => ({ ...row, about })))
    return print(table([{ title: "setting" }, { title: "value" }, { title: "from" }, { title: "about", flexible: true }], rows.map((row) => [row.key, shown(row.value), row.from, row.about])))
  },
})

const get = defineCommand({
  meta: { name: "get", description: "The value of one setting.\n\n  nswrap config get context.gate" },
  args: { key, json },
  run({ args }) {
    const home = readHome()
    const row = listSettings(home, { reveal: true }).find((each) => each.key === args.key)
    const value = row === undefined ? lookUp(readConfigFile(home.paths.configFile, []), args.key) : row.value
    if (value === undefined && !/^(tools|projects)\./.test(args.key)) throw unknownKey(args.key)
    if (value === undefined) throw new NswrapError("not-found", `${args.key} is not set`)
    if (args.json) printJson(row === undefined ? { key: args.key, value, from: "file" } : { key: row.key, value, from: row.from })
    else print(typeof value === "string" ? value : JSON.stringify(value))
  },
})

const set = defineCommand({
  meta: {
    name: "set",
    description: `Writes one setting into the configuration file; comments in it stay.

  nswrap config set context.recalled_tokens 1500
  nswrap config set projects.shop off
  nswrap config set tools.mytool.channel stdin`,
  },
  args: { key, value: { type: "positional", required: true, valueHint: "VALUE" }, json },
  async run({ args }) {
    const home = readHome()
    const path = pathOf(args.key)
    const value = parseValue(args.key, path, args.value)
    await change(home, (document) => {
      document.setIn(path, value)
      checkTool(document, path)
    })
    const winner = listSettings(home).find((row) => row.key === args.key)
    if (winner?.from === "environment") tell(`nswrap: ${winner.env} is set in the environment and wins over the file`)
    if (args.json) printJson({ key: args.key, value, file: home.paths.configFile })
    else print(`${args.key} = ${args.key === "token" ? "(set)" : shown(value)}`)
  },
})

const unset = defineCommand({
  meta: { name: "unset", description: "Takes one setting out of the configuration file: its default counts again.\n\n  nswrap config unset context.gate" },
  args: { key, json },
  async run({ args }) {
    const home = readHome()
    const path = pathOf(args.key)
    let was = false
    await change(home, (document) => {
      was = document.hasIn(path)
      if (!was) return
      document.deleteIn(path)
      for (let depth = path.length - 1; depth > 0; depth--) {
        const parent = document.getIn(path.slice(0, depth)) as { items?: unknown[] } | undefined
        if (parent?.items?.length === 0) document.deleteIn(path.slice(0, depth))
      }
      checkTool(document, path)
    })
    if (args.json) printJson({ key: args.key, removed: was })
    else print(was ? `${args.key} is no longer set` : `${args.key} was not set in ${home.paths.configFile}`)
  },
})

const path = defineCommand({
  meta: { name: "path", description: "Where the configuration file is, or would be." },
  args: {},
  run() {
    print(readHome().paths.configFile)
  },
})

const defaults = defineCommand({
  meta: { name: "default", description: "The configuration file with every setting commented out at its default.\n\n  nswrap config --default > ~/.neuralsync/config.yaml" },
  args: {},
  run() {
    print(defaultFile())
  },
})

export default defineCommand({
  meta: {
    name: "config",
    description: `Settings: the environment wins over the file, the file over the default. --default prints the commented default file.

  nswrap config
  nswrap config set context.gate 0.4`,
  },
  default: "list",
  subCommands: { list, get, set, unset, path, default: defaults },
})

interface SettingRow {
  key: string
  value: unknown
  from: "environment" | "file" | "default"
  env: string | null
  about: string
}

function listSettings({ env, paths }: Home, { reveal = false } = {}): SettingRow[] {
  const problems: string[] = []
  const file = readConfigFile(paths.configFile, problems)
  const rows: SettingRow[] = Object.values(DEFINITIONS).map((definition) => {
    // Each definition has its own type; only its text is wanted here.
    const { value, from } = resolveSetting<unknown>(definition as never, env, file, problems)
    const secret = definition.key === "token" && value !== "" && !reveal
    return { key: definition.key, value: secret ? "(set)" : value, from, env: definition.env, about: definition.about }
  })
  for (const name of ["projects", "tools"]) {
    const group = lookUp(file, name)
    if (typeof group !== "object" || group === null) continue
    for (const [each, value] of Object.entries(group)) rows.push({ key: `${name}.${each}`, value, from: "file", env: null, about: name === "tools" ? "a tool of yours, or switches of a known one" : "context in this project" })
  }
  for (const problem of new Set(problems)) tell(`nswrap: ${problem}`)
  return rows
}

function defaultFile(): string {
  const lines = [
    "# Settings of nswrap. Every line is a default; take the # before a setting away to change it.",
    "# Environment variables (named in brackets) win over this file.",
  ]
  let group = ""
  for (const { key, env, fallback, about } of Object.values(DEFINITIONS)) {
    const parts = key.split(".")
    const [parent, name] = parts.length === 2 ? [parts[0]!, parts[1]!] : ["", key]
    if (parent !== group && parent !== "") lines.push("", `${parent}:`)
    if (parent === "") lines.push("")
    group = parent
    const indent = parent === "" ? "" : "  "
    lines.push(`${indent}# ${about}${env === null ? "" : ` [${env}]`}`, `${indent}#${name}: ${typeof fallback === "string" ? JSON.stringify(fallback) : String(fallback)}`)
  }
  lines.push(
    "", "# Context on or off by project name or directory; * stands for all others.", "projects:", "  #shop: off", '  #"*": on',
    "", "# Tools of your own (channel: flag, env, stdin or file), and switches of known ones.", "tools:", "  #mytool:", "  #  channel: flag", "  #  flag: --system-file",
    "  #claude:", "  #  context: off", "  #  capture: true",
  )
  return lines.join("\n")
}

/** `projects.` is followed by a name or directory, which may hold dots itself. */
function pathOf(key: string): string[] {
  if (key.startsWith("projects.") && key.length > "projects.".length) return ["projects", key.slice("projects.".length)]
  const parts = key.split(".")
  if (parts[0] === "tools" && (parts.length === 2 || parts.length === 3) && parts.every((part) => part !== "")) return parts
  if (!Object.values(DEFINITIONS).some((definition) => definition.key === key)) throw unknownKey(key)
  return parts
}

function unknownKey(key: string): NswrapError {
  const near = closest(key, Object.values(DEFINITIONS).map((definition) => definition.key))
  return new NswrapError("usage", `there is no setting ${key}${near === null ? "" : `; did you mean ${near}?`}; nswrap config lists them, and there are projects.NAME and tools.NAME.KEY`)
}

function parseValue(key: string, path: string[], text: string): unknown {
  if (path[0] === "projects") {
    const on = onOff(text)
    if (on === undefined || text === "") throw new NswrapError("usage", `${key} cannot be ${JSON.stringify(text)}: say on or off`)
    return on ? "on" : "off"
  }
  if (path[0] !== "tools") return validateSetting(key, text)
  if (path.length < 3) throw new NswrapError("usage", `say what of ${key} to set, for example ${key}.channel`)
  if (TOOL_SWITCHES.includes(path[2]!)) {
    const on = onOff(text)
    if (on === undefined || text === "") throw new NswrapError("usage", `${key} cannot be ${JSON.stringify(text)}: say on or off`)
    return on
  }
  // A list such as [-m, --message], a switch, or a word; never a number, which a version would turn into.
  const value: unknown = /^\s*(\[.*\]|true|false)\s*$/s.test(text) ? Bun.YAML.parse(text) : text
  return value
}

/** A row of `tools` with a channel must be one that the wrapper takes. */
function checkTool(document: Document, path: string[]): void {
  if (path[0] !== "tools") return
  const row = (document.toJS() as { tools?: Record<string, Record<string, unknown>> } | null)?.tools?.[path[1]!]
  if (row === undefined || row === null) return
  const { context: _context, ...rest } = row
  if (Object.keys(rest).some((each) => !TOOL_SWITCHES.includes(each))) toolFromConfig(path[1]!, rest)
}

/** Reads, changes and writes the file beside itself, then renames; what is not valid YAML is left alone. */
async function change({ paths }: Home, work: (document: Document) => void): Promise<void> {
  const { parseDocument } = await import("yaml")
  const file = paths.configFile
  const before = existsSync(file) ? readFileSync(file, "utf8") : ""
  const document = parseDocument(before)
  if (document.errors.length > 0) throw new NswrapError("invalid", `${file} is not valid YAML (${document.errors[0]!.message.split("\n")[0]}); mend it first, nothing was changed`)
  if (document.contents !== null && (typeof document.toJS() !== "object" || Array.isArray(document.toJS())) && document.toJS() !== null) throw new NswrapError("invalid", `${file} holds no settings (key: value); nothing was changed`)
  work(document)
  const after = document.contents === null ? before : document.toString({ lineWidth: 0 })
  if (after === before) return
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const beside = `${file}.${process.pid}.tmp`
  try {
    writeFileSync(beside, after, { mode: 0o600, flag: "wx", flush: true })
    // It may hold a token: never wider than it was, and private when it is new.
    if (existsSync(file)) chmodSync(beside, statSync(file).mode & 0o600)
    renameSync(beside, file)
  } catch (error) {
    rmSync(beside, { force: true })
    throw new NswrapError("unavailable", `${file} cannot be written (${(error as { code?: string }).code ?? error}); nothing was changed`)
  }
}

function shown(value: unknown): string {
  if (typeof value === "boolean") return value ? "on" : "off"
  return typeof value === "string" ? value : JSON.stringify(value)
}
