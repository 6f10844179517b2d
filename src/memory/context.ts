import { shortId, type Memory } from "./memory.ts"

/**
 * The block that a tool is given. Its format, whole:
 *
 *     <nswrap-context>
 *     Background that the user saved earlier, …
 *     To save something worth keeping …            (the teach line, can be turned off)
 *
 *     Persona:
 *       the global persona, every line indented
 *
 *     Persona in project shop:
 *       the project's persona
 *
 *     Rules and preferences:
 *     - (rule, 2026-11-03, 1) first line of the text
 *       its further lines, indented
 *
 *     Recalled for this request, most relevant first:
 *     - (decision, 2026-10-30, 0.9) …
 *     </nswrap-context>
 *
 * What the user wrote never stands at column 0, so it can forge neither a list line, a heading nor the fence. All above
 * "Recalled" depends on nothing that was recalled: it stays the same bytes between runs and keeps prompt caches warm.
 */
const OPEN = "<nswrap-context>\n"
const CLOSE = "</nswrap-context>\n"
const ABOUT = "Background that the user saved earlier, for reference. It does not override what the user asks for now.\n"
const TEACH =
  'To save something worth keeping for later runs: nswrap remember "…" (--kind decision|preference|rule|fact)\n'
const STABLE_HEADING = "\nRules and preferences:\n"
const RECALLED_HEADING = "\nRecalled for this request, most relevant first:\n"
const PERSONA_MARK = " … (cut to the budget)"

const BYTES_PER_TOKEN = 3
const WORD_CHARACTERS_MAX = 32
const NAME_CHARACTERS_MAX = 80

export interface ContextInput {
  persona: { global: string; project: string }
  /** Pinned memories and the user's own rules and preferences, in any order. */
  stable: Memory[]
  /** Most relevant first. */
  recalled: Memory[]
  projectName: string | null
  /** Budget of everything but the recalled memories, fence included. */
  stableTokens: number
  /** Budget of the recalled memories and their heading. */
  recalledTokens: number
  /** Whether to say how the tool can save a memory. */
  teach: boolean
}

export interface RenderedContext {
  /** The block, ending in a newline; "" when there is nothing to say. */
  text: string
  /** What fitted, in the order rendered. */
  stable: Memory[]
  recalled: Memory[]
  stableTokens: number
  recalledTokens: number
  /** What was given but did not fit. */
  dropped: Memory[]
}

/**
 * Renders persona, stable and recalled memories as one fenced block within two token budgets. Same input, same bytes.
 * A persona too long is cut at a word with a mark. A memory that does not fit is dropped whole, except the most relevant
 * recalled one, which is shortened. Where the stable budget cannot hold even the fence, the recalled budget pays for it.
 */
export function renderContext(input: ContextInput): RenderedContext {
  const stablePage = newPage(input.stableTokens)
  const fenced = openFence(stablePage, input.teach)
  let stable: Memory[] = []
  let hasPersona = false
  if (fenced) {
    hasPersona = addPersonas(stablePage, input)
    stable = addList(stablePage, STABLE_HEADING, input.stable.toSorted(byStableOrder))
  }

  const recalledPage = newPage(input.recalledTokens)
  const shown = new Set(stable.map((memory) => memory.id))
  const candidates = input.recalled.filter((memory) => !shown.has(memory.id))
  let recalled: Memory[] = []
  if (fenced || openFence(recalledPage, false)) recalled = addRecalled(recalledPage, candidates)

  for (const memory of recalled) shown.add(memory.id)
  const dropped = [...input.stable, ...candidates].filter((memory) => !shown.has(memory.id))
  if (!hasPersona && stable.length === 0 && recalled.length === 0) {
    return { text: "", stable: [], recalled: [], stableTokens: 0, recalledTokens: 0, dropped }
  }
  const stableText = stablePage.text
  const recalledText = recalled.length > 0 ? recalledPage.text : ""
  return {
    text: stableText + recalledText + CLOSE,
    stable,
    recalled,
    stableTokens: fenced ? countTokens(stableText + CLOSE) : 0,
    recalledTokens: countTokens(fenced ? recalledText : recalledText + CLOSE),
    dropped,
  }
}

/** Tokens of a text as budgets count them: UTF-8 bytes / 3, rounded up. */
export function countTokens(text: string): number {
  return Math.ceil(countBytes(text) / BYTES_PER_TOKEN)
}

/**
 * The text without the blocks of `renderContext`, so that nswrap never learns from itself. A block that is not closed ends
 * with the text; a closing fence alone is removed.
 */
export function stripContext(text: string): string {
  let kept = ""
  let keptEnd = ""
  let position = 0
  let inside = false
  const keep = (piece: string): void => {
    const joined = position === 0 ? piece : joinable(piece, keptEnd)
    kept += joined
    keptEnd = joined.at(-1) ?? keptEnd
  }
  for (const fence of text.matchAll(/<(\/?)nswrap-context>/gi)) {
    if (!inside) keep(text.slice(position, fence.index))
    inside = fence[1] === ""
    position = fence.index + fence[0].length
  }
  if (position === 0) return text
  if (!inside) keep(text.slice(position))
  return kept
}

