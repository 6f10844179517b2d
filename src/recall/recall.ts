import type { Database } from "bun:sqlite"
import { isTaskWord, termWords } from "../memory/analysis.ts"
import type { Memory } from "../memory/memory.ts"
import { memoryFromRow, type MemoryRow, scopedTerm } from "../store/rows.ts"
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
const MATCH_ROWS_MAX = 3_000
/** FTS5's own order (b 0.75) and ours (b 0.25) differ little: three times what is wanted holds the best. */
const CANDIDATES_PER_RESULT = 3
const CANDIDATES_MIN = 36
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
  const { terms, whole, averageLength } = weighTerms(db, question)
  if (terms.length === 0) return []
  const found: { seq: number; score: number; why: Recalled["why"] }[] = []
  for (const row of candidates(db, terms, Math.max(CANDIDATES_MIN, question.limit * CANDIDATES_PER_RESULT))) {
    if (row.expires_at !== null && row.expires_at <= question.now) continue
    if (question.toolNames !== null && !isForTool(row, question.toolNames)) continue
    const { lexical, why } = scoreRow(row, { terms, averageLength, whole })
    const score = lexical * recency(question.now - row.created_at)
    if (score >= question.gate && score > 0) found.push({ seq: row.seq, score, why })
  }
  const best = found.sort((a, b) => b.score - a.score || b.seq - a.seq).slice(0, question.limit)
  const rows = db.query(`select * from memory where seq in (${best.map(({ seq }) => seq).join(", ")})`).all() as MemoryRow[]
  const memories = new Map(rows.map((row) => [row.seq, memoryFromRow(row)]))
  return best.map(({ seq, score, why }) => ({ memory: memories.get(seq)!, score, why }))
}

interface WeighedTerm {
  /** The word of the question. */
  term: string
  weight: number
  /** The term in each scope that holds it, with the number of memories. */
  scoped: { key: string; df: number }[]
  /** Each of them between spaces. */
  needles: string[]
}

/** The question's terms that some memory holds, and what all of its terms weigh together, unknown ones included. */
function weighTerms(db: Database, { text, scopes }: Question): { terms: WeighedTerm[]; whole: number; averageLength: number } {
  const sums = db.query("select (select v from site where k = 'docs') as docs, (select v from site where k = 'terms') as terms").get() as { docs: number; terms: number }
  const keys = scopes ?? (db.query("select distinct scope_key from memory").values() as [string][]).map(([key]) => key)
  const frequency = db.query("select doc from memory_vocab where term = ?")
  const terms: WeighedTerm[] = []
  const weights: number[] = []
  for (const [term, word] of [...termWords(excerpt(text))].slice(0, QUESTION_TERMS_MAX)) {
    const scoped = keys.map((key) => scopedTerm(key, term)).map((key) => ({ key, df: (frequency.get(key) as { doc: number } | null)?.doc ?? 0 })).filter(({ df }) => df > 0)
    const df = scoped.reduce((sum, one) => sum + one.df, 0)
    const idf = Math.log(1 + (sums.docs + PRIOR_DOCUMENTS - df + 0.5) / (df + 0.5))
    const weight = isTaskWord(term) ? idf * TASK_WEIGHT : idf
    weights.push(weight)
    if (df > 0) terms.push({ term: word, weight, scoped, needles: scoped.map(({ key }) => ` ${key} `) })
  }
  const whole = weights.sort((a, b) => b - a).slice(0, WEIGHED_TERMS).reduce((sum, weight) => sum + weight, 0)
  return { terms, whole, averageLength: Math.max(1, sums.terms / Math.max(1, sums.docs)) }
}

/** Of a long text (a piped file) its beginning and its end, where people put what they ask. */
function excerpt(text: string): string {
  if (text.length <= QUESTION_CHARACTERS_MAX) return text
  const half = QUESTION_CHARACTERS_MAX / 2
  return `${text.slice(0, half)}\n${text.slice(-half)}`
}

type Candidate = Pick<MemoryRow, "seq" | "terms" | "length" | "expires_at" | "tool" | "kind" | "created_at">

/** Memories that hold the rarest terms; common ones are left out once enough are in sight, because each costs a walk over its list. */
function candidates(db: Database, terms: WeighedTerm[], limit: number): Candidate[] {
  const chosen: string[] = []
  let rows = 0
  for (const { scoped } of terms.toSorted((a, b) => b.weight - a.weight).slice(0, MATCH_TERMS_MAX)) {
    const df = scoped.reduce((sum, one) => sum + one.df, 0)
    if (chosen.length > 0 && rows + df > MATCH_ROWS_MAX) break
    chosen.push(...scoped.map(({ key }) => `"${key}"`))
    rows += df
  }
  return db
    .query(`select m.seq, m.terms, m.length, m.expires_at, m.tool, m.kind, m.created_at
            from (select rowid from memory_fts where memory_fts match ? order by bm25(memory_fts) limit ?) f join memory m on m.seq = f.rowid`)
    .all(chosen.join(" OR "), limit) as Candidate[]
}

function scoreRow(row: Candidate, { terms, averageLength, whole }: { terms: WeighedTerm[]; averageLength: number; whole: number }) {
  const why: { term: string; score: number }[] = []
  let lexical = 0
  const lengthNorm = K1 * (1 - B + (B * row.length) / averageLength)
  const text = ` ${row.terms} `
  for (const { term, weight, needles } of terms) {
    const tf = needles.reduce((sum, needle) => sum + countOf(text, needle), 0)
    if (tf === 0) continue
    const score = (weight * (K1 + 1) * tf) / (tf + lengthNorm) / whole
    lexical += score
    why.push({ term, score })
  }
  return { lexical, why: why.sort((a, b) => b.score - a.score) }
}

/** How often ` word ` stands in a text; two in a row share their space. Searching beats splitting: most words are of no interest. */
function countOf(text: string, needle: string): number {
  let count = 0
  for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length - 1)) count++
  return count
}

function recency(ageMs: number): number {
  return 1 + RECENCY_WEIGHT * (2 ** (-Math.max(0, ageMs) / RECENCY_HALF_LIFE_MS) - 0.5)
}
