import type { Database } from "bun:sqlite"

export interface PersonaVersion {
  text: string
  created_at: number
  actor: string
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
