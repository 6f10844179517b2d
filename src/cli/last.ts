import { defineCommand } from "citty"
import { shortId } from "../memory/memory.ts"
import { findMemory } from "../store/memories.ts"
import { lastRuns } from "../store/runs.ts"
import { readCount, readHome, reading } from "./home.ts"
import { cut, dateTime, dim, oneLine, print, printJson, tell, terminalWidth } from "./output.ts"

export default defineCommand({
  meta: { name: "last", description: "What the last runs injected, and why. Prompts are never recorded.\n\n  nswrap last\n  nswrap last -n 10 --json" },
  args: {
    count: { type: "string", alias: ["n"], valueHint: "N", description: "how many runs (default 1)" },
    project: { type: "string", valueHint: "NAME", description: "only runs in this project" },
    tool: { type: "string", valueHint: "TOOL", description: "only runs of this tool" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    const home = readHome()
    const count = readCount(args.count, "-n", 1)
    const isAll = args.project === undefined && args.tool === undefined
    const runs = (await lastRuns(home.paths, isAll ? count : 10_000))
      .filter((run) => (args.project === undefined || run.project?.toLowerCase() === args.project.toLowerCase()) && (args.tool === undefined || run.tool === args.tool || run.program === args.tool))
      .slice(0, count)
    return reading(home, (db) => {
      const describe = (id: string) => {
        try {
          return findMemory(db, id)
        } catch {
          return null
        }
      }
      if (args.json) {
        printJson(runs.map((run) => ({ ...run, stable: run.stable.map((id) => ({ id, text: describe(id)?.text ?? null })), recalled: run.recalled.map((each) => ({ ...each, text: describe(each.id)?.text ?? null })) })))
        return 0
      }
      if (runs.length === 0) tell('nswrap: no run is recorded yet; nswrap -- claude "fix the bug" makes one')
      const text = (id: string) => cut(oneLine(describe(id)?.text ?? "(purged)"), Math.max(20, (terminalWidth() ?? 120) - 14))
      for (const [at, run] of runs.entries()) {
        if (at > 0) print("")
        const ms = Object.values(run.stages).reduce((sum, each) => sum + each, 0)
        print([dateTime(run.t), run.tool ?? run.program, run.project === null ? "no project" : `project ${run.project}`, `mode ${run.mode}`, `channel ${run.channel}`, `${run.stable_tokens} + ${run.recalled_tokens} tokens`, `${ms.toFixed(1)} ms`].join("  "))
        if (run.reason !== null) print(`  without context: ${run.reason}`)
        for (const id of run.stable) print(`  ${shortId(id)}  ${text(id)}\n            ${dim("always: pinned, or a rule or preference of yours")}`)
        for (const { id, score, why } of run.recalled) print(`  ${shortId(id)}  ${text(id)}\n            ${dim(score > 0 ? `score ${score.toFixed(2)}: ${why.join(", ")}` : "one of the project's newest decisions")}`)
        if (run.stable.length + run.recalled.length === 0 && run.reason === null) print(dim("  no memory was injected"))
      }
      return 0
    })
  },
})
