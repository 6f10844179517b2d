import { readFileText } from "../system/libc.ts"
import { aiderReads } from "./aider-reads.ts"
import { codexInstructions } from "./codex-instructions.ts"
import { compareVersions } from "./program.ts"
import type { Channel, Flag, Identified, Reading, Tool } from "./tools.ts"

/** One argument of the command to run: the user's, by its index in argv, so that its raw bytes survive, or a text of ours. */
export type Part = { raw: number; before?: string } | string

/** All that has to happen so that a command starts with a context. */
export interface Injection {
  /** How the text reaches the tool; `file`: only through NS_CONTEXT_FILE. */
  channel: Channel["kind"]
  argv: Part[]
  environment: Record<string, string>
  /**
   * To come before the command's stdin. Where stdin is a terminal or closed, this is all of it: a pipe filled
   * beforehand takes its place.
   */
  stdinPrefix: Uint8Array | null
  /** The text stands in the process list. */
  usesArgv: boolean
  /** What the user should be told once, without prefix. */
  notice: string | null
  /** Files in our own home that the command will read: to be written (0600) before it starts, or it starts unchanged. */
  files: { path: string; text: string }[]
}

export interface ChannelInput {
  argv: string[]
  identified: Pick<Identified, "tool" | "at" | "variables" | "cleared">
  /** Of `argv.slice(identified.at + 1)`. */
  reading: Reading
  /** The rendered context and the content-addressed file that holds it; null: there is nothing to say. */
  context: { text: string; file: string } | null
  env: Record<string, string | undefined>
  cwd: string
  /** The directory in our home that holds context files. */
  contexts: string
  stdin: "tty" | "file" | "pipe" | "socket" | "none"
  /** Version of the tool, where it is known. */
  version?: string | null
  /** `context.argv`: may the text stand in the process list? */
  argvAllowed?: boolean
  /** `--env`: put the text into NS_CONTEXT as well. */
  exportText?: boolean
  /** `--channel`: this one instead of the tool's own. */
  force?: "stdin" | "file"
}

/**
 * Decides how a context gets into a command. Reads the user's own settings where ours would otherwise hide them; writes
 * nothing. What cannot be done without loss to the user's own flags is not done: the context is then offered by
 * NS_CONTEXT_FILE alone.
 */
export function applyChannel(input: ChannelInput): Injection {
  const tool = input.identified.tool
  if (!input.context) return withoutContext(input)
  const channel: Channel = input.force ? { kind: input.force } : (tool?.channel ?? { kind: "file" })
  if (tool?.minimum && input.version && !input.force && compareVersions(input.version, tool.minimum) < 0) {
    const { name, minimum } = tool
    return fileAlone(input, `${name} ${input.version} is older than ${minimum}, the first known to take a context: update it`)
  }
  const env = effectiveEnvironment(input)
  const given: Given = { ...input, context: cleaned(input.context), tool, env, channel }
  const outcome = through(given)
  if (typeof outcome === "string") return fileAlone(input, outcome)
  if (outcome === null) return fileAlone(input, null)
  if (outcome.usesArgv && input.argvAllowed === false && channel.kind !== "file") {
    return fileAlone(input, `context.argv is off and ${tool?.name ?? "this command"} takes a context only in its arguments`)
  }
  if (outcome.argv?.some(part => sizeOf(part) >= ARGUMENT_BYTES_MAX)) {
    return fileAlone(input, `the context and your own instructions together are too long for one argument of ${tool?.name}`)
  }
  return complete(input, { channel: channel.kind, ...outcome })
}

/** The arguments as text, as `--dry-run` shows them. The command itself gets the user's raw bytes. */
export function argumentsOf(parts: Part[], argv: string[]): string[] {
  return parts.map(part => (typeof part === "string" ? part : (part.before ?? "") + argv[part.raw]!))
}

/** Name of a file in the context directory, by its content. */
export function contentName(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 32)
}

/** A TOML basic string for any text. */
export function tomlString(text: string): string {
  const escaped = text.toWellFormed().replace(/[\\"\u0000-\u001f\u007f]/g, character => {
    if (character === "\\" || character === '"') return `\\${character}`
    if (character === "\n") return "\\n"
    if (character === "\t") return "\\t"
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  })
  return `"${escaped}"`
}

