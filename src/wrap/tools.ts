import { NswrapError } from "../errors.ts"
import { baseName } from "./program.ts"
import { TOOLS } from "./tool-table.ts"

/** How a context reaches a tool. `file` is what every command gets: a path in NS_CONTEXT_FILE and nothing else. */
export type Channel =
  /** A flag with the text or its file. Where the tool heeds only one, the user's own `merges` flags become one with ours. */
  | { kind: "flag"; flag: string; value: "file" | "text"; repeats: boolean; merges: Merge[] }
  /** Codex: `-c developer_instructions="…"`, joined with the user's own, wherever it stands. */
  | { kind: "codex" }
  /** opencode: OPENCODE_CONFIG_CONTENT, joined with the user's own. */
  | { kind: "opencode" }
  /** Copilot: a plugin directory whose session-start hook prints the context. */
  | { kind: "copilot" }
  /** aider: `--read FILE`, with the lists of its configuration repeated, which the flag would switch off. */
  | { kind: "aider" }
  /** goose: a variable with a file, or a second one with the text where the user has taken the first. */
  | { kind: "goose" }
  /** One variable with the text or its file. */
  | { kind: "variable"; name: string; value: "file" | "text" }
  /** Before what the tool reads from stdin. */
  | { kind: "stdin" }
  /** Before the text of the prompt argument. */
  | { kind: "prompt" }
  | { kind: "file" }

export interface Merge {
  flag: string
  value: "file" | "text"
}

/** How one command (the tool itself, or a subcommand) is read. */
export interface Command {
  /** Index of the first positional that is prompt text; those after it are joined to it. Absent: none is. */
  promptFrom?: number
  /** Only this subcommand continues a session. */
  resumes?: true
  /** It answers once and ends. */
  oneShot?: true
  /** Subcommands that take context. */
  commands?: Record<string, Command>
  /** Subcommands that take none; `any`: all that are not in `commands`. */
  others?: string[] | "any"
  /** A subcommand is needed: alone it holds no conversation. */
  needsCommand?: true
}

export interface Tool {
  /** The one name its memories and counters are kept under. */
  name: string
  /** What the program may be called, and what TOOL_NAME may say. */
  names: string[]
  /** npm (or PyPI) packages that hold it. */
  packages: string[]
  channel: Channel
  /** Lowest version known to accept the channel; null: no limit known. */
  minimum: string | null
  root: Command
  flags: {
    /** Flags that take one value. */
    one: string[]
    /** One, unless it begins with `-`. */
    optional?: string[]
    /** All that follow, up to the next flag. */
    many?: string[]
    two?: string[]
    /** Whose value is the prompt, and those whose value is a file with the prompt. */
    prompt?: string[]
    promptFile?: string[]
    /** That continue a session. */
    resume?: string[]
    /** That make it answer once and end. */
    oneShot?: string[]
    /** That make it something else than a conversation (help, lists, servers): no context. */
    leave: string[]
  }
  /** Where our own flag goes: right after the program, or after the subcommand. */
  insert: "program" | "command"
  /** A prompt alone makes it answer once and end. */
  promptIsOneShot: boolean
  /** What is piped in becomes part of the question. */
  readsStdin: boolean
  /** A first argument of one bare word that is not listed: a prompt, or a plugin's command that we must not touch. */
  bareWord: "prompt" | "command"
}

/** What we understood of a tool's arguments. Indexes count in the arguments after the program. */
export interface Reading {
  /** The user's question as far as the arguments tell it. */
  prompt: string | null
  /** Index of the argument that holds (the beginning of) the prompt. */
  promptAt: number | null
  promptFile: string | null
  /** Continues a session: only the stable part is wanted. */
  resume: boolean
  /** Takes no context: run it as it is. */
  bypass: boolean
  /** Stays in a conversation when stdin and stdout are a terminal. */
  interactive: boolean
  /** What is piped in becomes part of the question. */
  readsStdin: boolean
  /** Where our own flag is inserted. */
  insertAt: number
  flags: Flag[]
  positionals: number[]
}

/** A flag as it stands: `at` is its index, `length` the number of arguments it and its value fill. */
export interface Flag {
  name: string
  value: string | null
  at: number
  length: number
}

