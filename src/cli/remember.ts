import { readFileSync, readSync, statSync } from "node:fs"
import { defineCommand } from "citty"
import { NswrapError } from "../errors.ts"
import { type Memory, type NewMemory, SCOPES, type Scope, shortId, TEXT_BYTES_MAX } from "../memory/memory.ts"
import type { Redaction } from "../memory/redact.ts"
import { isTerminal } from "../system/libc.ts"
import { type Remembered, remember, supersedeMemory } from "../store/memories.ts"
import { propose } from "../store/proposals.ts"
import { ensureProject, findProject } from "../store/projects.ts"
import type { Database } from "bun:sqlite"
import { several } from "./arguments.ts"
import { asJson, type Home, placeForWriting, projectNames, readDuration, readHome, scopeWord, toolName, writing } from "./home.ts"
import { confirm, cut, isInteractive, oneLine, print, printJson, tell, terminalWidth } from "./output.ts"

export default defineCommand({
  meta: {
    name: "remember",
    description: `Stores a text: the words given, a file, or what is piped in. Inside a project it belongs to that project,
elsewhere it is global. A newer memory of the same --subject takes the older one's place.

  nswrap remember "We deploy with bun build, never webpack" --kind decision
  nswrap remember --subject staging-db "The staging database listens on port 5433"
  git log -1 --format=%B | nswrap remember --tag release,notes
  nswrap remember --scope global --pin "Answer in British English" --kind preference`,
  },
  args: {
    text: { type: "positional", required: false, valueHint: "TEXT…", description: "the text; without it stdin is read" },
    file: { type: "string", valueHint: "FILE", description: "take the text from a file" },
    kind: { type: "string", valueHint: "KIND", description: "fact, preference, decision, rule, note, episode, procedure, or your own word" },
    scope: { type: "string", valueHint: "global|project|session", description: "who sees it; by default the project when there is one" },
    project: { type: "string", valueHint: "NAME", description: "the project it belongs to, instead of this directory's" },
    tool: { type: "string", valueHint: "TOOL", description: "only for this tool" },
    tag: { type: "string", valueHint: "TAG…", description: "a tag, or several with commas" },
    subject: { type: "string", valueHint: "NAME", description: "a short name: the newer of the same subject supersedes the older" },
    alias: { type: "string", valueHint: "NAME…", description: "another name it answers to" },
    confidence: { type: "string", valueHint: "0-1", description: "how sure it is (default 0.8)" },
    pin: { type: "boolean", description: "inject it always" },
    ttl: { type: "string", valueHint: "30d", description: "forget it by itself after this time" },
    actor: { type: "string", valueHint: "WHO", description: "who said it (default user)" },
    session: { type: "string", valueHint: "ID", description: "the session it belongs to" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    const home = readHome()
    const text = readText(args._, args.file)
    const given = describe(args, text, home)
    return writing(home, async (db) => {
      const memory = locate(db, home, { given, scope: args.scope, project: args.project, session: args.session })
      // A tool that the wrapper started speaks for itself, whatever --actor says: it waits for the user's word.
      const tool = home.env["NSWRAP_TOOL"]
      if (tool && home.settings.fromTools !== "accept") {
        const proposal = propose(db, { ...memory, actor: tool, source: "tool", pinned: false }, { now: home.now })
        tellRedactions(proposal.redactions)
        const { redactions: _, ...plain } = proposal
        if (args.json) printJson({ outcome: "proposed", proposal: plain })
        else print(`proposed ${shortId(proposal.id)} ${where(proposal, projectNames(db))} (${proposal.kind}): the user decides in nswrap inbox`)
        return 0
      }
      if (memory.pinned) {
        const { checkPinBudget } = await import("./pin-budget.ts")
        checkPinBudget(db, home, draft(memory))
      }
      const remembered = remember(db, tool ? { ...memory, actor: tool } : memory, { now: home.now })
      report(db, home, remembered, args.json === true)
      return 0
    })
  },
})

/** Says which secrets were replaced; on stderr, so that data stays data. */
export function tellRedactions(redactions: Redaction[]): void {
  if (redactions.length === 0) return
  const list = redactions.map(({ kind, count }) => (count === 1 ? kind : `${count} x ${kind}`)).join(", ")
  tell(`nswrap: left out before storing: ${list}`)
}

/** The words joined, `--file`, or stdin when it is no terminal. @throws invalid, usage */
export function readText(words: string[], file: string | undefined): string {
  if (file !== undefined) {
    if (words.length > 0) throw new NswrapError("usage", "give the text as words or with --file, not both")
    return decode(file === "-" ? readStdin() : readWhole(file), file === "-" ? "stdin" : file).replace(/\r?\n$/, "")
  }
  if (words.length > 0 && !(words.length === 1 && words[0] === "-")) return words.join(" ")
  if (isTerminal(0) && words.length === 0) throw new NswrapError("usage", 'there is no text: nswrap remember "TEXT", or pipe it in')
  return decode(readStdin(), "stdin").replace(/\r?\n$/, "")
}

function readWhole(file: string): Uint8Array {
  try {
    if (statSync(file).size > TEXT_BYTES_MAX * 2) throw new NswrapError("invalid", `${file} has ${statSync(file).size} bytes; a memory holds at most ${TEXT_BYTES_MAX} (64 KiB): split it`)
    return readFileSync(file)
  } catch (error) {
    if (error instanceof NswrapError) throw error
    throw new NswrapError("not-found", `${file} cannot be read (${(error as { code?: string }).code ?? error})`)
  }
}

function readStdin(): Uint8Array {
  const bytes = Buffer.alloc(TEXT_BYTES_MAX * 2)
  let length = 0
  for (;;) {
    try {
      const count = readSync(0, bytes, length, bytes.length - length, null)
      if (count === 0) return bytes.subarray(0, length)
      length += count
      if (length === bytes.length) throw new NswrapError("invalid", `stdin holds more than ${TEXT_BYTES_MAX} bytes (64 KiB), the most one memory takes: split it`)
    } catch (error) {
      const code = (error as { code?: string }).code
      if (code === "EAGAIN") Bun.sleepSync(5)
      else if (code === "EOF" || code === "EBADF") return bytes.subarray(0, length)
      else throw error
    }
  }
}

function decode(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    throw new NswrapError("invalid", `${name} is not valid UTF-8; convert it first, for example with iconv -t utf-8`)
  }
}

