import type { Database } from "bun:sqlite"

export interface PersonaVersion {
  text: string
  created_at: number
  actor: string
}

/** The global persona and that of a project (its id), in one look-up; "" where none is set. */
export function getPersonas(db: Database, project: string | null): { global: string; project: string } {
  const rows = db
    .query("select project, text from persona where seq in (select max(seq) from persona where project is null union all select max(seq) from persona where project = ?)")
    .all(project) as { project: string | null; text: string }[]
  return { global: rows.find((row) => row.project === null)?.text ?? "", project: rows.find((row) => row.project !== null)?.text ?? "" }
}

/** The persona of a project (its id), or the global one (null); "" when none is set. */
export function getPersona(db: Database, project: string | null): string {
  const row = db.query("select text from persona where project is ? order by seq desc limit 1").get(project) as { text: string } | null
  return row?.text ?? ""
}

/** Every version, oldest first. */
export function personaHistory(db: Database, project: string | null): PersonaVersion[] {
  return db.query("select text, created_at, actor from persona where project is ? order by seq").all(project) as PersonaVersion[]
}
