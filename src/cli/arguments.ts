import type { ArgDef, ArgsDef, CommandDef } from "citty"
import { NswrapError } from "../errors.ts"

/** A command line understood as far as citty needs it: the command that runs and arguments it cannot misread. */
export interface Understood {
  /** `persona set`, for messages. */
  name: string
  command: CommandDef
  rawArgs: string[]
  wantsHelp: boolean
}

/**
 * Walks to the subcommand, refuses what the command does not know, and rewrites the rest as `--name=value … -- words`.
 * citty alone would take `--knid rule` for a switch and a word, and "- buy milk" for short options. An option whose
 * valueHint ends in `…` may be given several times: its values arrive joined by newlines. A positional whose valueHint
 * ends in `…` takes all further words (`args._`).
 * @throws usage
 */
export async function understand(name: string, command: CommandDef, argv: string[]): Promise<Understood> {
  const subCommands = await resolve(command.subCommands)
  if (subCommands !== undefined && Object.keys(subCommands).length > 0) {
    const at = argv.findIndex((word) => !word.startsWith("-"))
    const word = at < 0 ? undefined : argv[at]
    const fallback = await resolve(command.default)
    const chosen = word !== undefined && Object.hasOwn(subCommands, word) ? word : word === undefined ? fallback : undefined
    if (chosen !== undefined && subCommands[chosen] !== undefined && !(word === undefined && isHelp(argv))) {
      const rest = word === undefined ? argv : argv.toSpliced(at, 1)
      return understand(`${name} ${chosen}`, (await resolve(subCommands[chosen])) as CommandDef, rest)
    }
    if (isHelp(argv)) return { name, command, rawArgs: [], wantsHelp: true }
    const known = Object.keys(subCommands)
    if (word === undefined) throw new NswrapError("usage", `${name} needs one of ${known.join(", ")}`)
    throw new NswrapError("usage", `${name} does not know ${JSON.stringify(word)}${didYouMean(word, known)}; it knows ${known.join(", ")}`)
  }
  const definitions = ((await resolve(command.args)) ?? {}) as ArgsDef
  return { name, command, ...readArguments(name, definitions, argv) }
}

/** `; did you mean list?`, or nothing when no candidate is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const near = closest(word, candidates)
  return near === null ? "" : `; did you mean ${near}?`
}

/** The candidate with the fewest edits, at most a third of the word (and one for short words). */
export function closest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null
  let fewest = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const edits = distance(word.toLowerCase(), candidate.toLowerCase())
    if (edits < fewest) [best, fewest] = [candidate, edits]
  }
  return best
}

/** The values of a repeatable option; commas separate too. */
export function several(value: string | undefined): string[] {
  return value === undefined ? [] : [...new Set(value.split(/[\n,]/).map((part) => part.trim()).filter((part) => part !== ""))]
}

function isHelp(argv: string[]): boolean {
  return argv.some((word) => word === "--help" || word === "-h")
}

function readArguments(name: string, definitions: ArgsDef, argv: string[]): { rawArgs: string[]; wantsHelp: boolean } {
  const options = optionNames(definitions)
  const given = new Map<string, string[]>()
  const switches = new Map<string, boolean>()
  const words: string[] = []
  let wantsHelp = false
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!
    if (word === "--") {
      words.push(...argv.slice(at + 1))
      break
    }
    // Nobody names an option with a blank in it: "- buy milk" is a text.
    if (!word.startsWith("-") || word === "-" || (/\s/.test(word) && !word.includes("="))) {
      words.push(word)
      continue
    }
    if ((word === "--help" || word === "-h") && !options.has("h")) {
      wantsHelp = true
      continue
    }
    const { key, attached } = splitOption(word, options)
    const negated = key.startsWith("no-") && options.get(key.slice(3))?.definition.type === "boolean" && !options.has(key)
    const option = options.get(negated ? key.slice(3) : key)
    if (option === undefined) throw unknownOption(name, word, options)
    if (option.definition.type === "boolean") {
      if (attached !== null) throw new NswrapError("usage", `--${option.name} takes no value`)
      switches.set(option.name, !negated)
      continue
    }
    const value = attached ?? argv[++at]
    if (value === undefined) throw new NswrapError("usage", `--${option.name} needs a value${hint(option.definition)}`)
    const repeats = option.definition.valueHint?.endsWith("…")
    given.set(option.name, repeats ? [...(given.get(option.name) ?? []), value] : [value])
  }
  if (!wantsHelp) checkWords(name, definitions, words)
  const rawArgs = [
    ...[...given].map(([option, values]) => `--${option}=${values.join("\n")}`),
    ...[...switches].map(([option, on]) => (on ? `--${option}` : `--no-${option}`)),
    "--",
    ...words,
  ]
  return { rawArgs, wantsHelp }
}

interface Option {
  name: string
  definition: ArgDef
}

function optionNames(definitions: ArgsDef): Map<string, Option> {
  const names = new Map<string, Option>()
  for (const [name, definition] of Object.entries(definitions)) {
    if (definition.type === "positional") continue
    const alias = (definition as { alias?: string | string[] }).alias ?? []
    for (const key of [name, ...(Array.isArray(alias) ? alias : [alias])]) names.set(key, { name, definition })
  }
  return names
}

function splitOption(word: string, options: Map<string, Option>): { key: string; attached: string | null } {
  if (!word.startsWith("--")) {
    const letter = word.slice(1, 2)
    const rest = word.slice(2)
    if (rest === "" || options.get(letter)?.definition.type === "boolean") return { key: word.slice(1), attached: null }
    return { key: letter, attached: rest.startsWith("=") ? rest.slice(1) : rest }
  }
  const equals = word.indexOf("=")
  return equals < 0 ? { key: word.slice(2), attached: null } : { key: word.slice(2, equals), attached: word.slice(equals + 1) }
}

function unknownOption(name: string, word: string, options: Map<string, Option>): NswrapError {
  const bare = word.replace(/=.*$/s, "")
  const near = closest(bare.replace(/^-+/, ""), [...options.keys()].filter((key) => key.length > 1))
  const remedy = near === null ? `nswrap help ${name} lists the options; put -- before words that begin with a dash` : `did you mean --${near}?`
  return new NswrapError("usage", `${name} has no option ${bare}; ${remedy}`)
}

function checkWords(name: string, definitions: ArgsDef, words: string[]): void {
  const places = Object.entries(definitions).filter(([, definition]) => definition.type === "positional")
  const missing = places.find(([, definition], index) => index >= words.length && definition.required !== false && definition.default === undefined)
  if (missing !== undefined) throw new NswrapError("usage", `${name} needs ${missing[0].toUpperCase()}; see nswrap help ${name}`)
  const takesAll = places.at(-1)?.[1].valueHint?.endsWith("…") === true
  if (!takesAll && words.length > places.length) throw new NswrapError("usage", `${name} does not know what to do with ${JSON.stringify(words[places.length])}; see nswrap help ${name}`)
}

function hint(definition: ArgDef): string {
  return definition.valueHint === undefined ? "" : ` (${definition.valueHint.replace("…", "")})`
}

function resolve<T>(value: T | (() => T) | undefined): T | undefined {
  return typeof value === "function" ? (value as () => T)() : value
}

/** Levenshtein distance, with a swap of neighbours as one edit. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, at) => at)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, rows[i - 2]![j - 2]! + 1)
      row.push(least)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}
