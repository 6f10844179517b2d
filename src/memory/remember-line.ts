import { SCOPES, TEXT_BYTES_MAX, type Scope } from "./memory.ts"

/*
 * A line of a tool's output that asks to be remembered, at column 0, in lower case:
 *
 *   line  := "@remember:" blank* { option blank+ } text
 *   option:= ( "kind=" word | "scope=" scope | "tool=" value | "confidence=" number | "tag=" value )
 *   scope := "global" | "project" | "session" | "project:" name
 *   value := characters without blanks, or "…" (\" and \\ inside), or '…'
 *
 * Options lead; from the first token that is no option on, all is text, as it was written. So a URL with "=", an unknown
 * key, an impossible confidence, an empty value, an apostrophe or a quote that is never closed is text: nothing that was
 * said is dropped. `tag` may be repeated; of the others the last one counts. Quotes around the whole text are removed,
 * which also says a text that looks like an option: `@remember: "tag=x is how to tag"`.
 */

/** What a line asked to remember; `scope` null = not said. `project` is the NAME of NeuralSync's `scope=project:NAME`. */
export interface RememberLine {
  text: string
  kind: string
  scope: Scope | null
  project: string | null
  tool: string | null
  confidence: number
  tags: string[]
  /** The text was longer than TEXT_BYTES_MAX and is cut at a character. */
  cut: boolean
}

export const LINE_PREFIX = "@remember:"
/** A full text, its options, and the bytes of one more character to cut at. */
export const LINE_BYTES_MAX = TEXT_BYTES_MAX + 4 * 1024

/** The request of one line of output (with or without its line end); null when it is none, or has no text. Never throws. */
export function parseRememberLine(line: string): RememberLine | null {
  if (!line.startsWith(LINE_PREFIX)) return null
  const said: RememberLine = {
    text: "", kind: "note", scope: null, project: null, tool: null, confidence: 0.8, tags: [], cut: false,
  }
  let rest = line.slice(LINE_PREFIX.length).replace(/[\r\n]+$/, "").replace(/^[ \t]+/, "")
  for (let option = OPTION.exec(rest); option !== null; option = OPTION.exec(rest)) {
    const [whole, key = "", double, single, bare] = option
    const value = double === undefined ? single ?? bare ?? "" : unescape(double)
    if (!takeOption(said, key, value)) break
    rest = rest.slice(whole.length)
  }
  const text = unquote(rest.trim()).trim()
  if (text === "") return null
  said.text = cutToBytes(text, TEXT_BYTES_MAX)
  said.cut = said.text.length < text.length
  return said
}

const OPTION = /^(kind|scope|tool|confidence|tag)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^ \t"'][^ \t]*))(?:[ \t]+|$)/
const KIND = /^[a-z][a-z0-9_-]{0,31}$/
const NUMBER = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i

/** False when the value means nothing for this key: then the token is text. */
function takeOption(said: RememberLine, key: string, value: string): boolean {
  if (value.trim() === "") return false
  switch (key) {
    case "kind":
      if (!KIND.test(value.toLowerCase())) return false
      said.kind = value.toLowerCase()
      return true
    case "scope": {
      const named = /^project:(.+)$/s.exec(value)
      const scope = named ? "project" : SCOPES.find((known) => known === value)
      if (scope === undefined) return false
      said.scope = scope
      said.project = named?.[1] ?? null
      return true
    }
    case "tool":
      said.tool = value.toLowerCase() === "none" ? null : value
      return true
    case "confidence":
      if (!NUMBER.test(value) || Number(value) > 1) return false
      said.confidence = Number(value)
      return true
    default:
      if (!said.tags.includes(value)) said.tags.push(value)
      return true
  }
}

/** Removes one pair of quotes around the whole; `"a" and "b"` keeps its quotes. */
function unquote(text: string): string {
  const double = /^"((?:[^"\\]|\\.)*)"$/s.exec(text)
  if (double) return unescape(double[1] ?? "")
  return /^'([^']*)'$/s.exec(text)?.[1] ?? text
}

function unescape(quoted: string): string {
  return quoted.replace(/\\(["\\])/g, "$1")
}

function cutToBytes(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text
  const bytes = new TextEncoder().encode(text)
  if (bytes.length <= bytesMax) return text
  let end = bytesMax
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return new TextDecoder().decode(bytes.subarray(0, end))
}

/**
 * Finds the lines that start with `@remember:` in a stream of bytes, however it is chopped, and hands each on without
 * its line end, decoded as UTF-8. Holds at most LINE_BYTES_MAX bytes; the rest of a longer line is skipped.
 */
export class LineScanner {
  readonly #onLine: (line: string) => void
  /** The current line as far as it is known, while it may be one of ours. */
  #held = new Uint8Array(256)
  #length = 0
  /** All of the current line seen so far agrees with the prefix. */
  #open = true
  /** The held line was longer than we hold. */
  #overlong = false

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      if (!this.#open) {
        at = this.#nextCandidate(chunk, at)
        continue
      }
      const lineEnd = chunk.indexOf(NEWLINE, at)
      this.#hold(chunk.subarray(at, lineEnd < 0 ? chunk.length : lineEnd))
      if (!this.#open) continue
      if (lineEnd < 0) return
      this.#emit()
      at = lineEnd + 1
    }
  }

  /** Call once after the last bytes: a line that was never ended counts too. */
  end(): void {
    if (this.#open) this.#emit()
    this.#open = false
  }

  /** Where the next line begins that may be ours, or the end of the chunk. Native search: most output has no such line. */
  #nextCandidate(chunk: Uint8Array, from: number): number {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    const found = bytes.indexOf(LINE_START, from)
    if (found >= 0) {
      this.#open = true
      return found + 1
    }
    const lastEnd = bytes.lastIndexOf(NEWLINE)
    if (lastEnd < from || chunk.length - lastEnd > LINE_START.length) return chunk.length
    this.#open = true
    return lastEnd + 1
  }

  #hold(piece: Uint8Array): void {
    const fits = piece.subarray(0, LINE_BYTES_MAX - this.#length)
    this.#overlong ||= fits.length < piece.length
    if (this.#length + fits.length > this.#held.length) {
      const larger = new Uint8Array(Math.min(LINE_BYTES_MAX, (this.#length + fits.length) * 2))
      larger.set(this.#held.subarray(0, this.#length))
      this.#held = larger
    }
    const checkedFrom = this.#length
    this.#held.set(fits, this.#length)
    this.#length += fits.length
    for (let i = checkedFrom; i < Math.min(this.#length, PREFIX.length); i++) {
      if (this.#held[i] !== PREFIX[i]) {
        this.#open = false
        this.#length = 0
        this.#overlong = false
        return
      }
    }
  }

  #emit(): void {
    const length = this.#length
    const overlong = this.#overlong
    this.#length = 0
    this.#overlong = false
    if (length < PREFIX.length) return
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.#held.subarray(0, length))
    // A character that the limit cut in two was not said.
    this.#onLine(overlong ? text.replace(/\uFFFD$/, "") : text.replace(/\r$/, ""))
  }
}

const NEWLINE = 10
const PREFIX = new TextEncoder().encode(LINE_PREFIX)
const LINE_START = Buffer.from(`\n${LINE_PREFIX}`)
