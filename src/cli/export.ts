import { closeSync, fsyncSync, openSync, writeSync } from "node:fs"
import { defineCommand } from "citty"
import { NswrapError } from "../errors.ts"
import { listMemories } from "../store/memories.ts"
import { personaHistory } from "../store/persona.ts"
import { findProject, listProjects } from "../store/projects.ts"
import { readHome, reading } from "./home.ts"
import { writeLine, writePersonaLine } from "./jsonl.ts"
import { print, tell } from "./output.ts"

const LINES_AT_ONCE = 500

export default defineCommand({
  meta: {
    name: "export",
    description: `All live memories as JSON Lines, oldest first: what nswrap import takes, here or on another machine. --all adds what
is forgotten, superseded or expired, and every version of the personas.

  nswrap export > memories.jsonl
  nswrap export --all --output backup.jsonl        a file that only you can read
  nswrap export --project shop | ssh desk nswrap import -`,
  },
  args: {
    project: { type: "string", valueHint: "NAME", description: "only those of this project" },
    all: { type: "boolean", description: "dead ones and personas too" },
    output: { type: "string", alias: ["o"], valueHint: "FILE", description: "write this new file (0600) instead of stdout" },
    json: { type: "boolean", description: "JSON Lines, which is what it always prints" },
  },
  async run({ args }) {
    const home = readHome()
    await reading(home, (db) => {
      const chosen = args.project === undefined ? null : findProject(db, args.project)
      const projects = listProjects(db).filter(({ id }) => chosen === null || id === chosen.id)
      const names = new Map(projects.map(({ id, name }) => [id, name]))
      const lines: string[] = []
      if (args.all) {
        if (chosen === null) for (const version of personaHistory(db, null)) lines.push(writePersonaLine(version, null))
        for (const { id, name } of projects) for (const version of personaHistory(db, id)) lines.push(writePersonaLine(version, name))
      }
      const memories = listMemories(db, { order: "oldest", dead: args.all ? "include" : "hide", now: home.now, ...(chosen === null ? {} : { project: chosen.id }) })
      for (const memory of memories) lines.push(writeLine(memory, { project: names.get(memory.project ?? "") ?? null, withState: args.all === true }))
      if (args.output === undefined) {
        for (let at = 0; at < lines.length; at += LINES_AT_ONCE) print(lines.slice(at, at + LINES_AT_ONCE).join("\n"))
        return
      }
      writeNew(args.output, lines)
      tell(`nswrap: exported ${lines.length === 1 ? "1 line" : `${lines.length} lines`} to ${args.output}`)
    })
  },
})

function writeNew(path: string, lines: string[]): void {
  try {
    const file = openSync(path, "wx", 0o600)
    for (let at = 0; at < lines.length; at += LINES_AT_ONCE) {
      let rest: Uint8Array = Buffer.from(`${lines.slice(at, at + LINES_AT_ONCE).join("\n")}\n`)
      while (rest.length > 0) rest = rest.subarray(writeSync(file, rest))
    }
    fsyncSync(file)
    closeSync(file)
  } catch (error) {
    const code = (error as { code?: string }).code
    throw new NswrapError("unavailable", code === "EEXIST" ? `${path} exists already; it was not overwritten` : `${path} cannot be written (${(error as Error).message})`)
  }
}
