import { defineCommand } from "citty"
import { NswrapError } from "../errors.ts"
import { shortId } from "../memory/memory.ts"
import { findTool } from "../wrap/tools.ts"
import { prepareContext } from "../wrap/prepare.ts"
import { isOptedOut } from "../wrap/plan.ts"
import { isTerminal } from "../system/libc.ts"
import { placeOf, projectNames, readHome, reading, toolName, toolNames, userTools } from "./home.ts"
import { date, dim, print, printJson, tell, visible } from "./output.ts"
import { readText } from "./remember.ts"

export default defineCommand({
  meta: {
    name: "context",
    description: `Prints exactly what a tool started here would be told, by the code that the wrapper runs. Without a prompt: what it is
told when it is started without one.

  nswrap context
  nswrap context --tool claude "fix the login bug"
  nswrap context --explain "which port does staging use"`,
  },
  args: {
    prompt: { type: "positional", required: false, valueHint: "PROMPT…" },
    tool: { type: "string", valueHint: "TOOL", description: "as this tool would be told" },
    project: { type: "string", valueHint: "NAME", description: "as in this project" },
    only: { type: "string", valueHint: "persona", description: "only the persona" },
    explain: { type: "boolean", description: "why each line is there, and what did not fit" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    const home = readHome()
    const { settings } = home
    if (args.only !== undefined && args.only !== "persona") throw new NswrapError("usage", `--only cannot be ${JSON.stringify(args.only)}: say persona`)
    const prompt = args._.length === 0 ? null : readText(args._, undefined)
    const asked = args.tool ?? settings.toolName ?? undefined
    const name = asked === undefined ? null : toolName(home, asked)
    if (args.tool !== undefined && findTool(args.tool, userTools(settings)) === null) tell(`nswrap: ${args.tool} is in no table of tools; it would get NS_CONTEXT_FILE alone`)
    return reading(home, (db) => {
      const place = placeOf(db, home, { project: args.project })
      const names = projectNames(db)
      const extent = args.only === "persona" ? "persona" : settings.mode === "minimal" ? "stable" : "full"
      const located = { ...place.located, project: place.project }
      const off = settings.bypass || settings.mode === "bypass" ? "the mode is bypass" : isOptedOut(settings, located, name) ? "the configuration switches it off for this project or tool" : null
      const context = prepareContext(db, {
        project: place.project,
        session: settings.session,
        toolNames: toolNames(home, asked) ?? [],
        prompt,
        extent,
        settings,
        now: home.now,
      })
      const found = new Map(context.found.map((each) => [each.memory.id, each]))
      const tokens = { stable: context.stableTokens, recalled: context.recalledTokens, stable_budget: settings.stableTokens, recalled_budget: settings.recalledTokens }
      const line = ({ id, text, kind, created_at, scope, project }: (typeof context.stable)[number], fallback: string) => {
        const why = found.get(id)
        const scored = why !== undefined && why.score > 0
        return { id, short_id: shortId(id), kind, scope, project_name: project === null ? null : (names.get(project) ?? null), created_at, text, score: scored ? why.score : null, why: scored ? why.why : fallback }
      }
      const stable = context.stable.map((memory) => line(memory, memory.pinned ? "pinned" : `your own ${memory.kind}`))
      const recalled = context.recalled.map((memory) => line(memory, "one of the newest decisions of this project"))
      const dropped = context.dropped.map((memory) => line(memory, "did not fit the budget"))
      if (args.json) {
        printJson({ text: context.text, tool: name, project: place.project?.name ?? null, off, tokens, stable, recalled, dropped })
        return 0
      }
      if (off !== null) tell(`nswrap: nothing is injected here, because ${off}`)
      if (context.text === "") tell("nswrap: there is nothing to say: no persona, nothing pinned, and nothing that clears the gate")
      else print((isTerminal(1) ? visible(context.text) : context.text).trimEnd())
      const summary = `${tokens.stable} of ${tokens.stable_budget} stable tokens, ${tokens.recalled} of ${tokens.recalled_budget} recalled${place.project === null ? "" : `, project ${place.project.name}`}`
      if (!args.explain) {
        tell(`nswrap: ${summary}`)
        return 0
      }
      print(`\n${summary}; the gate is ${settings.gate}`)
      for (const [title, lines] of Object.entries({ Stable: stable, Recalled: recalled, "Did not fit": dropped })) {
        if (lines.length > 0) print(`\n${title}`)
        for (const each of lines) {
          const why = typeof each.why === "string" ? each.why : `score ${each.score?.toFixed(2)}: ${each.why.map(({ term, score }) => `${term} ${score.toFixed(2)}`).join(", ")}`
          print(`  ${each.short_id}  ${date(each.created_at)}  ${each.project_name ?? each.scope}  ${each.kind}  ${dim(why)}`)
        }
      }
      return 0
    })
  },
})