interface Given {
  kind?: string
  tool?: string
  tag?: string
  subject?: string
  alias?: string
  confidence?: string
  pin?: boolean
  ttl?: string
  actor?: string
}

function describe(args: Given, text: string, home: Home): NewMemory {
  const memory: NewMemory = { text, source: "cli" }
  if (args.kind !== undefined) memory.kind = args.kind.toLowerCase()
  if (args.tool !== undefined) memory.tool = toolName(home, args.tool)
  if (args.tag !== undefined) memory.tags = several(args.tag)
  if (args.subject !== undefined) memory.subject = args.subject
  if (args.alias !== undefined) memory.aliases = several(args.alias)
  if (args.confidence !== undefined) memory.confidence = readConfidence(args.confidence)
  if (args.pin) memory.pinned = true
  if (args.ttl !== undefined) memory.ttl_ms = readDuration(args.ttl, "--ttl")
  if (args.actor !== undefined) memory.actor = args.actor
  return memory
}

/** @throws usage */
export function readConfidence(text: string): number {
  const number = text.trim() === "" ? Number.NaN : Number(text)
  if (!(number >= 0 && number <= 1)) throw new NswrapError("usage", `--confidence cannot be ${JSON.stringify(text)}: say a number from 0 to 1`)
  return number
}

/** @throws usage */
export function readScope(text: string): Scope {
  const scope = SCOPES.find((each) => each === text.toLowerCase())
  if (scope === undefined) throw new NswrapError("usage", `--scope cannot be ${JSON.stringify(text)}: say ${SCOPES.join(", ")}`)
  return scope
}

function locate(db: Database, home: Home, { given, scope, project, session }: { given: NewMemory; scope: string | undefined; project: string | undefined; session: string | undefined }): NewMemory {
  const wanted = scope === undefined ? (session === undefined ? undefined : "session") : readScope(scope)
  if (wanted === "global") {
    if (project !== undefined) throw new NswrapError("usage", "a global memory belongs to no project: leave out --project or say --scope project")
    return { ...given, scope: "global", session: session ?? null }
  }
  const place = project === undefined ? placeForWriting(db, home, {}) : null
  const isProject = place === null || wanted === "project" || place.project !== null || place.located.place.git !== null
  const owner = !isProject ? null : project !== undefined ? findProject(db, project) : (place?.project ?? ensureProject(db, home.cwd, { now: home.now }))
  if (wanted === "session") {
    const id = session ?? home.settings.session
    if (!id) throw new NswrapError("usage", "a memory of scope session needs --session ID or NS_SESSION")
    return { ...given, scope: "session", session: id, project: owner?.id ?? null }
  }
  return { ...given, scope: owner === null ? "global" : "project", project: owner?.id ?? null, session: session ?? home.settings.session }
}

/** What a memory to be looks like to those who only need its text and place. */
function draft(memory: NewMemory): Pick<Memory, "text" | "kind" | "scope" | "project" | "tool" | "confidence"> {
  return { text: memory.text, kind: memory.kind ?? "fact", scope: memory.scope ?? "global", project: memory.project ?? null, tool: memory.tool ?? null, confidence: memory.confidence ?? 0.8 }
}

function where(memory: Pick<Memory, "scope" | "project"> & { session?: string | null }, names: Map<string, string>): string {
  const word = scopeWord(memory, names)
  return memory.scope === "project" ? `in project ${word}` : memory.scope === "global" ? "globally" : `in ${word}`
}

function report(db: Database, home: Home, { memory, outcome, superseded, near, redactions }: Remembered, json: boolean): void {
  const names = projectNames(db)
  tellRedactions(redactions)
  if (json) {
    printJson({ outcome, memory: asJson(memory, names), superseded: superseded === null ? null : asJson(superseded, names), near: near.map((each) => asJson(each, names)), redactions })
    return
  }
  const verb = outcome === "merged" ? `known already, said ${memory.count} times:` : outcome === "unchanged" ? "unchanged" : "remembered"
  print(`${verb} ${shortId(memory.id)} ${where(memory, names)} (${memory.kind})`)
  if (superseded !== null) print(`superseded ${shortId(superseded.id)}: ${short(superseded.text)}`)
  for (const other of near) offerToSupersede(db, home, { memory, other })
}

/** Numbers make near-duplicates differ in what matters, so only the user can tell. */
function offerToSupersede(db: Database, home: Home, { memory, other }: { memory: Memory; other: Memory }): void {
  tell(`nswrap: nearly the same as ${shortId(other.id)}: ${short(other.text)}`)
  if (!isInteractive()) {
    tell(`nswrap: if the new one supersedes it: nswrap supersede ${shortId(other.id)} ${shortId(memory.id)}`)
    return
  }
  if (!confirm("Does the new one supersede it?")) return
  supersedeMemory(db, other.id, { id: memory.id }, { now: home.now })
  print(`superseded ${shortId(other.id)}`)
}

function short(text: string): string {
  return cut(oneLine(text), Math.max(20, Math.min(100, (terminalWidth() ?? 140) - 40)))
}