/** Which program a command line really runs. */
export interface Identified {
  tool: Tool | null
  /** Index in argv of the real program (or of its package, for npx and its like). */
  at: number
  /** Name of that program without directory, version and extension. */
  program: string
  /** Version, where the command line itself names it (`npx @openai/codex@0.169.0`). */
  version: string | null
  /** Run through npx and its like: the program is not the file on PATH. */
  fetched: boolean
  /** What `env` in the command line does to the variables: a value, or null for removed. */
  variables: Record<string, string | null>
  /** `env -i`: nothing of our environment reaches it. */
  cleared: boolean
}

/** Finds the tool that a command line runs, through npx, env, timeout and their like. `extra`: the user's own tools. */
export function identify(argv: string[], extra: Tool[] = []): Identified {
  const found: Identified = {
    tool: null, at: 0, program: "", version: null, fetched: false, variables: {}, cleared: false,
  }
  for (let depth = 0; depth < LAUNCHER_DEPTH_MAX; depth++) {
    const launcher = findLauncher(argv, found.at)
    if (!launcher) break
    const next = throughLauncher(argv, launcher, found)
    if (next === null) break
    found.at = next
  }
  const program = argv[found.at] ?? ""
  const named = found.fetched ? splitPackage(program) : { name: baseName(program), version: null }
  found.program = named.name
  found.version ??= named.version
  found.tool = findTool(named.name, extra)
  return found
}

/** The tool of a program, package or TOOL_NAME, or null. The user's own rows win over ours. */
export function findTool(name: string, extra: Tool[] = []): Tool | null {
  const wanted = name.toLowerCase()
  const isIt = (tool: Tool) => tool.names.includes(wanted) || tool.packages.includes(wanted)
  return extra.find(isIt) ?? TOOLS.find(isIt) ?? null
}

/** Reads the arguments (after the program) of a tool; null: of a program we know nothing about. */
export function readCommand(tool: Tool | null, args: string[]): Reading {
  if (!tool) return readUnknown(args)
  const reading: Reading = {
    prompt: null, promptAt: null, promptFile: null, resume: false, bypass: false, interactive: true,
    readsStdin: tool.readsStdin, insertAt: 0, flags: [], positionals: [],
  }
  let command = tool.root
  let words = 0 // positionals since the last subcommand
  const takePositional = (at: number) => {
    const word = args[at]!
    if (words === 0) {
      const subcommand = Object.hasOwn(command.commands ?? {}, word) ? command.commands![word] : undefined
      if (subcommand) {
        command = subcommand
        if (tool.insert === "command") reading.insertAt = at + 1
        return
      }
      if (command.others === "any" || command.others?.includes(word)) reading.bypass = true
      if (at === 0 && tool.bareWord === "command" && /^[a-z][a-z0-9_-]*$/.test(word)) reading.bypass = true
    }
    words++
    reading.positionals.push(at)
  }
  for (let at = 0; at < args.length; ) {
    const arg = args[at]!
    if (arg === "--") {
      for (at++; at < args.length; at++) reading.positionals.push(at)
      break
    }
    if (!arg.startsWith("-") || arg === "-") {
      takePositional(at++)
      continue
    }
    const flags = readFlags(tool, args, at)
    reading.flags.push(...flags)
    at += flags.at(-1)!.length
  }
  settle(tool, command, args, reading)
  return reading
}

/**
 * A row from the user's configuration, checked by hand: `{channel: "flag", flag: "--system-file", value: "file",
 * prompt: ["-m"], values: ["--model"], subcommands: ["chat"], stdin: true}`. Channels: `flag` (needs `flag`; `repeats: true`
 * where it may be given twice), `env` (needs `env`), `stdin`, `file` (default). Throws `invalid` and names the key.
 */
