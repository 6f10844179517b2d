import { defineCommand } from "citty"
import { type Memory, shortId } from "../memory/memory.ts"
import { findMemory, listMemories, type MemoryFilter } from "../store/memories.ts"
import { asJson, placeOf, projectNames, readCount, readHome, reading, readMoment, scopeWord, toolName } from "./home.ts"
import { date, print, printJson, table, tell } from "./output.ts"
import { readScope } from "./remember.ts"

const LIMIT = 50

export default defineCommand({
  meta: {
    name: "list",
    description: `The memories of this directory's project and the global ones, newest first.

  nswrap list --kind decision --since 30d
  nswrap list --project shop
  nswrap list --all-projects --json --limit 1000
  nswrap list --dead                       what was forgotten, superseded or has expired`,
  },
  args: {
    kind: { type: "string", valueHint: "KIND", description: "only this kind" },
    tag: { type: "string", valueHint: "TAG", description: "only with this tag" },
    tool: { type: "string", valueHint: "TOOL", description: "only those kept for this tool" },
    scope: { type: "string", valueHint: "global|project|session", description: "only this scope" },
    project: { type: "string", valueHint: "NAME", description: "only those of this project" },
    "all-projects": { type: "boolean", description: "those of every project" },
    actor: { type: "string", valueHint: "WHO", description: "only what this one said" },
    pinned: { type: "boolean", description: "only pinned ones" },
    dead: { type: "boolean", description: "only forgotten, superseded and expired ones" },
    since: { type: "string", valueHint: "7d", description: "only from the last 7d, 12h, or since a date" },
    until: { type: "string", valueHint: "7d", description: "only older than that" },
    before: { type: "string", valueHint: "ID", description: "only older than this memory: the next page" },
    limit: { type: "string", alias: ["n"], valueHint: "N", description: `at most this many (default ${LIMIT})` },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    const home = readHome()
    const limit = readCount(args.limit, "--limit", LIMIT)
    return reading(home, (db) => {
      const place = placeOf(db, home, { project: args.project, allProjects: args["all-projects"] })
      const filter: MemoryFilter = { limit: limit + 1, now: home.now, dead: args.dead ? "only" : "hide" }
      if (args.project !== undefined && place.project !== null) filter.project = place.project.id
      else if (place.scopes !== undefined) filter.scopes = place.scopes
      if (args.scope !== undefined) filter.scope = readScope(args.scope)
      if (args.kind !== undefined) filter.kind = args.kind.toLowerCase()
      if (args.tag !== undefined) filter.tag = args.tag
      if (args.tool !== undefined) filter.tool = toolName(home, args.tool)
      if (args.actor !== undefined) filter.actor = args.actor
      if (args.pinned) filter.pinned = true
      if (args.since !== undefined) filter.since = readMoment(args.since, "--since", home.now)
      if (args.until !== undefined) filter.until = readMoment(args.until, "--until", home.now)
      if (args.before !== undefined) filter.before = findMemory(db, args.before).id
      const found = listMemories(db, filter)
      const memories = found.slice(0, limit)
      const names = projectNames(db)
      if (args.json) {
        printJson(memories.map((memory) => asJson(memory, names)))
        return 0
      }
      if (memories.length === 0) tell(nothing(place.project?.name ?? null, listMemories(db, { limit: 1, now: home.now }).length > 0))
      else print(memoryTable(memories, names))
      if (found.length > limit) tell(`nswrap: there are more; the next: --before ${shortId(memories.at(-1)!.id)}`)
      return 0
    })
  },
})

/** id, date, kind, scope, text cut to the terminal. */
export function memoryTable(memories: Memory[], names: Map<string, string>): string {
  const columns = [{ title: "id" }, { title: "date" }, { title: "kind" }, { title: "scope" }, { title: "text", flexible: true }]
  return table(columns, memories.map((memory) => [shortId(memory.id), date(memory.created_at), memory.kind, scopeWord(memory, names), `${marks(memory)}${memory.text}`]))
}

function marks(memory: Memory): string {
  const words = [memory.pinned ? "pinned" : "", memory.tombstone ? "forgotten" : "", memory.superseded_by === null ? "" : "superseded"].filter((word) => word !== "")
  return words.length === 0 ? "" : `[${words.join(", ")}] `
}

function nothing(project: string | null, elsewhere: boolean): string {
  if (!elsewhere) return 'nswrap: nothing is remembered yet; begin with nswrap remember "TEXT"'
  return `nswrap: nothing here${project === null ? "" : ` (project ${project})`} matches; --all-projects looks everywhere, nswrap project list shows the projects`
}
