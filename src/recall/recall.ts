import type { Database } from "bun:sqlite"
import { analyse, isTaskWord } from "../memory/analysis.ts"
import type { Memory } from "../memory/memory.ts"
import { memoryFromRow, type MemoryRow } from "../store/rows.ts"
import { isForTool } from "./scope.ts"

export interface Question {
  text: string
  /** Scope keys that may answer; null = every one. */
  scopes: string[] | null
  /** All names of the tool that asks; rules and preferences of other tools stay out. null = of every tool. */
  toolNames: readonly string[] | null
  limit: number
  /** Nothing that scores below; 0 = whatever matches. */
  gate: number
  now: number
}

export interface Recalled {
  memory: Memory
  /** 1.0 is about "every term of the question once, in a memory of average length". */
  score: number
  /** Each matching term and its share of the score, largest first. */
  why: { term: string; score: number }[]
}

const QUESTION_CHARACTERS_MAX = 16 * 1024
const QUESTION_TERMS_MAX = 96
const MATCH_TERMS_MAX = 24
const MATCH_ROWS_MIN = 5_000
const CANDIDATES_MAX = 192
/** A long question is not expected to be answered whole: what its 8 weightiest terms weigh counts as all of it. */
const WEIGHED_TERMS = 8

const K1 = 1.2
const B = 0.25
/** A young store says little about which words are common; this many unseen memories keep its first words from weighing nothing. */
const PRIOR_DOCUMENTS = 200
/** "fix", "add", "explain": what is to be done says little about what is known. */
const TASK_WEIGHT = 0.2
const RECENCY_WEIGHT = 0.1
const RECENCY_HALF_LIFE_MS = 30 * 86_400_000

/**
 * The one door to what is known: the memories that answer a question, best first. Any text is a valid question.
 * Candidates come from FTS5 by the rarest terms; they are scored here by BM25 (Robertson & Zaragoza 2009) with k1 1.2 and
 * b 0.25, normalised by what the question's terms weigh, unknown ones included, and nudged by age.
 */
export function recall(db: Database, question: Question): Recalled[] {
  const terms = weighTerms(db, question.text)
  const known = terms.list.filter(({ df }) => df > 0)
  if (known.length === 0) return []
  const weights = new Map(known.map(({ term, weight }) => [term, weight]))
  const found: Recalled[] = []
  for (const row of candidates(db, { known, scopes: question.scopes, documents: terms.documents })) {
    if (row.expires_at !== null && row.expires_at <= question.now) continue
    if (question.toolNames !== null && !isForTool(row, question.toolNames)) continue
    const { lexical, why } = scoreRow(row, { weights, averageLength: terms.averageLength, whole: terms.whole })
    const score = lexical * recency(question.now - row.created_at)
    if (score >= question.gate && score > 0) found.push({ memory: memoryFromRow(row), score, why })
  }
  return found.sort((a, b) => b.score - a.score || (a.memory.id < b.memory.id ? 1 : -1)).slice(0, question.limit)
}

interface WeighedTerm {
  term: string
  df: number
  weight: number
}

function weighTerms(db: Database, text: string): { list: WeighedTerm[]; whole: number; documents: number; averageLength: number } {
  const sums = Object.fromEntries((db.query("select k, v from site where k in ('docs', 'terms')").all() as { k: string; v: number }[]).map(({ k, v }) => [k, v]))
  const documents = sums["docs"] ?? 0
  const distinct = [...new Set(analyse(excerpt(text)))].slice(0, QUESTION_TERMS_MAX)
  const frequency = db.query("select doc from memory_vocab where term = ?")
  const list = distinct.map((term) => {
    const df = (frequency.get(term) as { doc: number } | null)?.doc ?? 0
    const population = documents + PRIOR_DOCUMENTS
    const idf = Math.log(1 + (population - df + 0.5) / (df + 0.5))
    return { term, df, weight: isTaskWord(term) ? idf * TASK_WEIGHT : idf }
  })
  const heaviest = list.map(({ weight }) => weight).sort((a, b) => b - a).slice(0, WEIGHED_TERMS)
  const whole = heaviest.reduce((sum, weight) => sum + weight, 0)
  return { list, whole, documents, averageLength: documents === 0 ? 1 : Math.max(1, (sums["terms"] ?? 0) / documents) }
}

/** Of a long text (a piped file) its beginning and its end, where people put what they ask. */
function excerpt(text: string): string {
  if (text.length <= QUESTION_CHARACTERS_MAX) return text
  const half = QUESTION_CHARACTERS_MAX / 2
  return `${text.slice(0, half)}\n${text.slice(-half)}`
}

/** Rows that hold the rarest terms; common ones are left out once enough rows are in sight, because each costs a walk over its list. */
function candidates(db: Database, { known, scopes, documents }: { known: WeighedTerm[]; scopes: string[] | null; documents: number }): MemoryRow[] {
  const rowsMax = Math.max(MATCH_ROWS_MIN, documents * 0.02)
  const chosen: string[] = []
  let rows = 0
  for (const { term, df } of known.toSorted((a, b) => b.weight - a.weight)) {
    if (chosen.length > 0 && (chosen.length >= MATCH_TERMS_MAX || rows + df > rowsMax)) break
    chosen.push(`"${term}"`)
    rows += df
  }
  const inScope = scopes === null ? "" : `scope_key : (${scopes.map((key) => `"${key}"`).join(" OR ")}) AND `
  return db
    .query(`select m.* from (select rowid from memory_fts where memory_fts match ? order by bm25(memory_fts, 1.0, 0.0) limit ${CANDIDATES_MAX}) f
            join memory m on m.seq = f.rowid`)
    .all(`${inScope}terms : (${chosen.join(" OR ")})`) as MemoryRow[]
}

function scoreRow(row: MemoryRow, { weights, averageLength, whole }: { weights: Map<string, number>; averageLength: number; whole: number }) {
  const counts = new Map<string, number>()
  for (const term of row.terms.split(" ")) if (weights.has(term)) counts.set(term, (counts.get(term) ?? 0) + 1)
  const why: { term: string; score: number }[] = []
  let lexical = 0
  const lengthNorm = K1 * (1 - B + (B * row.length) / averageLength)
  for (const [term, tf] of counts) {
    const score = (weights.get(term)! * (K1 + 1) * tf) / (tf + lengthNorm) / whole
    lexical += score
    why.push({ term, score })
  }
  return { lexical, why: why.sort((a, b) => b.score - a.score) }
}

function recency(ageMs: number): number {
  return 1 + RECENCY_WEIGHT * (2 ** (-Math.max(0, ageMs) / RECENCY_HALF_LIFE_MS) - 0.5)
}