export function toolFromConfig(name: string, value: unknown): Tool {
  const bad = (key: string, want: string) =>
    new NswrapError("invalid", `tools.${name}${key ? `.${key}` : ""} in the configuration must be ${want}`)
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad("", "a table of settings")
  const row = value as Record<string, unknown>
  for (const key of Object.keys(row)) {
    if (!CONFIG_KEYS.includes(key)) throw bad(key, `left out: the keys are ${CONFIG_KEYS.join(", ")}`)
  }
  const text = (key: string) => {
    const found = row[key]
    if (found !== undefined && (typeof found !== "string" || found === "")) throw bad(key, "a text")
    return found as string | undefined
  }
  const list = (key: string) => {
    const found = typeof row[key] === "string" ? [row[key]] : (row[key] ?? [])
    const isList = Array.isArray(found) && found.every(item => typeof item === "string" && item !== "")
    if (!isList) throw bad(key, "a list of texts")
    return found as string[]
  }
  const truth = (key: string) => {
    if (row[key] !== undefined && typeof row[key] !== "boolean") throw bad(key, "true or false")
    return row[key] === true
  }
  const how = text("value") ?? "file"
  if (how !== "file" && how !== "text") throw bad("value", '"file" or "text"')
  const kind = text("channel") ?? (row.flag !== undefined ? "flag" : row.env !== undefined ? "env" : "file")
  const flag = text("flag")
  const variable = text("env")
  const repeats = truth("repeats")
  let channel: Channel
  if (kind === "flag") {
    if (!flag?.startsWith("-")) throw bad("flag", 'a flag such as "--system-file"')
    channel = { kind, flag, value: how, repeats, merges: repeats ? [] : [{ flag, value: how }] }
  } else if (kind === "env") {
    const isName = /^[A-Za-z_][A-Za-z0-9_]*$/.test(variable ?? "")
    if (!variable || !isName) throw bad("env", 'the name of a variable such as "TOOL_CONTEXT"')
    channel = { kind: "variable", name: variable, value: how }
  } else if (kind === "stdin" || kind === "file") {
    channel = { kind }
  } else {
    throw bad("channel", '"flag", "env", "stdin" or "file"')
  }
  const prompt = list("prompt")
  const subcommands = list("subcommands")
  const takesPrompt: Command = prompt.length > 0 ? {} : { promptFrom: 0 }
  const commands = Object.fromEntries(subcommands.map(word => [word, takesPrompt]))
  return {
    name,
    names: [name.toLowerCase(), ...list("names").map(other => other.toLowerCase())],
    packages: list("packages").map(other => other.toLowerCase()),
    channel,
    minimum: text("minimum") ?? null,
    root: subcommands.length > 0 ? { needsCommand: true, others: "any", commands } : takesPrompt,
    flags: {
      one: [...list("values"), ...prompt, ...(flag ? [flag] : [])],
      prompt,
      resume: list("resume"),
      leave: ["--help", "-h", "--version"],
    },
    insert: subcommands.length > 0 ? "command" : "program",
    promptIsOneShot: true,
    readsStdin: kind === "stdin" || truth("stdin"),
    bareWord: "prompt",
  }
}

const CONFIG_KEYS = [
  "channel", "flag", "value", "env", "repeats", "prompt", "values", "subcommands", "stdin", "resume", "names", "packages",
  "minimum",
  // Of the same row, but the wrapper's: whether output is captured, whether a context is wanted.
  "capture", "context",
]

/** The flags that begin at `at`: one, or several in a cluster such as `-yp "text"`. */
function readFlags(tool: Tool, args: string[], at: number): Flag[] {
  const arg = args[at]!
  if (arg.startsWith("--")) {
    const equals = arg.indexOf("=")
    if (equals > 0) return [{ name: arg.slice(0, equals), value: arg.slice(equals + 1), at, length: 1 }]
    return [withValue(tool, args, at, arg)]
  }
  const cluster: Flag[] = []
  for (let letter = 1; letter < arg.length; letter++) {
    const name = `-${arg[letter]}`
    const rest = arg.slice(letter + 1)
    const flag = withValue(tool, args, at, name)
    if (rest === "") return [...cluster, flag]
    if (takesValue(tool, name) || rest.startsWith("=")) {
      return [...cluster, { name, value: rest.startsWith("=") ? rest.slice(1) : rest, at, length: 1 }]
    }
    cluster.push({ name, value: null, at, length: 1 })
  }
  return cluster
}

function takesValue(tool: Tool, name: string): boolean {
  const { one, optional, many, two } = tool.flags
  return one.includes(name) || !!optional?.includes(name) || !!many?.includes(name) || !!two?.includes(name)
}

