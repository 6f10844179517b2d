import { sessionKey } from "../store/rows.ts"

/** The scope keys a question may see: everyone's, its project's, its session's. */
export function visibleScopes({ project, session }: { project: { seq: number } | null; session?: string | null }): string[] {
  const scopes = ["g"]
  if (project !== null) scopes.push(`p${project.seq}`)
  if (session) scopes.push(sessionKey(session))
  return scopes
}

/** Rules and preferences that name a tool are for that tool; all else is shared by every tool. */
export function isForTool(memory: { tool: string | null; kind: string }, toolNames: readonly string[]): boolean {
  return memory.tool === null || toolNames.includes(memory.tool) || (memory.kind !== "rule" && memory.kind !== "preference")
}