/** The kernel's limit for one argument or variable (MAX_ARG_STRLEN), less room for the name. */
const ARGUMENT_BYTES_MAX = 128 * 1024 - 256
/** A user's own instruction file longer than this is left alone. */
const USER_FILE_BYTES_MAX = 1024 * 1024

interface Given extends ChannelInput {
  tool: Tool | null
  context: { text: string; file: string }
  channel: Channel
}

/** What a channel changes. A text instead: why it cannot be used; null: it cannot, and nobody need be told. */
type Outcome = Partial<Omit<Injection, "channel">> | string | null

function through(given: Given): Outcome {
  switch (given.channel.kind) {
    case "flag":
      return throughFlag(given, given.channel)
    case "codex":
      return throughCodex(given)
    case "opencode":
      return throughOpencode(given)
    case "copilot":
      return throughCopilot(given)
    case "aider":
      return throughAider(given)
    case "goose":
      return throughGoose(given)
    case "variable":
      return throughVariable(given, given.channel)
    case "stdin":
      return throughStdin(given)
    case "prompt":
      return throughPrompt(given)
    case "file":
      return throughPlaceholders(given)
  }
}

/** A flag; the user's own flags of the kind become one with ours, theirs first. */
function throughFlag(given: Given, channel: Extract<Channel, { kind: "flag" }>): Outcome {
  const own = given.reading.flags.filter(flag => channel.merges.some(merge => merge.flag === flag.name))
  const texts: string[] = []
  for (const merge of channel.merges) {
    // The tool heeds the last of equal flags: so do we.
    const last = own.findLast(flag => flag.name === merge.flag)
    if (!last) continue
    const text = merge.value === "text" ? last.value : readUserFile(last.value, given)
    if (text === null) return `your own ${merge.flag} could not be read, so it was left as it is`
    texts.push(text)
  }
  const text = joined([...texts, given.context.text])
  const isMerged = texts.length > 0 && channel.value === "file"
  const files = isMerged ? [{ path: `${given.contexts}/${contentName(text)}.md`, text }] : []
  const value = channel.value === "text" ? text : (files[0]?.path ?? given.context.file)
  // With "=", a text that begins with a dash is a value for every parser.
  const ours = channel.value === "text" && channel.flag.startsWith("--") ? [`${channel.flag}=${value}`] : [channel.flag, value]
  return { argv: rebuilt(given, { insert: ours, drop: own }), files, usesArgv: channel.value === "text" }
}

function throughCodex(given: Given): Outcome {
  const own = given.reading.flags.filter(isCodexInstructions)
  const theirs = codexInstructions({ ...given, flags: given.reading.flags, own: own.at(-1)?.value ?? null })
  if (theirs === undefined) return "your own developer_instructions could not be read, so they were left as they are"
  const text = joined([...(theirs === null ? [] : [theirs]), given.context.text])
  const insert = ["-c", `developer_instructions=${tomlString(text)}`]
  return { argv: rebuilt(given, { insert, drop: own }), usesArgv: true }
}

function isCodexInstructions({ name, value }: Flag): boolean {
  return (name === "-c" || name === "--config") && value?.split("=", 1)[0]?.trim() === "developer_instructions"
}

function throughOpencode(given: Given): Outcome {
  const name = "OPENCODE_CONFIG_CONTENT"
  if (!reaches(given, name)) return "the command line decides its own environment, which is how opencode takes a context"
  const theirs = given.env[name] ?? ""
  const config = theirs.trim() === "" ? {} : parseJsonc(theirs)
  const instructions = config && (config.instructions ?? [])
  if (!config || !Array.isArray(instructions)) return `${name} could not be read as JSON, so it was left as it is`
  return { environment: { [name]: JSON.stringify({ ...config, instructions: [...instructions, given.context.file] }) } }
}