/** The flag with the values that follow it as arguments of their own. */
function withValue(tool: Tool, args: string[], at: number, name: string): Flag {
  const { one, optional, many, two } = tool.flags
  const next = args[at + 1]
  const flag: Flag = { name, value: null, at, length: 1 }
  if (next === undefined) return flag
  if (one.includes(name)) return { ...flag, value: next, length: 2 }
  if (optional?.includes(name)) return next.startsWith("-") ? flag : { ...flag, value: next, length: 2 }
  if (two?.includes(name)) return { ...flag, value: next, length: Math.min(3, args.length - at) }
  if (many?.includes(name)) {
    let end = at + 1
    while (end < args.length && !args[end]!.startsWith("-")) end++
    return { ...flag, value: end > at + 1 ? next : null, length: end - at }
  }
  return flag
}

/** Draws the conclusions once every argument has its place. */
function settle(tool: Tool, command: Command, args: string[], reading: Reading): void {
  const { flags, positionals } = reading
  const has = (names: string[] | undefined) => flags.some(flag => names?.includes(flag.name))
  const promptFlag = flags.find(flag => tool.flags.prompt?.includes(flag.name) && flag.value !== null)
  const promptFileFlag = flags.find(flag => tool.flags.promptFile?.includes(flag.name))
  const from = command.promptFrom
  if (promptFlag) {
    reading.prompt = promptFlag.value
    reading.promptAt = promptFlag.at + promptFlag.length - 1
  } else if (from !== undefined && positionals.length > from) {
    reading.prompt = positionals.slice(from).map(at => args[at]).join(" ")
    reading.promptAt = positionals[from]!
  }
  if (reading.prompt === "-") reading.prompt = null // "-" asks to read stdin
  reading.promptFile = promptFileFlag?.value && promptFileFlag.value !== "-" ? promptFileFlag.value : null
  reading.resume = !!command.resumes || has(tool.flags.resume)
  reading.bypass ||= !!command.needsCommand || has(tool.flags.leave)
  const answersPrompt = tool.promptIsOneShot && reading.promptAt !== null
  reading.interactive = !(command.oneShot || has(tool.flags.oneShot) || answersPrompt)
}

/** A program we know nothing about: its prompt is its longest argument of three words or more. */
function readUnknown(args: string[]): Reading {
  let promptAt: number | null = null
  for (let at = 0; at < args.length; at++) {
    const isLonger = promptAt === null || args[at]!.length > args[promptAt]!.length
    if (isLonger && /\S\s+\S+\s+\S/.test(args[at]!)) promptAt = at
  }
  return {
    prompt: promptAt === null ? null : args[promptAt]!, promptAt, promptFile: null, resume: false, bypass: false,
    interactive: false, readsStdin: false, insertAt: 0, flags: [], positionals: [],
  }
}

const LAUNCHER_DEPTH_MAX = 6

/** A program that runs another one. */
interface Launcher {
  /** How it is called: name, and subcommands that belong to it (`npm exec`). */
  call: string[]
  /** Options that take a value of their own. */
  one: string[]
  /** Positionals before the program (`timeout 5 …`). */
  skip: number
  /** It fetches a package and runs it; `from`: the option that names a package other than the program. */
  from: string[] | null
  /** With one of these it runs no program that we can see. */
  leave: string[]
}

const plain = (name: string, one: string, skip: number, leave = ""): Launcher =>
  ({ call: [name], one: words(one), skip, from: null, leave: words(leave) })
const fetching = (call: string, one: string, from: string, leave: string): Launcher =>
  ({ call: words(call), one: words(`${one} ${from}`), skip: 0, from: words(from), leave: words(leave) })

const UV_OPTIONS = `--with --with-editable --with-requirements -p --python --index --default-index -i --index-url
  --extra-index-url -f --find-links --directory --project --cache-dir --env-file -c --constraints --refresh-package
  -P --upgrade-package`
const NPM_OPTIONS = "--registry --prefix -w --workspace --cache --userconfig"

/** First words of the launchers below, so that any other command need not build them. */
const LAUNCHER_NAMES = new Set(["env", "timeout", "nice", "nohup", "stdbuf", "command", "setsid", "npx", "npm", "pnpm", "pnpx", "yarn", "bunx", "bun", "uvx", "uv", "pipx"])
let launchers: Launcher[] | null = null

