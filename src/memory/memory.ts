/** Who sees a memory: everyone, one project, or one session. */
export const SCOPES = ["global", "project", "session"] as const
export type Scope = (typeof SCOPES)[number]

/** The kinds nswrap knows by name. The set is open: any short lower-case word is a kind. */
export const KINDS = ["fact", "preference", "decision", "rule", "note", "episode", "procedure"] as const

export const TEXT_BYTES_MAX = 64 * 1024

/** One memory as every part of nswrap passes it. Times are epoch ms; absent values are null. */
export interface Memory {
  /** UUIDv7, lower case with dashes. Shown to people by its last 8 hex digits. */
  id: string
  text: string
  kind: string
  scope: Scope
  /** Project id (see store/projects.ts); null for the global scope. */
  project: string | null
  /** The tool this memory belongs to (`claude`, …); null = every tool. */
  tool: string | null
  /** Who said it: `user`, or the name of a tool or person. */
  actor: string
  session: string | null
  /** A short canonical name; a newer memory of the same subject and scope supersedes the older. */
  subject: string | null
  aliases: string[]
  tags: string[]
  /** 0 to 1. */
  confidence: number
  benefit: number | null
  consistency: number | null
  pinned: boolean
  created_at: number
  updated_at: number
  ttl_ms: number | null
  expires_at: number | null
  superseded_by: string | null
  tombstone: boolean
  /** How often exactly this text was said again in the same scope; 1 at first. */
  count: number
  site_id: string
  lamport: number
  /** Where it came from: `cli`, `import`, `neuralsync`, `inbox`, … */
  source: string
  meta: Record<string, unknown>
}

/** What a caller may say about a memory to be; only `text` is required. */
export type NewMemory = { text: string } & Partial<Omit<Memory, "text" | "superseded_by" | "tombstone" | "count">>

/** The last 8 hex digits, what people see and type. */
export function shortId(id: string): string {
  return id.replaceAll("-", "").slice(-8)
}
