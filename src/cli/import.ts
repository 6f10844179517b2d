import type { Database } from "bun:sqlite"
import { createReadStream, statSync } from "node:fs"
import { defineCommand } from "citty"
import { NswrapError } from "../errors.ts"
import { type Imported, importMemories, type ImportedMemory, type ImportedPersona } from "../store/import.ts"
import { findProject, listProjects } from "../store/projects.ts"
import { isTerminal, writeErr } from "../system/libc.ts"
import { type Home, readHome, reading, writing } from "./home.ts"
import { print, printJson, tell } from "./output.ts"
import { quote } from "./project.ts"
import { tellRedactions } from "./remember.ts"

const LINE_BYTES_MAX = 4 * 1024 * 1024
const REASONS_SHOWN_MAX = 20
const PROGRESS_AFTER_MS = 1000

export default defineCommand({
  meta: {
    name: "import",
    description: `Takes memories from a file of JSON Lines (what nswrap export writes; only "text" is required) or from NeuralSync v2.
Importing the same again changes nothing. When a line is bad, nothing is stored, unless --skip-bad.

  nswrap import memories.jsonl
  jq -c '.notes[] | {text: .body, tags: ["old"]}' notes.json | nswrap import - --project shop
  nswrap import --from neuralsync                  from ~/.neuralsync, which is only read`,
  },
  args: {
    file: { type: "positional", required: false, valueHint: "FILE", description: "- or nothing: stdin; with --from neuralsync its directory" },
    from: { type: "string", valueHint: "neuralsync", description: "another program's memories" },
    project: { type: "string", valueHint: "NAME", description: "for lines that name neither a project nor a scope" },
    "skip-bad": { type: "boolean", description: "keep the good lines when some are bad" },
    json: { type: "boolean", description: "print the summary as JSON" },
  },
  async run({ args }) {
    const home = readHome()
    if (args.from !== undefined && args.from !== "neuralsync") throw new NswrapError("usage", `--from cannot be ${JSON.stringify(args.from)}; it knows neuralsync`)
    const options = { json: args.json === true, keepGood: args["skip-bad"] === true }
    if (args.from === "neuralsync") return importNeuralSync(home, args.file ?? null, options)
    return importLines(home, { file: args.file, project: args.project ?? null }, options)
  },
})

interface Options {
  json: boolean
  keepGood: boolean
}

async function importLines(home: Home, { file, project }: { file: string | undefined; project: string | null }, { json, keepGood }: Options): Promise<number> {
  const { readLine } = await import("./jsonl.ts")
  const defaultProject = project === null ? null : await reading(home, (db) => findProject(db, project).name)
  const memories: ImportedMemory[] = []
  const personas: ImportedPersona[] = []
  const bad: { at: string; reason: string }[] = []
  const ignored = new Map<string, number>()
  const progress = makeProgress("read")
  let number = 0
  for await (const text of linesOf(file)) {
    const at = `line ${++number}`
    progress.show(number)
    if (text === null) bad.push({ at, reason: `is longer than ${LINE_BYTES_MAX / 1024 / 1024} MiB or not UTF-8` })
    else if (text.trim() !== "") {
      const line = readLine(text, { at, project: defaultProject })
      if (line.kind === "bad") bad.push({ at, reason: line.reason })
      else {
        for (const field of line.ignored) ignored.set(field, (ignored.get(field) ?? 0) + 1)
        if (line.kind === "memory") memories.push(line.memory)
        else personas.push(line.persona)
      }
    }
  }
  progress.end()
  if (ignored.size > 0) tell(`nswrap: ignored fields that a memory does not have: ${[...ignored].map(([field, count]) => `${JSON.stringify(field)} (${count})`).join(", ")}`)
  if (bad.length > 0 && !keepGood) return reportNothing(bad, json)
  return writing(home, (db) => {
    const imported = store(db, { memories, personas }, { home, keepGood })
    imported.refused.unshift(...bad)
    if (imported.refused.length > 0 && !keepGood) return reportNothing(imported.refused, json)
    if (json) printJson(imported)
    else report(db, imported)
    return 0
  })
}

async function importNeuralSync(home: Home, directory: string | null, { json }: Options): Promise<number> {
  const { readNeuralSync } = await import("../agents/neuralsync.ts")
  const { database, memories, personas, skipped } = readNeuralSync(directory, { home: home.env["HOME"] ?? "/", now: home.now })
  return writing(home, (db) => {
    const imported = store(db, { memories, personas }, { home, keepGood: true })
    if (json) {
      printJson({ ...imported, database, read: memories.length, skipped })
      return 0
    }
    print(`${database}: ${plural(memories.length, "live memory", "live memories")}${skippedText(skipped)}`)
    report(db, imported)
    return 0
  })
}

function store(db: Database, given: { memories: ImportedMemory[]; personas: ImportedPersona[] }, { home, keepGood }: { home: Home; keepGood: boolean }): Imported {
  const progress = makeProgress("stored", given.memories.length)
  try {
    return importMemories(db, given, { now: home.now, keepGood, onProgress: progress.show })
  } finally {
    progress.end()
  }
}