function parseJsonc(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = Bun.JSONC.parse(text)
    const isTable = typeof value === "object" && value !== null && !Array.isArray(value)
    return isTable ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

/** A plugin of one hook that prints a prepared answer. Its directory is named by what it says, so it never changes. */
function throughCopilot(given: Given): Outcome {
  const answer = JSON.stringify({ additionalContext: given.context.text })
  const directory = `${given.contexts}/copilot-${contentName(answer)}`
  const hook = {
    type: "command",
    bash: `cat ${shellQuoted(`${directory}/answer.json`)}`,
    powershell: `Get-Content -Raw -Encoding utf8 -LiteralPath '${`${directory}/answer.json`.replaceAll("'", "''")}'`,
    timeoutSec: 5,
  }
  const files = [
    { path: `${directory}/answer.json`, text: answer },
    { path: `${directory}/hooks.json`, text: JSON.stringify({ version: 1, hooks: { sessionStart: [hook] } }) },
    {
      path: `${directory}/plugin.json`,
      text: JSON.stringify({ name: "nswrap", version: "1.0.0", description: "What nswrap remembers", hooks: "hooks.json" }),
    },
  ]
  return { argv: rebuilt(given, { insert: ["--plugin-dir", directory] }), files }
}

function throughAider(given: Given): Outcome {
  const reads = aiderReads(given)
  if (reads === undefined) return "aider's own `read` setting could not be understood, and --read would switch it off"
  return { argv: rebuilt(given, { insert: [...reads, given.context.file].flatMap(file => ["--read", file]) }) }
}

/** The user's own file stays where it is, since goose reads it anew on every turn; ours then goes by the other variable. */
function throughGoose(given: Given): Outcome {
  const [file, text] = ["GOOSE_MOIM_MESSAGE_FILE", "GOOSE_MOIM_MESSAGE_TEXT"] as const
  const name = given.env[file] ? text : file
  if (!reaches(given, name)) return "the command line decides its own environment, which is how goose takes a context"
  if (name === file) return { environment: { [file]: given.context.file } }
  const value = joined([...(given.env[text] ? [given.env[text]] : []), given.context.text])
  if (byteLength(value) >= ARGUMENT_BYTES_MAX) return `your own ${text} and the context together are too long`
  return { environment: { [text]: value } }
}

function throughVariable(given: Given, channel: Extract<Channel, { kind: "variable" }>): Outcome {
  if (!reaches(given, channel.name)) return `the command line itself decides what ${channel.name} is`
  const theirs = given.env[channel.name]
  if (channel.value === "text") {
    const value = joined([...(theirs ? [theirs] : []), given.context.text])
    if (byteLength(value) >= ARGUMENT_BYTES_MAX) return `your own ${channel.name} and the context together are too long`
    return { environment: { [channel.name]: value } }
  }
  if (!theirs) return { environment: { [channel.name]: given.context.file } }
  const own = readUserFile(theirs, given)
  if (own === null) return `the file in your own ${channel.name} could not be read, so it was left as it is`
  const text = joined([own, given.context.text])
  const path = `${given.contexts}/${contentName(text)}.md`
  return { environment: { [channel.name]: path }, files: [{ path, text }] }
}

/** Before stdin: what is piped in, or, where nothing is and the tool answers once, a stdin of our own. */
function throughStdin(given: Given): Outcome {
  const { stdin, reading, tool, force } = given
  const isPiped = stdin === "pipe" || stdin === "file" || stdin === "socket"
  if (!isPiped && !force) {
    if (reading.interactive) return noChannel(tool)
    if (reading.promptAt === null) return null
  }
  return { stdinPrefix: new TextEncoder().encode(`${given.context.text.trimEnd()}\n\n`) }
}

/** Before the text of the prompt; without one, before what is piped in. */
function throughPrompt(given: Given): Outcome {
  const { reading, tool, identified } = given
  const isPiped = given.stdin === "pipe" || given.stdin === "file" || given.stdin === "socket"
  if (reading.promptAt === null && !isPiped) return noChannel(tool)
  if (reading.promptAt === null || given.argvAllowed === false) {
    return { stdinPrefix: new TextEncoder().encode(`${given.context.text.trimEnd()}\n\n`) }
  }
  const at = identified.at + 1 + reading.promptAt
  const argv: Part[] = given.argv.map((_, raw) => ({ raw }))
  argv[at] = { raw: at, before: `${given.context.text.trimEnd()}\n\n` }
  return { argv, usesArgv: true }
}

function noChannel(tool: Tool | null): string {
  return `${tool?.name} has no channel for a context in a conversation at the terminal`
}

/** `{context}` and `{context_file}` in the arguments: asked for by name, so allowed whatever `context.argv` says. */
function throughPlaceholders({ argv, identified, context }: Given): Outcome {
  return replacePlaceholders(argv, identified.at, context)
}

function replacePlaceholders(argv: string[], at: number, context: { text: string; file: string }) {
  let usesArgv = false
  const parts = argv.map((argument, raw): Part => {
    if (raw <= at || !/\{context(_file)?\}/.test(argument)) return { raw }
    usesArgv ||= argument.includes("{context}")
    return argument.replace(/\{context(_file)?\}/g, (_, isFile) => (isFile ? context.file : context.text))
  })
  return { argv: parts, usesArgv }
}

/** Nothing to say: placeholders become nothing, all else stays. */
function withoutContext(input: ChannelInput): Injection {
  const hasPlaceholders = !input.identified.tool || input.identified.tool.channel.kind === "file"
  const argv = hasPlaceholders
    ? replacePlaceholders(input.argv, input.identified.at, { text: "", file: "/dev/null" }).argv
    : input.argv.map((_, raw) => ({ raw }))
  return { channel: "file", argv, environment: {}, stdinPrefix: null, usesArgv: false, notice: null, files: [] }
}

function fileAlone(input: ChannelInput, notice: string | null): Injection {
  const whole = notice && `${notice}; the context is in the file that NS_CONTEXT_FILE names`
  return complete(input, { channel: "file", notice: whole })
}

function complete(input: ChannelInput, outcome: Partial<Injection> & Pick<Injection, "channel">): Injection {
  const { file, text } = input.context!
  const isShort = byteLength(text) < ARGUMENT_BYTES_MAX
  return {
    argv: input.argv.map((_, raw) => ({ raw })), stdinPrefix: null, usesArgv: false, notice: null, files: [],
    ...outcome,
    environment: {
      NS_CONTEXT_FILE: file,
      ...(input.exportText && isShort ? { NS_CONTEXT: withoutNul(text) } : {}),
      ...outcome.environment,
    },
  }
}

/** The user's arguments in their order, without the dropped flags, with ours where the tool wants them. */
function rebuilt(given: Given, { insert, drop = [] }: { insert: string[]; drop?: Flag[] }): Part[] {
  const { argv, identified, reading } = given
  const first = identified.at + 1
  const insertAt = first + reading.insertAt
  const parts: Part[] = []
  for (let raw = 0; raw <= argv.length; raw++) {
    if (raw === insertAt) parts.push(...insert)
    const dropped = drop.some(({ at, length }) => raw >= first + at && raw < first + at + length)
    if (raw < argv.length && !dropped) parts.push({ raw })
  }
  return parts
}

/** A file that the user named, with his `~` and his relative paths. */
function readUserFile(path: string | null, { cwd, env }: Given): string | null {
  if (path === null || path === "") return null
  const expanded = path.startsWith("~/") && env.HOME ? env.HOME + path.slice(1) : path
  const absolute = expanded.startsWith("/") ? expanded : `${cwd}/${expanded}`
  // `<(command)` is a pipe that can be read once, and that by the tool.
  if (absolute.startsWith("/dev/") || absolute.startsWith("/proc/")) return null
  return readFileText(absolute, USER_FILE_BYTES_MAX)
}

/** The environment as `env NAME=value` in the command line makes it. */
function effectiveEnvironment({ env, identified }: ChannelInput): Record<string, string | undefined> {
  if (!identified.cleared && Object.keys(identified.variables).length === 0) return env
  const changed = Object.entries(identified.variables).map(([name, value]) => [name, value ?? undefined])
  return { ...(identified.cleared ? {} : env), ...Object.fromEntries(changed) }
}

/** Whether a variable that we set arrives at the tool. */
function reaches({ identified }: Given, name: string): boolean {
  return !identified.cleared && !Object.hasOwn(identified.variables, name)
}

function joined(texts: string[]): string {
  return texts.map((text, index) => (index === texts.length - 1 ? text : text.trimEnd())).join("\n\n")
}

/** No argument and no variable can hold a NUL. */
function withoutNul(text: string): string {
  return text.replaceAll("\0", "")
}

function cleaned({ text, file }: { text: string; file: string }): { text: string; file: string } {
  return { text: withoutNul(text), file }
}

function sizeOf(part: Part): number {
  return typeof part === "string" ? byteLength(part) : byteLength(part.before ?? "")
}

function byteLength(text: string): number {
  return Buffer.byteLength(text)
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
