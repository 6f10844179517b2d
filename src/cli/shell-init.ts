import type { ArgsDef, CommandDef } from "citty"
import { defineCommand } from "citty"
import { KINDS, SCOPES } from "../memory/memory.ts"
import { isShim, resolveOnPath } from "../wrap/program.ts"
import { TOOLS } from "../wrap/tool-table.ts"
import { NswrapError } from "../errors.ts"
import { COMMANDS } from "./commands.ts"
import { readHome, userTools } from "./home.ts"
import { print } from "./output.ts"

const SHELLS = ["bash", "zsh", "fish"] as const

export default defineCommand({
  meta: {
    name: "shell-init",
    description: `Prints functions, so that plain \`claude\`, \`codex\`… (those found on PATH) are started with their context, and
completions. \`command claude\` still runs the tool without nswrap.

  eval "$(nswrap shell-init bash)"          in ~/.bashrc
  eval "$(nswrap shell-init zsh)"           in ~/.zshrc
  nswrap shell-init fish | source           in ~/.config/fish/config.fish`,
  },
  args: {
    shell: { type: "positional", required: true, valueHint: "bash|zsh|fish" },
    "completions-only": { type: "boolean", description: "no functions" },
  },
  async run({ args }) {
    const shell = SHELLS.find((each) => each === args.shell)
    if (shell === undefined) throw new NswrapError("usage", `shell-init knows ${SHELLS.join(", ")}, not ${args.shell}`)
    const tools = args["completions-only"] ? [] : installedTools()
    const words = await readCommands()
    print({ bash: bash, zsh: zsh, fish: fish }[shell](tools, words))
  },
})

/** Names of tools on PATH that can be the name of a function; a script that calls nswrap needs none. */
function installedTools(): string[] {
  const home = readHome()
  const names = [...userTools(home.settings), ...TOOLS].flatMap((tool) => tool.names)
  return [...new Set(names)].filter((name) => {
    const path = /^[a-z][a-z0-9_-]*$/.test(name) ? resolveOnPath(name, home.env["PATH"] ?? "") : null
    return path !== null && !isShim(path)
  })
}

interface Words {
  name: string
  summary: string
  options: string[]
  subCommands: string[]
  /** Its words are ids of memories. */
  takesIds: boolean
}

async function readCommands(): Promise<Words[]> {
  return Promise.all(Object.entries(COMMANDS).map(async ([name, entry]) => {
    const command = await entry.load()
    const subs = Object.entries((await resolve(command.subCommands)) ?? {}) as [string, CommandDef | (() => CommandDef)][]
    const definitions = await Promise.all([command, ...subs.map(([, sub]) => resolve(sub) as CommandDef)].map(async (each) => ((await resolve(each.args)) ?? {}) as ArgsDef))
    const options = definitions.flatMap((each) => Object.entries(each).filter(([, definition]) => definition.type !== "positional").map(([option]) => `--${option}`))
    const takesIds = Object.values(definitions[0] ?? {}).some((definition) => definition.type === "positional" && /\bID\b|OLD/.test(definition.valueHint ?? ""))
    return { name, summary: entry.summary, options: [...new Set([...options, "--help"])], subCommands: subs.map(([sub]) => sub), takesIds }
  }))
}

/** No function may stand between a user and a tool: when nswrap is gone, the tool runs without. */
function wrapper(name: string): string {
  return `function ${name} { if command -v nswrap >/dev/null 2>&1; then command nswrap -- ${name} "$@"; else command ${name} "$@"; fi; }`
}

const IDS = "command nswrap list --limit 200 2>/dev/null | awk 'NR > 1 { print $1 }'"
/** The first column marks this directory's project. */
const PROJECTS = `command nswrap project list 2>/dev/null | awk 'NR > 1 { print ($1 == "*") ? $2 : $1 }'`

function bash(tools: string[], words: Words[]): string {
  return `${tools.map(wrapper).join("\n")}
_nswrap() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}" choices=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${[...words.map(({ name }) => name), "help", "version", ...OPTIONS].join(" ")}" -- "$word"))
    [ "\${#COMPREPLY[@]}" -gt 0 ] || COMPREPLY=($(compgen -c -- "$word" | sort -u))
    return
  fi
  case "$before" in
    --kind) COMPREPLY=($(compgen -W "${KINDS.join(" ")}" -- "$word")); return ;;
    --scope) COMPREPLY=($(compgen -W "${SCOPES.join(" ")}" -- "$word")); return ;;
    --tool) COMPREPLY=($(compgen -W "${TOOLS.map(({ name }) => name).join(" ")}" -- "$word")); return ;;
    --project) COMPREPLY=($(compgen -W "$(${PROJECTS})" -- "$word")); return ;;
    --file) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --) COMPREPLY=($(compgen -c -- "$word" | sort -u)); return ;;
  esac
  case "$command" in
${words.map(({ name, options, subCommands, takesIds }) => `    ${name}) choices="${[...subCommands, ...options].join(" ")}"${takesIds ? `; case "$word" in -*) ;; *) choices="$choices $(${IDS})" ;; esac` : ""} ;;`).join("\n")}
    help) choices="${words.map(({ name }) => name).join(" ")}" ;;
    shell-init) choices="${SHELLS.join(" ")}" ;;
    *)
      # The tool's own completion, where bash-completion is loaded.
      local at=1
      while [ "$at" -lt "$COMP_CWORD" ]; do case "\${COMP_WORDS[at]}" in --) at=$((at + 1)); break ;; -*) at=$((at + 1)) ;; *) break ;; esac; done
      if type _command_offset >/dev/null 2>&1; then _command_offset "$at"; else COMPREPLY=($(compgen -f -- "$word")); fi
      return ;;
  esac
  COMPREPLY=($(compgen -W "$choices" -- "$word"))
}
complete -o default -F _nswrap nswrap`
}