function report(db: Database, imported: Imported): void {
  tellRefused(imported.refused)
  tellRedactions(imported.redactions)
  const parts = [
    `${imported.created} new`,
    `${imported.unchanged} already here`,
    ...(imported.merged > 0 ? [`${imported.merged} merged with an equal text`] : []),
    ...(imported.older > 0 ? [`${imported.older} older than one of the same subject here`] : []),
    ...(imported.refused.length > 0 ? [`${imported.refused.length} refused`] : []),
  ]
  print(`imported: ${parts.join(", ")}`)
  for (const { project, outcome } of imported.personas) {
    const whose = project === null ? "persona" : `persona of project ${project}`
    if (outcome === "set") print(`${whose}: set`)
    else if (outcome === "kept") print(`${whose}: yours stays; the imported one is in nswrap persona history${project === null ? "" : ` --project ${quote(project)}`}`)
    else print(`${whose}: already here`)
  }
  const placeless = listProjects(db).filter(({ keys, memories }) => memories > 0 && keys.every(({ unlinked }) => unlinked))
  if (placeless.length === 0) return
  print("these projects have no directory yet; say where they are, and their memories appear there:")
  const commands = placeless.map(({ name, memories }) => ({ command: `nswrap project bind ${quote(name)} DIR`, memories }))
  const width = Math.max(...commands.map(({ command }) => Bun.stringWidth(command)))
  for (const { command, memories } of commands) print(`  ${command}${" ".repeat(width - Bun.stringWidth(command))}  # ${plural(memories, "memory", "memories")}`)
}

function reportNothing(refused: Imported["refused"], json: boolean): number {
  tellRefused(refused)
  if (json) printJson({ created: 0, refused })
  tell(`nswrap: nothing was imported; ${refused.length === 1 ? "1 line is" : `${refused.length} lines are`} bad: mend ${refused.length === 1 ? "it" : "them"}, or keep the others with --skip-bad`)
  return 1
}

function tellRefused(refused: Imported["refused"]): void {
  for (const { at, reason } of refused.slice(0, REASONS_SHOWN_MAX)) tell(`nswrap: ${at}: ${reason}`)
  if (refused.length > REASONS_SHOWN_MAX) tell(`nswrap: and ${refused.length - REASONS_SHOWN_MAX} more`)
}

function skippedText({ forgotten, expired, empty }: { forgotten: number; expired: number; empty: number }): string {
  const parts = [[forgotten, "forgotten"], [expired, "expired"], [empty, "empty"]].filter(([count]) => count !== 0).map(([count, what]) => `${count} ${what}`)
  return parts.length === 0 ? "" : ` (left out: ${parts.join(", ")})`
}

function plural(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`
}

/** Lines without their end; null for one that is too long or not UTF-8. A byte order mark is dropped. */
async function* linesOf(file: string | undefined): AsyncGenerator<string | null> {
  const decoder = new TextDecoder("utf-8", { fatal: true })
  const decode = (bytes: Uint8Array) => {
    if (bytes.length > LINE_BYTES_MAX) return null
    try {
      return decoder.decode(bytes)
    } catch {
      return null
    }
  }
  let rest: Uint8Array[] = []
  let length = 0
  const take = (bytes: Uint8Array) => {
    length += bytes.length
    // A line that is too long is not kept, only known to be so.
    if (length <= LINE_BYTES_MAX) rest.push(bytes)
    else rest = [new Uint8Array(LINE_BYTES_MAX + 1)]
  }
  const finish = () => {
    const line = decode(rest.length === 1 ? rest[0]! : Buffer.concat(rest))
    rest = []
    length = 0
    return line
  }
  for await (const chunk of chunksOf(file)) {
    let begin = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, begin)) {
      take(chunk.subarray(begin, end))
      yield finish()
      begin = end + 1
    }
    if (begin < chunk.length) take(chunk.slice(begin))
  }
  if (length > 0) yield finish()
}

function chunksOf(file: string | undefined): AsyncIterable<Uint8Array> {
  if (file === undefined || file === "-") {
    if (isTerminal(0)) throw new NswrapError("usage", "nswrap import needs FILE, or lines on stdin")
    return Bun.stdin.stream() as unknown as AsyncIterable<Uint8Array>
  }
  const status = statSync(file, { throwIfNoEntry: false })
  if (status === undefined) throw new NswrapError("not-found", `there is no file ${file}`)
  if (status.isDirectory()) throw new NswrapError("usage", `${file} is a directory; for NeuralSync say nswrap import --from neuralsync ${quote(file)}`)
  return createReadStream(file, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Uint8Array>
}

/** One line on a terminal that is written over, once the work has taken a second. */
function makeProgress(verb: string, total?: number): { show: (done: number) => void; end: () => void } {
  const isShown = isTerminal(2)
  const began = Date.now()
  let last = began
  let any = false
  return {
    show(done) {
      if (!isShown || done % 100 !== 0) return
      const now = Date.now()
      if (now - began < PROGRESS_AFTER_MS || now - last < 100) return
      last = now
      any = true
      writeErr(`\r${verb} ${done}${total === undefined ? "" : ` of ${total}`}\u001b[K`)
    },
    end() {
      if (any) writeErr("\r\u001b[K")
    },
  }
}
