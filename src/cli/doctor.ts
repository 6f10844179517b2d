import type { Database } from "bun:sqlite"
import { closeSync, existsSync, lstatSync, openSync, readSync, realpathSync, statSync } from "node:fs"
import { defineCommand } from "citty"
import type { ProveTool } from "../agents/prove.ts"
import { NswrapError } from "../errors.ts"
import { openForWriting } from "../store/create.ts"
import { openForReading, SCHEMA_VERSION } from "../store/database.ts"
import { journalFor } from "../store/create.ts"
import { listProposals } from "../store/proposals.ts"
import { lastRuns } from "../store/runs.ts"
import { fileSystemType, LINUX } from "../system/libc.ts"
import { loadVectors } from "../system/usearch.ts"
import { commit, version } from "../version.ts"
import { compareVersions, isShim, resolveOnPath, toolVersion } from "../wrap/program.ts"
import { TOOLS } from "../wrap/tool-table.ts"
import { type Channel, findTool, type Tool } from "../wrap/tools.ts"
import { type Home, readHome, userTools } from "./home.ts"
import { bold, cut, dateTime, dim, oneLine, print, printJson, tell, terminalWidth } from "./output.ts"

type State = "ok" | "note" | "warning" | "broken"

interface Check {
  name: string
  state: State
  detail: string
}

export default defineCommand({
  meta: {
    name: "doctor",
    description: `Checks the home, the database, permissions, PATH, every tool and the configuration, and tells why the last run without
context had none. Brings an older database up to date. Status 1 when something is broken.
--prove starts each installed tool (or those named) in a scratch home against a server on 127.0.0.1, and shows where
in its request the context landed. Nothing leaves this computer, and nothing is left behind.

  nswrap doctor --json
  nswrap doctor --prove claude codex`,
  },
  args: {
    tool: { type: "positional", required: false, valueHint: "TOOL…", description: "with --prove: only these" },
    prove: { type: "boolean", description: "prove with the real tools that they get the context" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    const home = readHome()
    if (args.prove) return await prove(home, { names: args._, json: args.json === true })
    if (args._.length > 0) throw new NswrapError("usage", `nswrap doctor takes no ${args._[0]}; nswrap doctor --prove ${args._[0]} proves a tool`)
    const { checks: database, ready } = await checkDatabase(home)
    const tools = checkTools(home)
    const checks: Check[] = [
      { name: "version", state: "ok", detail: `nswrap ${version} (${commit}), ${process.platform} ${process.arch}` },
      checkHome(home),
      ...database,
      ...checkPermissions(home),
      ...checkPath(home),
      ...tools,
      ...home.settings.problems.map((detail): Check => ({ name: "config", state: "warning", detail })),
      ...(home.settings.problems.length > 0 ? [] : [checkConfig(home)]),
      await checkVectors(),
      ...(ready ? await checkRuns(home) : []),
    ]
    const isBroken = checks.some(({ state }) => state === "broken")
    if (args.json) printJson({ ok: !isBroken, checks })
    else for (const check of checks) print(line(check))
    return isBroken ? 1 : 0
  },
})

async function prove({ env, settings }: Home, { names, json }: { names: string[]; json: boolean }): Promise<number> {
  const { formatProve, PROVABLE, runProve } = await import("../agents/prove.ts")
  const path = env["PATH"] ?? ""
  const tools: ProveTool[] = []
  for (const name of names.length > 0 ? names : PROVABLE) {
    const tool = findTool(name, userTools(settings))
    if (tool === null || !PROVABLE.includes(tool.name)) throw new NswrapError("usage", `${name} cannot be proved: there are recipes for ${PROVABLE.join(", ")}`)
    const program = tool.names.map((each) => resolveOnPath(each, path)).find((each) => each !== null && !isShim(each))
    if (program) tools.push({ name: tool.name, program, version: toolVersion(program, tool) })
    else if (names.length > 0) throw new NswrapError("not-found", `${name} is not on PATH; install it, then prove it`)
  }
  if (tools.length === 0) throw new NswrapError("not-found", `none of ${PROVABLE.join(", ")} is on PATH`)
  const onStart = (name: string): void => tell(`nswrap: starting ${name} …`)
  // Interpreted, the program alone is bun: it needs the file too.
  const self = Bun.main.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, Bun.main]
  const proofs = await runProve({ tools, self, env, onStart: json ? undefined : onStart })
  const isProved = proofs.every(({ state }) => state === "proved")
  if (json) printJson({ ok: isProved, proofs })
  else print(formatProve(proofs))
  return isProved ? 0 : 1
}