function zsh(tools: string[], words: Words[]): string {
  const described = words.map(({ name, summary }) => `'${name}:${summary.replaceAll("'", "").replaceAll(":", "")}'`)
  return `${tools.map(wrapper).join("\n")}
_nswrap() {
  local -a choices
  if (( CURRENT == 2 )); then
    choices=(${described.join(" ")} 'help:this list, or one command' 'version:version and commit')
    _describe -t commands 'nswrap command' choices
    compadd -- ${OPTIONS.join(" ")}
    _command_names -e
    return
  fi
  case "\${words[CURRENT-1]}" in
    --kind) compadd -- ${KINDS.join(" ")}; return ;;
    --scope) compadd -- ${SCOPES.join(" ")}; return ;;
    --tool) compadd -- ${TOOLS.map(({ name }) => name).join(" ")}; return ;;
    --project) compadd -- \${(f)"$(${PROJECTS})"}; return ;;
    --file) _files; return ;;
    --) _command_names -e; return ;;
  esac
  case "\${words[2]}" in
${words.map(({ name, options, subCommands, takesIds }) => `    ${name}) compadd -- ${[...subCommands, ...options].join(" ")}${takesIds ? `; [[ "\${words[CURRENT]}" == -* ]] || compadd -- \${(f)"$(${IDS})"}` : ""}${name === "shell-init" ? `; compadd -- ${SHELLS.join(" ")}` : ""} ;;`).join("\n")}
    help) compadd -- ${words.map(({ name }) => name).join(" ")} ;;
    *)
      shift words; (( CURRENT-- ))
      while (( CURRENT > 1 )) && [[ "\${words[1]}" == -* ]]; do shift words; (( CURRENT-- )); done
      _normal ;;
  esac
}
# Before compinit there is nothing to add completions to.
if (( $+functions[compdef] )); then compdef _nswrap nswrap; fi`
}

function fish(tools: string[], words: Words[]): string {
  const functions = tools.map((name) => `function ${name} --wraps ${name}
  if type -q nswrap
    command nswrap -- ${name} $argv
  else
    command ${name} $argv
  end
end`)
  const quote = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`
  const lines = words.flatMap(({ name, summary, options, subCommands, takesIds }) => [
    `complete -c nswrap -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
    ...options.map((option) => `complete -c nswrap -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}${VALUES[option] ?? ""}`),
    ...(subCommands.length > 0 ? [`complete -c nswrap -f -n '__fish_seen_subcommand_from ${name}' -a '${subCommands.join(" ")}'`] : []),
    ...(takesIds ? [`complete -c nswrap -f -n '__fish_seen_subcommand_from ${name}' -a "(${IDS.replaceAll("$", "\\$")})"`] : []),
  ])
  return `${functions.join("\n")}
${lines.join("\n")}
complete -c nswrap -n __fish_use_subcommand -a help -d 'this list, or one command'
complete -c nswrap -n __fish_use_subcommand -a '(__fish_complete_command)'
complete -c nswrap -f -n '__fish_seen_subcommand_from shell-init' -a '${SHELLS.join(" ")}'
complete -c nswrap -f -n '__fish_seen_subcommand_from help' -a '${words.map(({ name }) => name).join(" ")}'
${OPTIONS.map((option) => `complete -c nswrap -n __fish_use_subcommand -l ${option.slice(2)}`).join("\n")}`
}

const OPTIONS = ["--tool", "--mode", "--no-context", "--incognito", "--only", "--dry-run", "--channel", "--env", "--capture", "--help", "--version"]
const VALUES: Record<string, string> = {
  "--kind": ` -x -a '${KINDS.join(" ")}'`,
  "--scope": ` -x -a '${SCOPES.join(" ")}'`,
  "--tool": ` -x -a '${TOOLS.map(({ name }) => name).join(" ")}'`,
  "--project": ` -x -a "(${PROJECTS.replaceAll(/["$]/g, "\\$&")})"`,
  "--file": " -r -F",
}

function resolve<T>(value: T | (() => T) | undefined): T | undefined {
  return typeof value === "function" ? (value as () => T)() : value
}
