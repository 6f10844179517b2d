import type { Database } from "bun:sqlite"
import { NswrapError } from "../errors.ts"
import { stripContext } from "../memory/context.ts"
import { TEXT_BYTES_MAX } from "../memory/memory.ts"
import { redact, type Redaction } from "../memory/redact.ts"
import { inTransaction } from "./database.ts"
import { nextLamport, siteId, type Now } from "./memories.ts"
import { getPersona } from "./persona.ts"

/**
 * Makes `text` the persona; the older ones stay in the history. "" removes it. The text that is already set is no new version.
 * @throws invalid when it is too long
 */
export function setPersona(
  db: Database,
  { text: given, project, actor }: { text: string; project: string | null; actor: string },
  { now }: Now,
): { changed: boolean; text: string; redactions: Redaction[] } {
  const { text: safe, redactions } = redact(stripContext(given))
  const text = safe.trim()
  if (text === "" && given.trim() !== "") throw new NswrapError("invalid", "nothing is left of the persona once private parts and injected context are taken out")
  const bytes = Buffer.byteLength(text)
  if (bytes > TEXT_BYTES_MAX) throw new NswrapError("invalid", `the persona has ${bytes} bytes; it holds at most ${TEXT_BYTES_MAX} (64 KiB)`)
  if (text.includes("\0")) throw new NswrapError("invalid", "the persona holds a NUL character: is it a binary file?")
  const changed = inTransaction(db, () => {
    if (getPersona(db, project) === text) return false
    db.query("insert into persona (project, text, created_at, site_id, lamport, actor) values (?, ?, ?, ?, ?, ?)")
      .run(project, text, now, siteId(db), nextLamport(db), actor)
    return true
  })
  return { changed, text, redactions }
}