/** What `renderCompat` needs: `scopeOf` gives NeuralSync's scope of a memory, `global` or `project:NAME`. */
export interface CompatInput {
  persona: string
  memories: Memory[]
  scopeOf: (memory: Memory) => string
}

/** The preamble that NeuralSync v2's wrapper put before the child's stdin, to the byte; "" without persona and memories. */
export function renderCompat({ persona, memories, scopeOf }: CompatInput): string {
  if (persona === "" && memories.length === 0) return ""
  const lines = memories.map(
    (memory, index) =>
      `[M${index + 1}] (${memory.kind},${scopeOf(memory)},conf=${pythonFloat(memory.confidence)}) ${memory.text}`,
  )
  if (persona !== "") lines.unshift(`Persona: ${persona}\n`)
  return `${lines.join("\n")}\n\n`
}

/** A text that grows within a budget of bytes. */
interface Page {
  text: string
  bytesLeft: number
}

function newPage(tokens: number): Page {
  return { text: "", bytesLeft: tokens > 0 ? Math.floor(tokens) * BYTES_PER_TOKEN : 0 }
}

/** Adds the text if it fits whole. */
function add(page: Page, text: string): boolean {
  const bytes = countBytes(text)
  if (bytes > page.bytesLeft) return false
  page.text += text
  page.bytesLeft -= bytes
  return true
}

/** Opens the fence and sets aside what closing it takes. The teach line stays out where it would take half the budget. */
function openFence(page: Page, teach: boolean): boolean {
  const budget = page.bytesLeft
  page.bytesLeft -= CLOSE.length
  if (!add(page, OPEN + ABOUT)) return false
  if (teach && countBytes(page.text + TEACH + CLOSE) * 2 <= budget) add(page, TEACH)
  return true
}

/** Adds both personas; where they do not fit together, none takes more than half from the other. */
function addPersonas(page: Page, { persona, projectName }: ContextInput): boolean {
  const sections = [
    { heading: "\nPersona:\n", body: indent(clean(persona.global)) },
    { heading: `\nPersona in ${projectTitle(projectName)}:\n`, body: indent(clean(persona.project)) },
  ].filter(({ body }) => body !== "")
  const sizes = sections.map(({ heading, body }) => countBytes(heading) + countBytes(body) + 3)
  const room = page.bytesLeft
  let added = false
  for (const [index, section] of sections.entries()) {
    const nextSize = sizes[index + 1]
    const limit = nextSize === undefined ? page.bytesLeft : Math.max(Math.floor(room / 2), room - nextSize)
    const head = `${section.heading}  `
    const body = cut(section.body, limit - countBytes(head) - 1, PERSONA_MARK)
    if (body !== "") added = add(page, `${head}${body}\n`) || added
  }
  return added
}

function projectTitle(name: string | null): string {
  const line = clean(name ?? "").replaceAll(/\s+/g, " ")
  return line === "" ? "this project" : `project ${line.slice(0, NAME_CHARACTERS_MAX).toWellFormed()}`
}

/** Pinned before the rest, older before newer: a new memory is appended and leaves the bytes before it alone. */
function byStableOrder(a: Memory, b: Memory): number {
  return Number(b.pinned) - Number(a.pinned) || a.created_at - b.created_at || (a.id < b.id ? -1 : Number(a.id > b.id))
}

/** Adds each memory that fits, the heading with the first; returns those added. */
function addList(page: Page, heading: string, memories: Memory[]): Memory[] {
  const added: Memory[] = []
  let before = heading
  for (const memory of memories) {
    const body = indent(clean(memory.text))
    if (body === "" || !add(page, `${before}${labelOf(memory)}${body}\n`)) continue
    added.push(memory)
    before = ""
  }
  return added
}

function addRecalled(page: Page, memories: Memory[]): Memory[] {
  const [first, ...others] = memories
  if (first === undefined) return []
  const added = addList(page, RECALLED_HEADING, [first])
  if (added.length === 0 && addShortened(page, first, others.length > 0)) added.push(first)
  const heading = added.length === 0 ? RECALLED_HEADING : ""
  return [...added, ...addList(page, heading, others)]
}

/** Adds the beginning of the memory, in half of what is left when others wait for their turn. */
function addShortened(page: Page, memory: Memory, sharing: boolean): boolean {
  const head = RECALLED_HEADING + labelOf(memory)
  const limit = (sharing ? Math.floor(page.bytesLeft / 2) : page.bytesLeft) - countBytes(head) - 1
  const body = cut(indent(clean(memory.text)), limit, ` … (nswrap show ${wordOf(shortId(memory.id))})`)
  return body !== "" && add(page, `${head}${body}\n`)
}

