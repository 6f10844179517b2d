import { type Environment, resolvePaths } from "../config/paths.ts"
import { parseRememberLine, type RememberLine } from "../memory/remember-line.ts"
import { openForWriting } from "../store/create.ts"
import { ensureProject, findProject } from "../store/projects.ts"
import { propose } from "../store/proposals.ts"
import type { Run } from "../store/runs.ts"
import { writeErr } from "../system/libc.ts"
import type { ArgvPart } from "./exec.ts"
import { relay } from "./relay.ts"

const LINES_MAX = 100

/**
 * Runs the command beside us where something must be fed or captured. What it says on `@remember:` lines waits in the
 * inbox until the user accepts it: a web page that a tool read must not be able to plant a memory.
 */
export async function stay({ file, argv, prefix, capture, run, env, cwd }: { file: string; argv: ArgvPart[]; prefix: Uint8Array | null; capture: boolean; run: Run; env: Environment; cwd: string }): Promise<{ errno: number }> {
  const said: RememberLine[] = []
  const onOutputLine = (text: string): void => {
    const line = parseRememberLine(text)
    if (line !== null && said.length < LINES_MAX) said.push(line)
  }
  return relay({ file, argv, prefix, onOutputLine: capture ? onOutputLine : null, onFinished: async () => keep(said, { run, env, cwd }) })
}

async function keep(said: RememberLine[], { run, env, cwd }: { run: Run; env: Environment; cwd: string }): Promise<void> {
  if (said.length === 0) return
  try {
    const db = await openForWriting(resolvePaths(env))
    const at = { now: Date.now() }
    for (const { text, kind, scope, project, tool, confidence, tags } of said) {
      const home = scope === "global" ? null : project === null ? ensureProject(db, cwd, at) : findProject(db, project)
      propose(db, { text, kind, tags, confidence, tool, scope: home === null ? "global" : "project", project: home?.id ?? null, actor: run.tool ?? run.program, source: "capture" }, at)
    }
    db.close()
    writeErr(`nswrap: ${said.length} ${said.length === 1 ? "proposal waits" : "proposals wait"} in nswrap inbox\n`)
  } catch (error) {
    writeErr(`nswrap: what ${run.program} asked to remember could not be kept: ${error instanceof Error ? error.message : error}\n`)
  }
}
