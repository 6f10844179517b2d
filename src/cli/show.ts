import { defineCommand } from "citty"
import { type Memory, shortId } from "../memory/memory.ts"
import { findMemory, historyOf, nearOf } from "../store/memories.ts"
import { asJson, projectNames, readHome, reading, scopeWord } from "./home.ts"
import { cut, dateTime, dim, oneLine, print, printJson, terminalWidth, visible } from "./output.ts"

export default defineCommand({
  meta: { name: "show", description: "One memory: its text, where it comes from, its history, what is nearly the same.\n\n  nswrap show 3f2a9c1e" },
  args: {
    id: { type: "positional", required: true, valueHint: "ID" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    const home = readHome()
    await reading(home, (db) => {
      const memory = findMemory(db, args.id)
      const history = historyOf(db, memory.id)
      const near = nearOf(db, memory.id)
      const names = projectNames(db)
      if (args.json) return printJson({ ...asJson(memory, names), history, near: near.map((each) => asJson(each, names)) })
      print(visible(memory.text))
      print("")
      const replaced = memory.superseded_by === null ? null : describe(find(db, memory.superseded_by), memory.superseded_by)
      const replaces = (db.query("select id from memory where superseded_by = ?").all(memory.id) as { id: string }[]).map(({ id }) => describe(find(db, id), id))
      for (const [name, value] of fields(memory, { scope: scopeWord(memory, names), replaced, replaces, now: home.now })) print(`${dim(name.padEnd(12))} ${value}`)
      if (near.length > 0) print(`\nNearly the same, if one supersedes the other: nswrap supersede OLD NEW`)
      for (const other of near) print(`  ${describe(other, other.id)}`)
      if (history.length > 0) print("\nHistory")
      for (const { at, op, before } of history) print(`  ${dateTime(at)}  ${op.padEnd(9)}  ${op === "edit" ? short(`was: ${before.text}`, 34) : ""}`.trimEnd())
      return undefined
    })
  },
})

type Row = [string, string]

function fields(memory: Memory, { scope, replaced, replaces, now }: { scope: string; replaced: string | null; replaces: string[]; now: number }): Row[] {
  const rows: Row[] = [
    ["id", memory.id],
    ["kind", memory.kind],
    ["scope", memory.scope === "project" ? `project ${scope}` : scope],
    ["said by", memory.actor],
    ["confidence", String(memory.confidence)],
    ["created", dateTime(memory.created_at)],
  ]
  const add = (name: string, value: string | null | false) => value && rows.push([name, visible(value)])
  add("updated", memory.updated_at !== memory.created_at && dateTime(memory.updated_at))
  add("expires", memory.expires_at !== null && `${dateTime(memory.expires_at)}${memory.expires_at <= now ? " (expired)" : ""}`)
  add("tool", memory.tool)
  add("session", memory.session)
  add("subject", memory.subject)
  add("aliases", memory.aliases.join(", "))
  add("tags", memory.tags.join(", "))
  add("benefit", memory.benefit === null ? null : String(memory.benefit))
  add("consistency", memory.consistency === null ? null : String(memory.consistency))
  add("said", memory.count > 1 && `${memory.count} times`)
  add("pinned", memory.pinned && "yes")
  add("state", memory.tombstone && `forgotten; nswrap forget --undo ${shortId(memory.id)} brings it back`)
  add("superseded by", replaced)
  for (const each of replaces) add("supersedes", each)
  add("source", memory.source)
  add("meta", Object.keys(memory.meta).length > 0 && JSON.stringify(memory.meta))
  return rows
}

function find(db: Parameters<typeof findMemory>[0], id: string): Memory | null {
  try {
    return findMemory(db, id)
  } catch {
    return null
  }
}

function describe(memory: Memory | null, id: string): string {
  return memory === null ? `${shortId(id)} (purged)` : `${shortId(id)} ${short(memory.text, 24)}`
}

function short(text: string, taken: number): string {
  return cut(oneLine(text), Math.max(20, (terminalWidth() ?? 100) - taken))
}
