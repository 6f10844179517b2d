import { defineCommand } from "citty"
import { shortId } from "../memory/memory.ts"
import { recall } from "../recall/recall.ts"
import { asJson, placeOf, projectNames, readCount, readHome, reading, scopeWord, toolNames } from "./home.ts"
import { date, dim, print, printJson, table, tell, visible } from "./output.ts"
import { readText } from "./remember.ts"

const LIMIT = 10

export default defineCommand({
  meta: {
    name: "recall",
    description: `Finds what is remembered about something, most relevant first, in this project and among the global memories.

  nswrap recall deploy to staging
  nswrap recall --explain "which port does the database use"
  git diff | nswrap recall - --json`,
  },
  args: {
    query: { type: "positional", required: true, valueHint: "QUERY…" },
    limit: { type: "string", alias: ["k", "n"], valueHint: "N", description: `at most this many (default ${LIMIT})` },
    project: { type: "string", valueHint: "NAME", description: "as in this project" },
    "all-projects": { type: "boolean", description: "in every project" },
    tool: { type: "string", valueHint: "TOOL", description: "as this tool would" },
    explain: { type: "boolean", description: "why each was found" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    const home = readHome()
    const limit = readCount(args.limit, "--limit", LIMIT)
    const text = readText(args._, undefined)
    return reading(home, (db) => {
      const place = placeOf(db, home, { project: args.project })
      const scopes = args["all-projects"] ? null : (place.scopes ?? null)
      const found = recall(db, { text, scopes, toolNames: toolNames(home, args.tool), limit, gate: 0, now: home.now })
      const names = projectNames(db)
      if (args.json) {
        printJson(found.map(({ memory, score, why }) => ({ ...asJson(memory, names), score, why })))
        return 0
      }
      if (found.length === 0) {
        tell("nswrap: nothing is remembered about that here; --all-projects looks everywhere")
        return 0
      }
      if (!args.explain) {
        const columns = [{ title: "id" }, { title: "date" }, { title: "kind" }, { title: "scope" }, { title: "text", flexible: true }]
        print(table(columns, found.map(({ memory }) => [shortId(memory.id), date(memory.created_at), memory.kind, scopeWord(memory, names), memory.text])))
        return 0
      }
      const injected = (score: number) => (score >= home.settings.gate ? "would be injected" : `below the gate of ${home.settings.gate}: not injected`)
      for (const { memory, score, why } of found) {
        print(`${shortId(memory.id)}  ${score.toFixed(3)}  ${date(memory.created_at)}  ${memory.kind}  ${scopeWord(memory, names)}`)
        print(visible(memory.text).replace(/^/gm, "    "))
        print(dim(`    ${[...why.map(({ term, score }) => `${term} ${score.toFixed(2)}`), injected(score)].join("; ")}`))
      }
      return 0
    })
  },
})
