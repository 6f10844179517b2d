import { z } from "zod"
import { type Memory, SCOPES } from "../memory/memory.ts"
import type { ImportedMemory, ImportedPersona } from "../store/import.ts"

/*
 * The format of `nswrap export` and `nswrap import`: JSON Lines, UTF-8, one object a line.
 *   A memory has the fields of Memory (src/memory/memory.ts), of which only `text` is required; null says the same as
 *   absent. `project` is a project's name. Times are epoch ms or ISO 8601 when read, ms when written. `superseded_by` and
 *   `tombstone` are written only by `export --all`.
 *   A version of a persona (only `export --all`): {"persona": text, "project": name or null, "created_at", "actor"}.
 * Other fields are ignored, and named to the user.
 */

export type Line =
  | { kind: "memory"; memory: ImportedMemory; ignored: string[] }
  | { kind: "persona"; persona: ImportedPersona; ignored: string[] }
  | { kind: "bad"; reason: string }

const TIME_MAX = Date.UTC(9999, 11, 31)
const time = z
  .union([z.number(), z.string()])
  .transform((given) => (typeof given === "number" ? given : /^\d{4}-\d\d-\d\d/.test(given.trim()) ? new Date(given.trim()).getTime() : Number.NaN))
  .refine((at) => Number.isInteger(at) && at >= 0 && at <= TIME_MAX, "is no time in epoch ms or ISO 8601")
const id = z.string().toLowerCase().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, "is no UUID")
const share = z.number().min(0).max(1)

const memoryFields = {
  id: id.nullish(),
  text: z.string(),
  kind: z.string().nullish(),
  scope: z.enum(SCOPES).nullish(),
  project: z.string().nullish(),
  tool: z.string().nullish(),
  actor: z.string().nullish(),
  session: z.string().nullish(),
  subject: z.string().nullish(),
  aliases: z.array(z.string()).nullish(),
  tags: z.array(z.string()).nullish(),
  confidence: share.nullish(),
  benefit: z.number().nullish(),
  consistency: z.number().nullish(),
  pinned: z.boolean().nullish(),
  created_at: time.nullish(),
  updated_at: time.nullish(),
  ttl_ms: z.number().int().positive().nullish(),
  expires_at: time.nullish(),
  superseded_by: id.nullish(),
  tombstone: z.boolean().nullish(),
  count: z.number().int().positive().nullish(),
  site_id: z.string().nullish(),
  lamport: z.number().int().nonnegative().nullish(),
  source: z.string().nullish(),
  meta: z.record(z.string(), z.unknown()).nullish(),
} satisfies Record<keyof Memory, unknown>

const memoryLine = z.object(memoryFields)
const personaLine = z.object({ persona: z.string(), project: z.string().nullish(), created_at: time.nullish(), actor: z.string().nullish() })

/** One line understood. @param project the name for lines that name neither a project nor a scope */
export function readLine(text: string, { at, project }: { at: string; project: string | null }): Line {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    return { kind: "bad", reason: text.startsWith("[") ? "is not one JSON object: one a line is needed (jq -c '.[]' makes lines of a list)" : "is no JSON" }
  }
  if (typeof given !== "object" || given === null || Array.isArray(given)) return { kind: "bad", reason: "is not a JSON object" }
  const isPersona = "persona" in given && !("text" in given)
  if (isPersona) {
    const parsed = personaLine.safeParse(given)
    if (!parsed.success) return { kind: "bad", reason: reasonOf(parsed.error) }
    const { persona, project: name, created_at, actor } = parsed.data
    return { kind: "persona", persona: { at, text: persona, project: name ?? null, created_at: created_at ?? null, actor: actor ?? "user" }, ignored: unknown(given, personaLine.shape) }
  }
  const parsed = memoryLine.safeParse(given)
  if (!parsed.success) return { kind: "bad", reason: reasonOf(parsed.error) }
  const { project: named, ...present } = Object.fromEntries(Object.entries(parsed.data).filter(([, value]) => value !== null && value !== undefined))
  const memory = { source: "import", ...present } as ImportedMemory["memory"]
  const name = (named as string | undefined) ?? (memory.scope === undefined ? project : null)
  return { kind: "memory", memory: { at, memory, project: name }, ignored: unknown(given, memoryFields) }
}

/** A memory as one line. Dead ones keep what makes them so. */
export function writeLine(memory: Memory, { project, withState }: { project: string | null; withState: boolean }): string {
  const { superseded_by, tombstone, ...rest } = memory
  return JSON.stringify({ ...rest, project, ...(withState ? { superseded_by, tombstone } : {}) })
}

export function writePersonaLine({ text, created_at, actor }: { text: string; created_at: number; actor: string }, project: string | null): string {
  return JSON.stringify({ persona: text, project, created_at, actor })
}

function unknown(given: object, known: object): string[] {
  return Object.keys(given).filter((key) => !Object.hasOwn(known, key))
}

function reasonOf({ issues }: z.ZodError): string {
  return issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ")
}

