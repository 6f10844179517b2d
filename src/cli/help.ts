import type { ArgsDef, CommandDef } from "citty"
import { COMMANDS, GROUPS } from "./commands.ts"
import { bold, dim } from "./output.ts"

/** What `nswrap` alone says. */
export function shortHelp(): string {
  return `nswrap: the memory that every command-line AI tool shares

  nswrap -- claude "fix the login bug"    start a tool with who you are and what matters for this prompt
  nswrap claude                           the same; -- is only needed for options and reserved names
  git diff | nswrap -- llm "review this"  stdin reaches the tool whole

  nswrap remember "We deploy with bun build, never webpack" --kind decision
  nswrap persona set "Senior engineer, terse answers, TypeScript"
  nswrap recall deploy                    what is remembered about it
  nswrap context --tool claude "deploy"   exactly what would be injected
  nswrap list                             the memories of this project and the global ones
  nswrap import --from neuralsync         bring NeuralSync v2 memories along

Options before the command: --tool NAME, --mode MODE, --no-context (--incognito), --only persona,
  --dry-run, --channel stdin|file, --env, --capture
eval "$(nswrap shell-init bash)" wraps plain \`claude\`, \`codex\`… and completes commands.

nswrap help lists all commands, nswrap help COMMAND explains one, nswrap doctor checks the installation.`
}

/** Every command with one line, grouped. */
export function fullHelp(): string {
  const width = Math.max(...["help [COMMAND]", ...Object.keys(COMMANDS)].map((name) => name.length)) + 2
  const groups = GROUPS.filter((group) => Object.values(COMMANDS).some((entry) => entry.group === group)).map((group) => {
    const lines = Object.entries(COMMANDS)
      .filter(([, entry]) => entry.group === group)
      .map(([name, entry]) => `  ${name.padEnd(width)}${entry.summary}`)
    return [bold(group), ...lines].join("\n")
  })
  return `nswrap [OPTIONS] [--] COMMAND [ARGUMENTS]    start a command with its context
nswrap NAME [OPTIONS]                         one of the commands below

${groups.join("\n\n")}

${bold("Also")}
  ${"help [COMMAND]".padEnd(width)}this list, or one command
  ${"version".padEnd(width)}version and commit

nswrap -- NAME always runs the program of that name. Ids are shown by their last 8 digits; any unique part will do.`
}

/** One command: usage, what its description says, arguments and options. */
export async function commandHelp(name: string, command: CommandDef): Promise<string> {
  const meta = (await resolve(command.meta)) ?? {}
  const subCommands = (await resolve(command.subCommands)) ?? {}
  const definitions = ((await resolve(command.args)) ?? {}) as ArgsDef
  const places: string[] = []
  const lines: string[][] = []
  for (const [key, definition] of Object.entries(definitions)) {
    if (definition.type === "positional") {
      const word = (definition.valueHint ?? key.toUpperCase()).replace(/^…$/, `${key.toUpperCase()}…`)
      places.push(definition.required === false || definition.default !== undefined ? `[${word}]` : word)
      continue
    }
    const alias = (definition as { alias?: string | string[] }).alias ?? []
    const short = (Array.isArray(alias) ? alias : [alias]).filter((each) => each.length === 1).map((each) => `-${each}, `)
    const value = definition.type === "boolean" ? "" : ` ${(definition.valueHint ?? "VALUE").replace("…", "")}`
    const repeats = definition.valueHint?.endsWith("…") ? " (may be repeated)" : ""
    lines.push([`${short.join("")}--${key}${value}`, `${definition.description ?? ""}${repeats}`])
  }
  const children: string[][] = []
  for (const [key, child] of Object.entries(subCommands)) {
    const description = (await resolve((await resolve(child as CommandDef))?.meta))?.description ?? ""
    children.push([key, description.split("\n")[0] ?? ""])
  }
  const usage = children.length > 0 ? `nswrap ${name} ${children.map(([key]) => key).join("|")}` : ["nswrap", name, ...places, ...(lines.length > 0 ? ["[OPTIONS]"] : [])].join(" ")
  const parts = [`${bold("Usage:")} ${usage}`, (meta.description ?? "").trim()]
  if (children.length > 0) parts.push(columns(children))
  if (lines.length > 0) parts.push(columns(lines))
  return parts.filter((part) => part !== "").join("\n\n")
}

function columns(lines: string[][]): string {
  const width = Math.max(...lines.map(([left]) => left?.length ?? 0)) + 2
  return lines.map(([left = "", right = ""]) => `  ${left.padEnd(width)}${dim(right)}`).join("\n")
}

async function resolve<T>(value: T | Promise<T> | (() => T | Promise<T>) | undefined): Promise<T | undefined> {
  return typeof value === "function" ? (value as () => T | Promise<T>)() : value
}
