import { defineCommand } from "citty"
import { NswrapError } from "../errors.ts"
import { shortId } from "../memory/memory.ts"
import { acceptProposal, findProposal, listProposals, type Proposal, rejectProposal } from "../store/proposals.ts"
import { findProject } from "../store/projects.ts"
import { inTransaction } from "../store/database.ts"
import { describe } from "./edit.ts"
import { editText } from "./editor.ts"
import { asJson, projectNames, readHome, reading, scopeWord, writing } from "./home.ts"
import { cut, date, oneLine, print, printJson, table, tell } from "./output.ts"
import { tellRedactions } from "./remember.ts"
import type { Database } from "bun:sqlite"

const json = { type: "boolean", description: "print JSON" } as const
const ids = { type: "positional", required: false, valueHint: "ID…" } as const

const list = defineCommand({
  meta: { name: "list", description: "What tools proposed, oldest first." },
  args: { project: { type: "string", valueHint: "NAME", description: "only for this project" }, json },
  async run({ args }) {
    const home = readHome()
    await reading(home, (db) => {
      const owner = args.project === undefined ? null : findProject(db, args.project).id
      const proposals = listProposals(db).filter(({ project }) => owner === null || project === owner)
      const names = projectNames(db)
      if (args.json) return printJson(proposals.map((each) => proposalJson(each, names)))
      if (proposals.length === 0) {
        tell("nswrap: the inbox is empty")
        return undefined
      }
      const columns = [{ title: "id" }, { title: "date" }, { title: "said by" }, { title: "kind" }, { title: "scope" }, { title: "text", flexible: true }]
      print(table(columns, proposals.map((each) => [shortId(each.id), date(each.created_at), each.actor, each.kind, scopeWord(each, names), each.text])))
      tell("nswrap: nswrap inbox accept ID… | edit ID | reject ID…; nothing of this is injected before you accept it")
      return undefined
    })
  },
})

const accept = defineCommand({
  meta: { name: "accept", description: "Makes proposals memories.\n\n  nswrap inbox accept 3f2a9c1e 77b0d2aa\n  nswrap inbox accept --all" },
  args: { ids, all: { type: "boolean", description: "all of them" }, json },
  async run({ args }) {
    const home = readHome()
    await writing(home, (db) => {
      const remembered = inTransaction(db, () => chosen(db, args._, args.all).map(({ id }) => acceptProposal(db, id, {}, { now: home.now })))
      const names = projectNames(db)
      if (args.json) return printJson(remembered.map(({ memory, outcome }) => ({ outcome, memory: asJson(memory, names) })))
      for (const { memory, superseded, near } of remembered) {
        print(`accepted ${shortId(memory.id)}: ${cut(oneLine(memory.text), 60)}`)
        if (superseded !== null) print(`superseded ${shortId(superseded.id)}: ${cut(oneLine(superseded.text), 60)}`)
        for (const other of near) tell(`nswrap: nearly the same as ${shortId(other.id)}; if the new one supersedes it: nswrap supersede ${shortId(other.id)} ${shortId(memory.id)}`)
      }
      return undefined
    })
  },
})

const edit = defineCommand({
  meta: { name: "edit", description: "Accepts a proposal with another text (in your editor, or --text) or other fields.\n\n  nswrap inbox edit 3f2a9c1e --kind decision" },
  args: {
    id: { type: "positional", required: true, valueHint: "ID" },
    text: { type: "string", valueHint: "TEXT", description: "the new text" },
    kind: { type: "string", valueHint: "KIND", description: "the new kind" },
    scope: { type: "string", valueHint: "global|project", description: "the new scope" },
    project: { type: "string", valueHint: "NAME", description: "move it to this project" },
    tag: { type: "string", valueHint: "TAG…", description: "the new tags" },
    json,
  },
  async run({ args }) {
    const home = readHome()
    const proposal = await reading(home, (db) => findProposal(db, args.id))
    const patch = await describe(args, home)
    if (Object.keys(patch).length === 0) {
      const text = editText(home, { text: proposal.text, name: shortId(proposal.id) })
      if (text === null) {
        print(`unchanged ${shortId(proposal.id)}: it still waits; nswrap inbox accept ${shortId(proposal.id)} takes it as it is`)
        return
      }
      patch.text = text
    }
    await writing(home, (db) => {
      const { memory, outcome, redactions } = acceptProposal(db, proposal.id, patch, { now: home.now })
      tellRedactions(redactions)
      if (args.json) printJson({ outcome, memory: asJson(memory, projectNames(db)) })
      else print(`accepted ${shortId(memory.id)}: ${cut(oneLine(memory.text), 60)}`)
    })
  },
})

const reject = defineCommand({
  meta: { name: "reject", description: "Throws proposals away.\n\n  nswrap inbox reject 3f2a9c1e\n  nswrap inbox reject --all" },
  args: { ids, all: { type: "boolean", description: "all of them" }, json },
  async run({ args }) {
    const home = readHome()
    await writing(home, (db) => {
      const rejected = inTransaction(db, () => {
        const proposals = chosen(db, args._, args.all)
        for (const { id } of proposals) rejectProposal(db, id)
        return proposals
      })
      const names = projectNames(db)
      if (args.json) printJson(rejected.map((each) => proposalJson(each, names)))
      else for (const { id, text } of rejected) print(`rejected ${shortId(id)}: ${cut(oneLine(text), 60)}`)
    })
  },
})

export default defineCommand({
  meta: { name: "inbox", description: "What wrapped tools and their output said: proposals, which become memories only when you accept them." },
  default: "list",
  subCommands: { list, accept, edit, reject },
})

/** All are found before one is touched; each once, however often it is named. */
function chosen(db: Database, words: string[], all: boolean | undefined): Proposal[] {
  if (all) {
    if (words.length > 0) throw new NswrapError("usage", "give ids or --all, not both")
    return listProposals(db)
  }
  if (words.length === 0) throw new NswrapError("usage", "name the ids that nswrap inbox shows, or --all")
  return [...new Map(words.map((word) => findProposal(db, word)).map((each) => [each.id, each])).values()]
}

function proposalJson(proposal: Proposal, names: Map<string, string>): Record<string, unknown> {
  return { ...proposal, short_id: shortId(proposal.id), project_name: proposal.project === null ? null : (names.get(proposal.project) ?? null) }
}
