import { defineCommand } from "citty"
import { NswrapError } from "../errors.ts"
import { type Memory, type NewMemory, shortId } from "../memory/memory.ts"
import { redact } from "../memory/redact.ts"
import { editMemory, findMemory } from "../store/memories.ts"
import { findProject } from "../store/projects.ts"
import { several } from "./arguments.ts"
import { editText } from "./editor.ts"
import { asJson, type Home, projectNames, readDuration, readHome, reading, toolName, writing } from "./home.ts"
import { print, printJson, tell } from "./output.ts"
import { readConfidence, readScope, tellRedactions } from "./remember.ts"

export default defineCommand({
  meta: {
    name: "edit",
    description: `Opens the text of a memory in $VISUAL or $EDITOR; options change its other fields without an editor. The older version
stays in its history.

  nswrap edit 3f2a9c1e
  nswrap edit 3f2a9c1e --text "The staging database listens on port 5434"
  nswrap edit 3f2a9c1e --kind rule --tag database,staging`,
  },
  args: {
    id: { type: "positional", required: true, valueHint: "ID" },
    text: { type: "string", valueHint: "TEXT", description: "the new text" },
    kind: { type: "string", valueHint: "KIND", description: "the new kind" },
    scope: { type: "string", valueHint: "global|project|session", description: "the new scope" },
    project: { type: "string", valueHint: "NAME", description: "move it to this project" },
    tool: { type: "string", valueHint: "TOOL", description: "only for this tool; '' for every tool" },
    tag: { type: "string", valueHint: "TAG…", description: "the new tags, all of them; '' for none" },
    subject: { type: "string", valueHint: "NAME", description: "the new subject; '' for none" },
    alias: { type: "string", valueHint: "NAME…", description: "the new aliases, all of them; '' for none" },
    confidence: { type: "string", valueHint: "0-1", description: "the new confidence" },
    ttl: { type: "string", valueHint: "30d", description: "expires so long from now; '' for never" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    const home = readHome()
    const memory = await reading(home, (db) => findMemory(db, args.id))
    const patch = await describe(args, home)
    if (Object.keys(patch).length === 0) {
      // The database is not held open while the user thinks.
      const text = editText(home, { text: memory.text, name: shortId(memory.id) })
      if (text === null) {
        print(`unchanged ${shortId(memory.id)}`)
        return 0
      }
      patch.text = text
    }
    await writing(home, (db) => {
      const current = findMemory(db, memory.id)
      if (patch.text !== undefined && current.text !== memory.text) throw new NswrapError("conflict", `${shortId(memory.id)} was changed by another process meanwhile; nothing was changed`)
      if (isSame(current, patch)) return report(current, "unchanged", args.json === true ? projectNames(db) : null)
      if (patch.text !== undefined) tellRedactions(redact(patch.text).redactions)
      const edited = editMemory(db, memory.id, patch, { now: home.now })
      if (edited.tombstone) tell(`nswrap: it is forgotten still; nswrap forget --undo ${shortId(edited.id)} brings it back`)
      return report(edited, "edited", args.json === true ? projectNames(db) : null)
    })
    return 0
  },
})

interface Given {
  text?: string
  kind?: string
  scope?: string
  project?: string
  tool?: string
  tag?: string
  subject?: string
  alias?: string
  confidence?: string
  ttl?: string
}

/** The options of `edit`, and of `inbox edit`, as changes to a memory. */
export async function describe(args: Given, home: Home): Promise<Partial<NewMemory>> {
  const patch: Partial<NewMemory> = {}
  if (args.text !== undefined) patch.text = args.text
  if (args.kind !== undefined) patch.kind = args.kind.toLowerCase()
  if (args.tool !== undefined) patch.tool = args.tool ? toolName(home, args.tool) : null
  if (args.tag !== undefined) patch.tags = several(args.tag)
  if (args.subject !== undefined) patch.subject = args.subject.trim().toLowerCase() || null
  if (args.alias !== undefined) patch.aliases = several(args.alias)
  if (args.confidence !== undefined) patch.confidence = readConfidence(args.confidence)
  if (args.ttl !== undefined) patch.ttl_ms = args.ttl === "" ? null : readDuration(args.ttl, "--ttl")
  if (args.project !== undefined) {
    patch.project = (await reading(home, (db) => findProject(db, args.project!))).id
    patch.scope = "project"
  }
  if (args.scope !== undefined) {
    patch.scope = readScope(args.scope)
    if (patch.scope === "global") patch.project = null
    if (patch.scope === "project" && !patch.project) throw new NswrapError("usage", "--scope project needs --project NAME")
    if (patch.scope === "session") throw new NswrapError("usage", "a memory cannot be moved into a session; remember it there")
  }
  return patch
}

function isSame(memory: Memory, patch: Partial<NewMemory>): boolean {
  return patch.ttl_ms === undefined && Object.entries(patch).every(([key, value]) => JSON.stringify(memory[key as keyof Memory]) === JSON.stringify(value))
}

function report(memory: Memory, verb: string, names: Map<string, string> | null): void {
  if (names === null) print(`${verb} ${shortId(memory.id)}`)
  else printJson({ outcome: verb, memory: asJson(memory, names) })
}
