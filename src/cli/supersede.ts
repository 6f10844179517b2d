import { defineCommand } from "citty"
import { shortId } from "../memory/memory.ts"
import { redact } from "../memory/redact.ts"
import { findMemory, supersedeMemory } from "../store/memories.ts"
import { asJson, projectNames, readHome, writing } from "./home.ts"
import { cut, oneLine, print, printJson } from "./output.ts"
import { tellRedactions } from "./remember.ts"

export default defineCommand({
  meta: {
    name: "supersede",
    description: `Puts a newer memory (by id, or a text to remember) in the place of an older one, which stays in the history.

  nswrap supersede 3f2a9c1e 77b0d2aa
  nswrap supersede 3f2a9c1e "The staging database listens on port 5434"`,
  },
  args: {
    old: { type: "positional", required: true, valueHint: "OLD" },
    new: { type: "positional", required: true, valueHint: "NEW-ID|TEXT…" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    const home = readHome()
    await writing(home, (db) => {
      const [older = "", ...words] = args._
      const [first = ""] = words
      // One word of hex digits is an id: a typing error in it must not become a memory.
      const id = words.length === 1 && /^[0-9a-f-]{4,36}$/i.test(first) ? findMemory(db, first).id : null
      const newer = id === null ? { text: words.join(" "), source: "cli" } : { id }
      if (newer.text !== undefined) tellRedactions(redact(newer.text).redactions)
      const result = supersedeMemory(db, findMemory(db, older).id, newer, { now: home.now })
      const names = projectNames(db)
      if (args.json) printJson({ older: asJson(result.older, names), newer: asJson(result.newer, names) })
      else print(`${shortId(result.newer.id)} supersedes ${shortId(result.older.id)}: ${cut(oneLine(result.newer.text), 60)}`)
    })
  },
})
