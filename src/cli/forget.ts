import type { Database } from "bun:sqlite"
import { defineCommand } from "citty"
import { NswrapError } from "../errors.ts"
import { type Memory, shortId } from "../memory/memory.ts"
import { recall } from "../recall/recall.ts"
import { findMemory, forgetMemory, lastForgotten, restoreMemory } from "../store/memories.ts"
import { purgeMemory } from "../store/purge.ts"
import { asJson, type Home, placeForWriting, projectNames, readHome, refuseTools, writing } from "./home.ts"
import { memoryTable } from "./list.ts"
import { ask, confirm, cut, isInteractive, oneLine, print, printJson, tell } from "./output.ts"

const MATCHES_MAX = 10

export default defineCommand({
  meta: {
    name: "forget",
    description: `Takes a memory out of sight: by id at once, by words after asking. --undo brings it back. --purge removes its text
for ever, from the database, its history, log, backups and caches.

  nswrap forget 3f2a9c1e
  nswrap forget staging database
  nswrap forget --undo
  nswrap forget --purge 3f2a9c1e`,
  },
  args: {
    id: { type: "positional", required: false, valueHint: "ID|QUERY…" },
    undo: { type: "boolean", description: "bring back the one forgotten last, or the one named" },
    purge: { type: "boolean", description: "remove the text for ever" },
    yes: { type: "boolean", alias: ["y"], description: "do not ask" },
    project: { type: "string", valueHint: "NAME", description: "look for words in this project" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    const home = readHome()
    const json = args.json === true
    if (args.purge) refuseTools(home, "forget --purge")
    return writing(home, (db) => {
      if (args.undo) return undo(db, home, { id: args._[0], json })
      if (args._.length === 0) throw new NswrapError("usage", "forget needs an ID or words to look for; see nswrap help forget")
      const named = byId(db, args._)
      const memories = named ?? choose(db, home, { query: args._.join(" "), project: args.project, yes: args.yes === true })
      if (memories === null) return 1
      if (args.purge) return purge(db, home, { memories, yes: args.yes === true, json })
      const forgotten = memories.map((memory) => (memory.tombstone ? memory : forgetMemory(db, memory.id, { now: home.now })))
      if (json) printJson(forgotten.map((memory) => asJson(memory, projectNames(db))))
      else for (const [at, memory] of forgotten.entries()) print(`${memories[at]?.tombstone ? "already forgotten" : "forgot"} ${shortId(memory.id)}: ${cut(oneLine(memory.text), 60)}`)
      return 0
    })
  },
})

/** Null when the words are no ids: "dead beef" is more likely a query than two ids, so all of them must be found. */
function byId(db: Database, words: string[]): Memory[] | null {
  if (!words.every((word) => /^[0-9a-f-]{4,36}$/i.test(word))) return null
  try {
    return words.map((word) => findMemory(db, word))
  } catch (error) {
    // A word such as "cafe" is worth looking for, a full id is not.
    const isWord = words.every((word) => /^[a-f]+$/i.test(word))
    if (error instanceof NswrapError && error.code === "not-found" && isWord) return null
    throw error
  }
}

function choose(db: Database, home: Home, { query, project, yes }: { query: string; project: string | undefined; yes: boolean }): Memory[] | null {
  const place = placeForWriting(db, home, { project })
  const matches = recall(db, { text: query, scopes: place.scopes ?? null, toolNames: null, limit: MATCHES_MAX, gate: 0, now: home.now }).map(({ memory }) => memory)
  if (matches.length === 0) throw new NswrapError("not-found", `nothing here matches ${JSON.stringify(query)}; nswrap list --all-projects shows everything`)
  const names = projectNames(db)
  if (yes) return matches
  if (!isInteractive()) {
    print(memoryTable(matches, names))
    tell("nswrap: nothing was forgotten: name the ids, or add --yes to forget all of these")
    return null
  }
  tell(memoryTable(matches, names))
  const answer = ask("Forget which? ids, all, or nothing to stop: ").trim()
  if (answer === "all") return matches
  const chosen = answer.split(/[\s,]+/).filter((word) => word !== "").map((word) => findMemory(db, word))
  if (chosen.length > 0) return chosen
  tell("nswrap: nothing was forgotten")
  return null
}

function undo(db: Database, home: Home, { id, json }: { id: string | undefined; json: boolean }): number {
  const memory = id === undefined ? lastForgotten(db) : findMemory(db, id)
  if (memory === null) throw new NswrapError("not-found", "there is nothing forgotten to bring back")
  if (!memory.tombstone && memory.superseded_by === null) throw new NswrapError("conflict", `${shortId(memory.id)} is not forgotten`)
  const restored = restoreMemory(db, memory.id, { now: home.now })
  if (json) printJson(asJson(restored, projectNames(db)))
  else print(`restored ${shortId(restored.id)}: ${cut(oneLine(restored.text), 60)}`)
  return 0
}

function purge(db: Database, home: Home, { memories, yes, json }: { memories: Memory[]; yes: boolean; json: boolean }): number {
  if (!yes) {
    if (!isInteractive()) throw new NswrapError("usage", "a purge cannot be undone: add --yes")
    for (const memory of memories) tell(`${shortId(memory.id)}  ${cut(oneLine(memory.text), 70)}`)
    if (!confirm("Remove for ever, with history, backups and logs?")) {
      tell("nswrap: nothing was purged")
      return 1
    }
  }
  let removed = 0
  for (const memory of memories) {
    // Purging one takes those of equal text along.
    const isThere = db.query("select 1 from memory where id = ?").get(memory.id) !== null
    if (isThere) removed += purgeMemory(home.paths, db, memory.id).memories
  }
  if (json) printJson({ purged: memories.map(({ id }) => id), memories: removed })
  else print(`purged ${memories.map(({ id }) => shortId(id)).join(", ")}${removed > memories.length ? ` and ${removed - memories.length} of the same text` : ""}; it cannot be brought back`)
  return 0
}
