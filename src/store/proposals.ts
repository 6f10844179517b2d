import type { Database } from "bun:sqlite"
import { NswrapError } from "../errors.ts"
import { stripContext } from "../memory/context.ts"
import { type Memory, type NewMemory, type Scope, shortId, TEXT_BYTES_MAX } from "../memory/memory.ts"
import { redact, type Redaction } from "../memory/redact.ts"
import { inTransaction } from "./database.ts"
import { remember, safeNames, type Now, type Remembered } from "./memories.ts"

/** What a tool said and the user has not accepted: no memory yet, never injected. */
export interface Proposal {
  id: string
  text: string
  kind: string
  scope: Scope
  /** Project id. */
  project: string | null
  tool: string | null
  actor: string
  tags: string[]
  confidence: number
  created_at: number
  source: string
  /** Also holds `subject`, `aliases`, `session`, `ttl_ms`, which have no column of their own. */
  meta: Record<string, unknown>
}

/** A tool that talks all night must not fill the disk. */
const PROPOSALS_MAX = 1000

type ProposalRow = Omit<Proposal, "tags" | "meta"> & { tags: string; meta: string }

/** Puts a text into the inbox. What waits there already with the same text and scope is given back as it is. @throws invalid, conflict */
export function propose(db: Database, said: NewMemory, { now }: Now): Proposal & { redactions: Redaction[] } {
  const { given: memory, redactions: named } = safeNames(said)
  const { text: safe, redactions: written } = redact(stripContext(memory.text))
  const redactions = [...written, ...named]
  const text = safe.trim()
  if (text === "") throw new NswrapError("invalid", "there is no text to remember")
  if (Buffer.byteLength(text) > TEXT_BYTES_MAX) throw new NswrapError("invalid", "the text is longer than 64 KiB; split it")
  if (text.includes("\0")) throw new NswrapError("invalid", "the text holds a NUL character: is it a binary file?")
  const scope = memory.scope ?? (memory.project ? "project" : "global")
  const project = scope === "global" ? null : (memory.project ?? null)
  if (scope === "project" && project === null) throw new NswrapError("invalid", "a memory of scope project needs a project")
  const extra = { subject: memory.subject, aliases: memory.aliases, session: memory.session, ttl_ms: memory.ttl_ms }
  return inTransaction(db, () => {
    const waiting = db.query("select * from proposal where text = ? and scope = ? and project is ?").get(text, scope, project) as ProposalRow | null
    if (waiting !== null) return { ...fromRow(waiting), redactions }
    const { count } = db.query("select count(*) as count from proposal").get() as { count: number }
    if (count >= PROPOSALS_MAX) throw new NswrapError("conflict", `the inbox is full (${PROPOSALS_MAX} proposals); nswrap inbox shows them, nswrap inbox reject --all empties it`)
    const proposal: Proposal = {
      id: Bun.randomUUIDv7("hex", now),
      text,
      kind: memory.kind ?? "note",
      scope,
      project,
      tool: memory.tool ?? null,
      actor: memory.actor ?? "user",
      tags: [...new Set(memory.tags)],
      confidence: memory.confidence ?? 0.8,
      created_at: now,
      source: memory.source ?? "tool",
      meta: { ...memory.meta, ...Object.fromEntries(Object.entries(extra).filter(([, value]) => value !== undefined && value !== null)) },
    }
    const { id, kind, tool, actor, tags, confidence, created_at, source, meta } = proposal
    db.query(`insert into proposal (id, text, kind, scope, project, tool, actor, tags, confidence, created_at, source, meta)
      values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
      .run(id, text, kind, scope, project, tool, actor, JSON.stringify(tags), confidence, created_at, source, JSON.stringify(meta))
    return { ...proposal, redactions }
  })
}

/** Oldest first, as they came. */
export function listProposals(db: Database): Proposal[] {
  return (db.query("select * from proposal order by id").all() as ProposalRow[]).map(fromRow)
}

/** The one proposal an id, a unique prefix or a unique suffix names. @throws not-found, ambiguous */
export function findProposal(db: Database, idOrPart: string): Proposal {
  const part = idOrPart.toLowerCase().replaceAll("-", "")
  const rows = /^[0-9a-f]{1,32}$/.test(part)
    ? (db.query("select * from proposal where replace(id, '-', '') like ?1 or replace(id, '-', '') like ?2 limit 6").all(`${part}%`, `%${part}`) as ProposalRow[])
    : []
  if (rows.length === 0) throw new NswrapError("not-found", `no proposal ${idOrPart}; nswrap inbox shows them`)
  if (rows.length > 1) throw new NswrapError("ambiguous", `${idOrPart} could be ${rows.map((row) => shortId(row.id)).join(", ")}; give more digits`)
  return fromRow(rows[0]!)
}

/** Makes a proposal a memory, changed as `patch` says; who said it and when stay as they were. */
export function acceptProposal(db: Database, id: string, patch: Partial<NewMemory>, at: Now): Remembered {
  return inTransaction(db, () => {
    const { id: _id, meta: { subject, aliases, session, ttl_ms, ...meta }, ...proposal } = findProposal(db, id)
    const extra = { subject, aliases, session, ttl_ms } as Partial<Memory>
    const remembered = remember(db, { ...proposal, ...extra, meta, source: "inbox", ...patch }, at)
    rejectProposal(db, id)
    return remembered
  })
}

/** Removes a proposal. */
export function rejectProposal(db: Database, id: string): void {
  inTransaction(db, () => db.query("delete from proposal where id = ?").run(findProposal(db, id).id))
}

function fromRow(row: ProposalRow): Proposal {
  return { ...row, tags: JSON.parse(row.tags) as string[], meta: JSON.parse(row.meta) as Record<string, unknown> }
}
