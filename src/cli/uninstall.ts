import { existsSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from "node:fs"
import { defineCommand } from "citty"
import { z } from "zod"
import type { Paths } from "../config/paths.ts"
import { NswrapError } from "../errors.ts"
import { openForReading } from "../store/database.ts"
import { readHome } from "./home.ts"
import { confirm, date, isInteractive, print, tell } from "./output.ts"

/** What install.sh writes beside the memories, as far as it is needed to undo it. */
const Report = z.object({ path: z.string(), sha256: z.string(), kept_other_program: z.string().nullable() })
type Report = z.infer<typeof Report>

/** Lines of ours that people put into these files by hand; we only point at them. */
const SHELL_FILES = [".bashrc", ".bash_profile", ".profile", ".zshrc", ".zprofile", ".config/fish/config.fish"]

export default defineCommand({
  meta: {
    name: "uninstall",
    description: `Removes what install.sh installed. Memories and settings are kept, unless --purge-memories: then they are first
exported to your home directory.

  nswrap uninstall
  nswrap uninstall --purge-memories`,
  },
  args: {
    "purge-memories": { type: "boolean", description: "remove the memories too, after exporting them" },
    yes: { type: "boolean", alias: ["y"], description: "do not ask" },
  },
  async run({ args }) {
    const { paths, env, now } = readHome()
    const report = readReport(paths)
    const purge = args["purge-memories"] === true
    const memories = countMemories(paths)
    if (purge && !agreed({ memories, paths, yes: args.yes === true })) return 1
    // Everything that can fail, and all that can be tried again, comes before the program itself goes.
    if (purge) {
      if (existsSync(paths.database)) print(`exported   ${exportMemories(env["HOME"] ?? paths.data, now)}`)
      purgeMemories(paths)
      print(`removed    the memories in ${paths.data}`)
    }
    rmSync(paths.contexts, { recursive: true, force: true })
    removeProgram(report)
    rmSync(reportPath(paths), { force: true })
    if (purge) removeIfEmpty(paths.data)
    else if (memories !== 0) print(`kept       ${memories === null ? "your memories" : counted(memories)}, in ${paths.data}`)
    if (existsSync(paths.configFile)) print(`kept       your settings, ${paths.configFile}`)
    for (const line of shellLines(env["HOME"])) print(`left       ${line}`)
    return 0
  },
})

function reportPath(paths: Paths): string {
  return `${paths.data}/installation_report.json`
}

function readReport(paths: Paths): Report {
  const path = reportPath(paths)
  if (!existsSync(path)) {
    throw new NswrapError("not-found", `there is no ${path}, so install.sh did not install this nswrap for these memories; to remove the program alone: rm ${process.execPath}`)
  }
  try {
    return Report.parse(JSON.parse(readFileSync(path, "utf8")))
  } catch {
    throw new NswrapError("invalid", `${path} cannot be read as an installation report; to remove the program alone: rm ${process.execPath}`)
  }
}

/** Null when the database is there and cannot be read: then nobody may say that there are none. */
function countMemories(paths: Paths): number | null {
  if (!existsSync(paths.database)) return 0
  const opened = openForReading(paths)
  if (opened.state !== "ready") return null
  try {
    return (opened.db.query("select count(*) as memories from memory where tombstone = 0").get() as { memories: number }).memories
  } finally {
    opened.db.close()
  }
}

function agreed({ memories, paths, yes }: { memories: number | null; paths: Paths; yes: boolean }): boolean {
  if (memories === null) throw new NswrapError("unavailable", `the memories in ${paths.database} cannot be read, so they cannot be exported first; nswrap doctor says why`)
  if (yes) return true
  if (!isInteractive()) throw new NswrapError("usage", "--purge-memories removes memories for ever: add --yes")
  if (confirm(`Remove nswrap and ${counted(memories)} for ever, after exporting them?`)) return true
  tell("nswrap: nothing was removed")
  return false
}

/** Memories and personas, dead ones too, in a new file `nswrap-memories-DATE.jsonl` (0600) that `nswrap import` takes. @throws unavailable when not all of it was written */
function exportMemories(directory: string, now: number): string {
  const path = freeName(`${directory}/nswrap-memories-${date(now)}`, ".jsonl")
  const command = Bun.isStandaloneExecutable ? [process.execPath] : [process.execPath, Bun.main]
  const { exitCode, stderr } = Bun.spawnSync([...command, "export", "--all", "--output", path], { stdin: "ignore", stdout: "ignore", stderr: "pipe" })
  if (exitCode !== 0) {
    throw new NswrapError("unavailable", `the memories could not be exported to ${path}, so nothing was removed: ${stderr.toString().trim()}`)
  }
  return path
}

function freeName(stem: string, ending: string): string {
  for (let copy = 1; ; copy++) {
    const path = `${stem}${copy === 1 ? "" : `-${copy}`}${ending}`
    if (!existsSync(path)) return path
  }
}

function purgeMemories(paths: Paths): void {
  for (const file of [paths.database, paths.activity]) for (const part of ["", "-wal", "-shm", "-journal"]) rmSync(`${file}${part}`, { force: true })
  rmSync(paths.runs, { force: true })
  rmSync(paths.backups, { recursive: true, force: true })
}

function removeProgram({ path, sha256, kept_other_program: other }: Report): void {
  if (!existsSync(path)) return print(`gone       ${path} was not there any more`)
  if (path !== process.execPath && hash(path) !== sha256) {
    return print(`left       ${path}: it is not the program that was installed; remove it with rm if you mean to`)
  }
  if (other !== null && existsSync(other)) {
    renameSync(other, path)
    return print(`removed    ${path}, and put back the program that was there before`)
  }
  rmSync(path)
  print(`removed    ${path}`)
}

function hash(path: string): string {
  return new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex")
}

function shellLines(home: string | undefined): string[] {
  if (home === undefined) return []
  return SHELL_FILES.map((name) => `${home}/${name}`)
    .filter((path) => existsSync(path) && readFileSync(path, "utf8").includes("nswrap shell-init"))
    .map((path) => `the line with nswrap shell-init in ${path}: take it out`)
}

function removeIfEmpty(directory: string): void {
  if (existsSync(directory) && readdirSync(directory).length === 0) rmdirSync(directory)
}

function counted(memories: number): string {
  return memories === 1 ? "1 memory" : `${memories} memories`
}
