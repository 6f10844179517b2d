import { defineCommand } from "citty"
import { NswrapError } from "../errors.ts"
import { shortId } from "../memory/memory.ts"
import { findMemory, pinMemory } from "../store/memories.ts"
import { asJson, projectNames, readHome, writing } from "./home.ts"
import { cut, oneLine, print, printJson } from "./output.ts"
import { checkPinBudget } from "./pin-budget.ts"

export default defineCommand({
  meta: {
    name: "pin",
    description: `Pinned memories are injected in every run of their scope, found or not. Refuses what does not fit the budget
(context.stable_tokens).

  nswrap pin 3f2a9c1e
  nswrap pin --remove 3f2a9c1e`,
  },
  args: {
    id: { type: "positional", required: true, valueHint: "ID…" },
    remove: { type: "boolean", description: "unpin" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    await pin(args._, { pinned: args.remove !== true, json: args.json === true })
  },
})

/** All of the ids, or none when one is unknown. */
export async function pin(ids: string[], { pinned, json }: { pinned: boolean; json: boolean }): Promise<void> {
  const home = readHome()
  await writing(home, (db) => {
    const changed = ids.map((id) => findMemory(db, id)).map((memory) => {
      if (pinned && (memory.tombstone || memory.superseded_by !== null)) throw new NswrapError("conflict", `${shortId(memory.id)} is forgotten or superseded; restore it first: nswrap forget --undo ${shortId(memory.id)}`)
      if (memory.pinned === pinned) return { memory, already: true }
      if (pinned) checkPinBudget(db, home, memory)
      return { memory: pinMemory(db, memory.id, pinned, { now: home.now }), already: false }
    })
    if (json) printJson(changed.map(({ memory }) => asJson(memory, projectNames(db))))
    else for (const { memory, already } of changed) print(`${already ? "already " : ""}${pinned ? "pinned" : "unpinned"} ${shortId(memory.id)}: ${cut(oneLine(memory.text), 60)}`)
  })
}