function checkHome({ paths, settings, env }: Home): Check {
  const place = paths.data === paths.config ? paths.data : `${paths.data}, settings in ${paths.config}`
  const session = settings.session === null ? "" : `, session ${settings.session}`
  if (!existsSync(paths.data)) return { name: "home", state: "note", detail: `${place}: not made yet, the first nswrap remember does it${session}` }
  if (!statSync(paths.data).isDirectory()) return { name: "home", state: "broken", detail: `${paths.data} is no directory; move it away` }
  return { name: "home", state: "ok", detail: `${place}${env["NS_HOME"] ? " (NS_HOME)" : ""}${session}` }
}

async function checkDatabase(home: Home): Promise<{ checks: Check[]; ready: boolean }> {
  const { paths } = home
  const opened = openForReading(paths)
  if (opened.state === "ready") opened.db.close()
  if (opened.state === "absent") return { checks: [{ name: "database", state: "note", detail: 'no memories yet; nswrap remember "TEXT" begins' }], ready: existsSync(paths.data) }
  if (opened.state === "newer") return { checks: [{ name: "database", state: "broken", detail: opened.reason }], ready: false }
  let db: Database
  try {
    db = await openForWriting(paths)
  } catch (error) {
    return { checks: [{ name: "database", state: "broken", detail: `${(error as Error).message}` }], ready: false }
  }
  try {
    const updated = opened.state === "outdated" ? `, just brought up from an older schema (a copy is in ${paths.backups})` : ""
    const { memories, dead } = db.query("select count(*) as memories, coalesce(sum(tombstone = 1 or superseded_by is not null), 0) as dead from memory").get() as { memories: number; dead: number }
    const problems = (db.query("pragma quick_check(5)").all() as { quick_check: string }[]).map((row) => row.quick_check).filter((row) => row !== "ok")
    const size = (statSync(paths.database).size / 1024 / 1024).toFixed(1)
    const type = fileSystemType(paths.data)
    const detail = `${memories - dead === 1 ? "1 memory" : `${memories - dead} memories`}${dead > 0 ? ` and ${dead} forgotten or superseded` : ""}, ${size} MB, schema ${SCHEMA_VERSION}${updated}`
    const checks: Check[] = problems.length > 0
      ? [{ name: "database", state: "broken", detail: `${paths.database} is damaged (${problems[0]}); restore a copy from ${paths.backups} or import an export` }]
      : [{ name: "database", state: "ok", detail }]
    const journal = journalFor(paths.data)
    if (journal === "delete") checks.push({ name: "file system", state: "warning", detail: `${paths.data} is on a network file system (${type}): slower, and never share it between machines at the same time` })
    else checks.push({ name: "file system", state: "ok", detail: `${type ?? "unknown"}, write-ahead log` })
    const waiting = listProposals(db).length
    if (waiting > 0) checks.push({ name: "inbox", state: "note", detail: `${waiting} proposals of tools wait for your word: nswrap inbox` })
    return { checks, ready: true }
  } catch (error) {
    return { checks: [{ name: "database", state: "broken", detail: `${paths.database} cannot be read (${(error as Error).message}); restore a copy from ${paths.backups} or import an export` }], ready: false }
  } finally {
    db.close()
  }
}

function checkPermissions({ paths }: Home): Check[] {
  const wide: string[] = []
  for (const path of [paths.data, paths.database, `${paths.database}-wal`, `${paths.database}-shm`, paths.activity, paths.runs, paths.contexts, paths.backups]) {
    if (existsSync(path) && (lstatSync(path).mode & 0o077) !== 0) wide.push(path)
  }
  // ~/.neuralsync is also other programs' directory: only our file in it matters, and only when it holds a token.
  if (existsSync(paths.configFile) && (lstatSync(paths.configFile).mode & 0o077) !== 0) wide.push(paths.configFile)
  if (!existsSync(paths.data)) return []
  if (wide.length === 0) return [{ name: "permissions", state: "ok", detail: "only you can read it" }]
  return [{ name: "permissions", state: "warning", detail: `others can read or enter ${wide.join(", ")}; chmod go= ${wide.join(" ")}` }]
}

/** Which nswrap a shell runs, and whether that is this one. */
function checkPath({ env }: Home): Check[] {
  const found: string[] = []
  for (const directory of (env["PATH"] ?? "").split(":")) {
    const file = `${directory || "."}/nswrap`
    if (existsSync(file) && statSync(file).isFile() && (statSync(file).mode & 0o111) !== 0 && !found.includes(file)) found.push(file)
  }
  const [first, ...others] = found
  if (first === undefined) return [{ name: "PATH", state: "warning", detail: `nswrap is not on PATH; this one is ${process.execPath}` }]
  const isThis = realpathSync(first) === realpathSync(process.execPath)
  const checks: Check[] = [isThis
    ? { name: "PATH", state: "ok", detail: first }
    : { name: "PATH", state: "warning", detail: `nswrap on PATH is ${first}${isPython(first) ? ", the Python one of NeuralSync" : ""}, not this one (${process.execPath})` }]
  for (const other of others) checks.push({ name: "PATH", state: "note", detail: `also ${other}${isPython(other) ? " (the Python one of NeuralSync)" : ""}, which is not run` })
  return checks
}

