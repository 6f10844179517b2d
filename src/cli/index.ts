import { errorLine, exitStatus, NswrapError } from "../errors.ts"
import { didYouMean, understand } from "./arguments.ts"
import { COMMANDS } from "./commands.ts"
import { commandHelp, fullHelp, shortHelp } from "./help.ts"
import { AVAILABLE, RESERVED } from "./names.ts"
import { print, tell } from "./output.ts"
import { commit, version } from "../version.ts"

const OPTIONS = ["--tool", "--mode", "--no-context", "--incognito", "--only", "--dry-run", "--channel", "--env", "--capture", "--help", "--version"]

/** What a wrapped tool may not do by itself; see refuseTools(). */
const FOR_USERS = new Set([
  "edit", "supersede", "pin", "unpin", "import", "uninstall", "persona set", "persona edit", "inbox accept", "inbox edit", "inbox reject",
  "config set", "config unset", "project rename", "project bind", "project unlink",
])

/** Runs one of nswrap's own commands: `argv` begins with its name. Answers the exit status; never throws. */
export async function runCli(argv: string[]): Promise<number> {
  try {
    const status = await dispatch(argv)
    await tidyUp()
    return status
  } catch (error) {
    tell(errorLine(error))
    if (process.env["NS_DEBUG_PERF"] && !(error instanceof NswrapError) && error instanceof Error) tell(error.stack ?? "")
    return exitStatus(error)
  }
}

/** Old context files go when one of our own commands runs, so that the wrapper never has to wait for it. */
async function tidyUp(): Promise<void> {
  const { resolvePaths } = await import("../config/paths.ts")
  const { sweepContexts } = await import("../wrap/context-file.ts")
  try {
    await sweepContexts(resolvePaths(process.env), Date.now())
  } catch {
    // What could not be removed today goes tomorrow.
  }
}

async function dispatch(argv: string[]): Promise<number> {
  const [name = "--help", ...rest] = argv
  if (name === "--help" || name === "-h") {
    print(shortHelp())
    return 0
  }
  if (name === "--serve") throw unknownCommand("serve")
  if (name === "help") return help(rest)
  if (name === "version" || name === "--version" || name === "-V") {
    print(`nswrap ${version} (${commit})`)
    return 0
  }
  const entry = COMMANDS[name]
  if (entry === undefined) throw unknownCommand(name)
  const command = await entry.load()
  // `config --default` reads better than `config default`, and both work.
  if (name === "config" && rest[0] === "--default") rest[0] = "default"
  const { name: fullName, command: chosen, rawArgs, wantsHelp } = await understand(name, command, rest)
  if (wantsHelp) {
    print(await commandHelp(fullName, chosen))
    return 0
  }
  if (FOR_USERS.has(fullName) && process.env["NSWRAP_TOOL"]) {
    const { readHome, refuseTools } = await import("./home.ts")
    refuseTools(readHome(), fullName)
  }
  const { runCommand } = await import("citty")
  const { result } = await runCommand(chosen, { rawArgs })
  return typeof result === "number" ? result : 0
}

async function help(words: string[]): Promise<number> {
  const [name, ...rest] = words.filter((word) => !word.startsWith("-"))
  if (name === undefined) {
    print(fullHelp())
    return 0
  }
  const entry = COMMANDS[name]
  if (entry === undefined) {
    if (name === "help" || name === "version") print(fullHelp())
    else throw unknownCommand(name)
    return 0
  }
  const { name: fullName, command } = await understand(name, await entry.load(), [...rest.slice(0, 1), "--help"])
  print(await commandHelp(fullName, command))
  return 0
}

function unknownCommand(name: string): NswrapError {
  if (name.startsWith("-")) return new NswrapError("usage", `there is no option ${name.replace(/=.*$/s, "")}${didYouMean(name, OPTIONS)}; nswrap --help shows them`)
  if (RESERVED.has(name)) return new NswrapError("usage", `${name} is reserved for a later version of nswrap; nswrap -- ${name} runs a program of that name`)
  return new NswrapError("usage", `there is no command ${name}${didYouMean(name, AVAILABLE)}; nswrap help lists them`)
}