function labelOf({ kind, created_at, confidence }: Memory): string {
  return `- (${wordOf(kind)}, ${dateOf(created_at)}, ${Math.round(confidence * 100) / 100}) `
}

/** Kinds are an open set and ids are imported, so neither is trusted: letters, digits, `_` and single `-` only. */
function wordOf(text: string): string {
  if (/^\w{1,32}$/.test(text)) return text
  const word = text.slice(0, WORD_CHARACTERS_MAX).replaceAll(/[^\p{L}\p{M}\p{N}_]+/gu, "-")
  return word === "" ? "note" : word
}

/** The UTC day, `2026-11-03`. */
function dateOf(epochMs: number): string {
  const date = new Date(epochMs)
  return Number.isNaN(date.getTime()) ? "undated" : (date.toISOString().split("T")[0] ?? "")
}

/** The line separators of any reader become `\n`: CR, VT, FF, NEL, LS, PS. */
const LINE_ENDS = /\r\n|[\r\v\f\x85\u2028\u2029]/g

/**
 * Never shown: control characters, soft hyphen, bidi marks, embeddings and isolates, zero-width and invisible operators,
 * fillers, interlinear marks, BOM, and the tag and variation planes (as surrogates: a pattern with the `u` flag takes ten
 * times as long to build), in which whole sentences can hide. ZWJ, ZWNJ and VS1-16 stay: emoji and Persian need them.
 */
const INVISIBLE = new RegExp(
  [
    "[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x9f\\xad\\u061c\\u115f\\u1160\\u180e\\u200b\\u200e\\u200f\\u202a-\\u202e]",
    "[\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb]|\\u034f|\\u17b4|\\u17b5|[\\udb40-\\udb43][\\udc00-\\udfff]",
  ].join("|"),
  "g",
)

/** Printable ASCII without `<` needs no cleaning. */
const PLAIN = /^[\n\x20-\x3b\x3d-\x7e]*$/

/** What a user or program wrote, made safe to show: no hidden characters, no fence, trimmed. Lines are kept. */
function clean(text: string): string {
  if (PLAIN.test(text)) return text.trim()
  const shown = text.toWellFormed().replace(LINE_ENDS, "\n").replace(INVISIBLE, "")
  return (shown.includes("<") ? shown.replace(fencePattern(), "‹") : shown).trim()
}

let fenceLike: RegExp | null = null

/** The `<` of anything a model could take for our fence: any case, with spaces or joiners inside, any dash. */
function fencePattern(): RegExp {
  fenceLike ??= new RegExp(
    `<(?=[\\s/\\\\\\u200c\\u200d\\ufe00-\\ufe0f]*${[..."nswrap-context"]
      .map((letter) => (letter === "-" ? "[-_\\u00b7\\u2010-\\u2015\\u2212\\ufe58\\ufe63\\uff0d]?" : letter))
      .join("[\\s\\u200c\\u200d\\ufe00-\\ufe0f]*")})`,
    "gi",
  )
  return fenceLike
}

/** Every line but the first moves in by two spaces; the first one follows its label or is moved by the caller. */
function indent(text: string): string {
  if (!text.includes("\n")) return text
  return text
    .split("\n")
    .map((line, index) => (index === 0 || line.trim() === "" ? line.trimEnd() : `  ${line.trimEnd()}`))
    .join("\n")
}

/** The text if it fits, else its beginning up to the last word that fits with the mark, else "". */
function cut(text: string, limitBytes: number, mark: string): string {
  if (countBytes(text) <= limitBytes) return text
  const room = limitBytes - countBytes(mark)
  if (room <= 0) return ""
  const { read } = encoder.encodeInto(text, new Uint8Array(room))
  const head = text.slice(0, read)
  const wordEnd = /\s/.test(text.charAt(read)) ? read : Math.max(head.lastIndexOf(" "), head.lastIndexOf("\n"))
  // A text without spaces is cut where it must be, and not thrown away.
  const kept = (wordEnd * 2 > read ? head.slice(0, wordEnd) : head).trimEnd()
  return kept === "" ? "" : kept + mark
}

const encoder = new TextEncoder()

function countBytes(text: string): number {
  return encoder.encode(text).length
}

/** A block on its own lines leaves no empty line; one within a line leaves a space, so that the rest forms no new fence. */
function joinable(piece: string, endBefore: string): string {
  if (endBefore === "" || endBefore === "\n") return piece.replace(/^\r?\n/, "")
  return /\s/.test(endBefore) || /^\s/.test(piece) || piece === "" ? piece : ` ${piece}`
}

/** A number as Python prints a float: 0.9, 1.0, 1e-05. */
function pythonFloat(value: number | null): string {
  if (value === null) return "None"
  if (Number.isNaN(value)) return "nan"
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf"
  if (Object.is(value, -0)) return "-0.0"
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2")
  }
  const digits = String(value)
  return digits.includes(".") ? digits : `${digits}.0`
}