function isPython(path: string): boolean {
  const bytes = Buffer.alloc(256)
  const fd = openSync(path, "r")
  try {
    const head = bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0)).toString("latin1")
    return head.startsWith("#!") && /python/.test(head.split("\n", 1)[0] ?? "")
  } finally {
    closeSync(fd)
  }
}

function checkTools({ env, settings }: Home): Check[] {
  const checks: Check[] = []
  const missing: string[] = []
  for (const tool of [...userTools(settings), ...TOOLS]) {
    const path = tool.names.map((name) => resolveOnPath(name, env["PATH"] ?? "")).find((each) => each !== null)
    if (path === undefined || path === null) {
      missing.push(tool.name)
      continue
    }
    if (isShim(path)) {
      checks.push({ name: tool.name, state: "note", detail: `${path} calls nswrap itself; it gets its context there` })
      continue
    }
    const found = toolVersion(path, tool)
    const isOld = found !== null && tool.minimum !== null && compareVersions(found, tool.minimum) < 0
    const refused = !settings.argvChannels && isArgv(tool.channel) ? "; context.argv is off, so only the file" : ""
    checks.push({
      name: tool.name,
      state: isOld ? "warning" : "ok",
      detail: `${found ?? "version unknown"}, ${path}; ${isOld ? `older than ${tool.minimum}, the first known to take a context: it gets NS_CONTEXT_FILE alone, update it` : `by ${channelWords(tool)}`}${refused}`,
    })
  }
  if (missing.length > 0) checks.push({ name: "not found", state: "note", detail: missing.join(", ") })
  return checks
}

/** How a context reaches a tool, in words. */
export function channelWords({ channel }: Pick<Tool, "channel">): string {
  switch (channel.kind) {
    case "flag": return channel.flag
    case "codex": return "-c developer_instructions"
    case "opencode": return "OPENCODE_CONFIG_CONTENT"
    case "copilot": return "--plugin-dir"
    case "aider": return "--read"
    case "goose": return "GOOSE_MOIM_MESSAGE_FILE"
    case "variable": return channel.name
    case "stdin": return "stdin, before what is piped in"
    case "prompt": return "the prompt, before its text"
    case "file": return "NS_CONTEXT_FILE alone"
  }
}

function isArgv(channel: Channel): boolean {
  return channel.kind === "codex" || channel.kind === "prompt" || (channel.kind === "flag" && channel.value === "text")
}

function checkConfig({ paths }: Home): Check {
  return { name: "config", state: "ok", detail: existsSync(paths.configFile) ? paths.configFile : `${paths.configFile} (none: the defaults count)` }
}

async function checkVectors(): Promise<Check> {
  const vectors = await loadVectors()
  if (vectors.available) return { name: "vectors", state: "ok", detail: `usearch ${vectors.version}` }
  return { name: "vectors", state: "note", detail: `not available: ${vectors.reason}${LINUX ? " (glibc 2.34, libstdc++ and a TMPDIR that is not noexec are needed)" : ""}; everything works without` }
}

async function checkRuns({ paths }: Home): Promise<Check[]> {
  if (!existsSync(paths.activity) && !existsSync(paths.runs)) return [{ name: "runs", state: "note", detail: 'none yet; nswrap -- claude "fix the bug" makes one' }]
  try {
    const runs = await lastRuns(paths, 1000)
    const last = runs[0]
    const without = runs.find(({ reason }) => reason !== null)
    const checks: Check[] = []
    if (last !== undefined) checks.push({ name: "last run", state: "ok", detail: `${dateTime(last.t)} ${last.tool ?? last.program}, ${last.stable.length + last.recalled.length} memories by ${last.channel}; nswrap last says more` })
    if (without !== undefined) checks.push({ name: "no context", state: without === last ? "warning" : "note", detail: `${dateTime(without.t)} ${without.tool ?? without.program} started without context: ${without.reason}` })
    return checks
  } catch (error) {
    return [{ name: "runs", state: "warning", detail: `${paths.activity} cannot be read (${(error as Error).message})` }]
  }
}

function line({ name, state, detail }: Check): string {
  const mark = { ok: "ok     ", note: "note   ", warning: "WARNING", broken: "BROKEN " }[state]
  const head = `${state === "ok" || state === "note" ? dim(mark) : bold(mark)}  ${name.padEnd(12)} `
  const width = terminalWidth()
  // What is wrong is never cut: the remedy stands at the end.
  return head + (width === null || state === "broken" || state === "warning" ? oneLine(detail) : cut(oneLine(detail), Math.max(20, width - 22)))
}