const makeLaunchers = (): Launcher[] => [
  plain("env", "-u --unset -C --chdir -S --split-string", 0),
  plain("timeout", "-k --kill-after -s --signal", 1, "--help --version"),
  plain("nice", "-n --adjustment", 0, "--help --version"),
  plain("nohup", "", 0, "--help --version"),
  plain("stdbuf", "-i --input -o --output -e --error", 0, "--help --version"),
  plain("command", "", 0, "-v -V"),
  plain("setsid", "", 0, "-h --help -V --version"),
  fetching("npx", NPM_OPTIONS, "-p --package", "-c --call -h --help -v --version"),
  fetching("npm exec", NPM_OPTIONS, "-p --package", "-c --call -h --help"),
  fetching("npm x", NPM_OPTIONS, "-p --package", "-c --call -h --help"),
  fetching("pnpm dlx", "--registry -C --dir", "--package", "-c --shell-mode -h --help"),
  fetching("pnpm exec", "-C --dir", "--package", "-c --shell-mode -h --help"),
  fetching("pnpx", "--registry", "--package", "-c --shell-mode -h --help"),
  fetching("yarn dlx", "", "-p --package", "-h --help"),
  fetching("bunx", "", "-p --package", "-h --help"),
  fetching("bun x", "", "-p --package", "-h --help"),
  fetching("uvx", UV_OPTIONS, "--from", "-h --help -V --version"),
  fetching("uv tool run", UV_OPTIONS, "--from", "-h --help"),
  fetching("pipx run", "--python --pip-args -i --index-url --backend", "--spec", "-h --help --path"),
]

function words(text: string): string[] {
  return text.split(/\s+/).filter(word => word !== "")
}

function findLauncher(argv: string[], at: number): Launcher | null {
  const name = baseName(argv[at] ?? "")
  const isCalled = ({ call }: Launcher) =>
    call[0] === name && call.slice(1).every((word, index) => argv[at + 1 + index] === word)
  if (!LAUNCHER_NAMES.has(name)) return null
  launchers ??= makeLaunchers()
  return launchers.find(isCalled) ?? null
}

/** Index of the program behind a launcher, or null when it shows none. Writes what it learns into `found`. */
function throughLauncher(argv: string[], launcher: Launcher, found: Identified): number | null {
  const isEnv = launcher.call[0] === "env"
  const learned = { version: null as string | null, variables: { ...found.variables }, cleared: found.cleared }
  let toSkip = launcher.skip
  for (let at = found.at + launcher.call.length; at < argv.length; at++) {
    const arg = argv[at]!
    const isOption = arg.startsWith("-") && arg !== "--"
    if (isEnv && arg === "-") {
      learned.cleared = true
      continue
    }
    if (isOption && arg !== "-") {
      const equals = arg.indexOf("=")
      const name = equals > 0 ? arg.slice(0, equals) : arg
      if (launcher.leave.includes(name)) return null
      const takesNext = equals < 0 && launcher.one.includes(arg)
      const short = arg.slice(0, 2)
      const attached = !arg.startsWith("--") && arg.length > 2 && launcher.one.includes(short) ? arg.slice(2) : null
      const value = takesNext ? argv[at + 1] : equals > 0 && arg.startsWith("--") ? arg.slice(equals + 1) : attached
      if (isEnv) {
        if (arg === "-i" || arg === "--ignore-environment") learned.cleared = true
        if (short === "-S" || name === "--split-string") return null
        if ((short === "-u" || name === "--unset") && value) learned.variables[value] = null
      }
      if (launcher.from?.includes(name) && value) learned.version = splitPackage(value).version
      if (takesNext) at++
      continue
    }
    if (arg === "--") continue
    if (isEnv && /^[^=]+=/.test(arg)) {
      learned.variables[arg.slice(0, arg.indexOf("="))] = arg.slice(arg.indexOf("=") + 1)
      continue
    }
    if (toSkip > 0) {
      toSkip--
      continue
    }
    found.variables = learned.variables
    found.cleared = learned.cleared
    if (launcher.from) {
      found.fetched = true
      found.version = learned.version
    }
    return at
  }
  return null
}

/** `@openai/codex@0.169.0` → name and version; tags such as `latest` are no version. */
function splitPackage(spec: string): { name: string; version: string | null } {
  const cut = spec.indexOf("@", 1)
  const equals = spec.indexOf("==")
  const end = equals > 0 ? equals : cut > 0 ? cut : spec.length
  const version = spec.slice(end).replace(/^(==|@)/, "")
  const name = spec.slice(0, end)
  return {
    name: name.startsWith("@") ? name.toLowerCase() : baseName(name),
    version: /^\d/.test(version) ? version : null,
  }
}
