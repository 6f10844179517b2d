import type { Database } from "bun:sqlite"
import { defineCommand } from "citty"
import { NswrapError } from "../errors.ts"
import { getPersona, personaHistory } from "../store/persona.ts"
import { setPersona } from "../store/set-persona.ts"
import { ensureProject } from "../store/projects.ts"
import { isTerminal } from "../system/libc.ts"
import { editText } from "./editor.ts"
import { type Home, placeForWriting, placeOf, readCount, readHome, reading, refuseTools, writing } from "./home.ts"
import { cut, dateTime, oneLine, print, printJson, tell, terminalWidth, visible } from "./output.ts"
import { readText, tellRedactions } from "./remember.ts"

const project = { type: "string", valueHint: "NAME", description: "the persona of this project, beside the global one; . for this directory's" } as const
const json = { type: "boolean", description: "print JSON" } as const

const get = defineCommand({
  meta: { name: "get", description: "Prints the persona.\n\n  nswrap persona get --project shop" },
  args: { project, json },
  async run({ args }) {
    const home = readHome()
    await reading(home, (db) => {
      const owner = ownerOf(db, home, args.project)
      const text = getPersona(db, owner.id)
      if (args.json) printJson({ text, project: owner.name })
      else if (text === "") tell(`nswrap: no ${label(owner)} is set; nswrap persona set "TEXT"`)
      else print(isTerminal(1) ? visible(text) : text)
    })
  },
})

const set = defineCommand({
  meta: {
    name: "set",
    description: `Sets the persona: the words given, --file, or what is piped in. '' removes it. Every version is kept.

  nswrap persona set "Senior engineer, terse answers, TypeScript"
  nswrap persona set --project shop --file persona.md`,
  },
  args: { text: { type: "positional", required: false, valueHint: "TEXT…" }, file: { type: "string", valueHint: "FILE", description: "take the text from a file" }, project, json },
  async run({ args }) {
    const home = readHome()
    const text = readText(args._, args.file)
    await writing(home, (db) => save(db, home, { text, project: args.project, json: args.json === true }))
  },
})

const edit = defineCommand({
  meta: { name: "edit", description: "Opens the persona in $VISUAL or $EDITOR." },
  args: { project, json },
  async run({ args }) {
    const home = readHome()
    const before = await reading(home, (db) => textOf(db, home, args.project))
    const text = editText(home, { text: before, name: "persona" })
    await writing(home, (db) => {
      if (textOf(db, home, args.project) !== before) throw new NswrapError("conflict", "the persona was changed by another process meanwhile; nothing was changed")
      save(db, home, { text: text ?? before, project: args.project, json: args.json === true })
    })
  },
})

const history = defineCommand({
  meta: { name: "history", description: "Every version, newest first; --restore makes an old one the newest.\n\n  nswrap persona history\n  nswrap persona history --restore 2" },
  args: { project, restore: { type: "string", valueHint: "N", description: "set version N again" }, json },
  async run({ args }) {
    const home = readHome()
    if (args.restore !== undefined) {
      refuseTools(home, "persona history --restore")
      const wanted = readCount(args.restore, "--restore", 1)
      await writing(home, (db) => {
        const version = personaHistory(db, ownerOf(db, home, args.project).id)[wanted - 1]
        if (version === undefined) throw new NswrapError("not-found", `there is no version ${wanted}; nswrap persona history lists them`)
        save(db, home, { text: version.text, project: args.project, json: args.json === true })
      })
      return
    }
    await reading(home, (db) => {
      const owner = ownerOf(db, home, args.project)
      const versions = personaHistory(db, owner.id).map((version, at) => ({ version: at + 1, ...version })).toReversed()
      if (args.json) return printJson(versions)
      if (versions.length === 0) tell(`nswrap: no ${label(owner)} was ever set`)
      const width = terminalWidth()
      for (const { version, created_at, actor, text } of versions) {
        const line = `${String(version).padStart(3)}  ${dateTime(created_at)}  ${actor}  ${text === "" ? "(removed)" : oneLine(text)}`
        print(width === null ? line : cut(line, width))
      }
      return undefined
    })
  },
})

export default defineCommand({
  meta: { name: "persona", description: "Who you are and how you want to be answered: injected in every run." },
  default: "get",
  subCommands: { get, set, edit, history },
})

/** "" also for a directory that is no project yet. */
function textOf(db: Database, home: Home, given: string | undefined): string {
  if (given === "." && placeOf(db, home, {}).project === null) return ""
  return getPersona(db, ownerOf(db, home, given).id)
}

interface Owner {
  id: string | null
  name: string | null
}

/** Where a persona is set, this directory becomes a project if it is none yet, as it does for `remember`. */
function ownerForWriting(db: Database, home: Home, given: string | undefined): Owner {
  if (given !== ".") return ownerOf(db, home, given)
  const { id, name } = placeForWriting(db, home, {}).project ?? ensureProject(db, home.cwd, { now: home.now })
  return { id, name }
}

function ownerOf(db: Database, home: Home, given: string | undefined): Owner {
  if (given === undefined) return { id: null, name: null }
  const { project } = placeOf(db, home, given === "." ? {} : { project: given })
  if (project === null) throw new NswrapError("not-found", "this directory belongs to no project; nswrap project bind NAME makes it one")
  return { id: project.id, name: project.name }
}

function save(db: Database, home: Home, { text, project, json }: { text: string; project: string | undefined; json: boolean }): void {
  const owner = ownerForWriting(db, home, project)
  const result = setPersona(db, { text, project: owner.id, actor: home.env["NSWRAP_TOOL"] || "user" }, { now: home.now })
  tellRedactions(result.redactions)
  const outcome = !result.changed ? "unchanged" : result.text === "" ? "removed" : "set"
  if (json) printJson({ outcome, text: result.text, project: owner.name })
  else print(`${label(owner)} ${outcome}`)
}

function label({ name }: Owner): string {
  return name === null ? "persona" : `persona of project ${name}`
}
