import { readSync, writeSync } from "node:fs"
import { isTerminal } from "../system/libc.ts"

/** Exit status of a program that SIGPIPE ended: what `nswrap list | head -1` would be in C. */
const STATUS_PIPE = 141
const LINE_BYTES_MAX = 64 * 1024

/** Writes text and a newline to stdout, all of it before it returns. A reader that went away ends us quietly. */
export function print(text: string): void {
  write(1, `${text}\n`)
}

/** A line for the user that is no data: stderr. */
export function tell(text: string): void {
  write(2, `${text}\n`)
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

export interface Column {
  title: string
  /** The one column that gives way when the terminal is too narrow. */
  flexible?: boolean
  align?: "left" | "right"
}

/**
 * Rows under a heading, aligned by display width (CJK and emoji take two cells). On a terminal no line is wider than
 * it: the flexible column is cut. Elsewhere nothing is cut. No trailing blanks.
 */
export function table(columns: Column[], rows: string[][], width: number | null = terminalWidth()): string {
  const cells = rows.map((row) => row.map(oneLine))
  const widths = columns.map((column, at) => Math.max(Bun.stringWidth(column.title), ...cells.map((row) => Bun.stringWidth(row[at] ?? ""))))
  if (width !== null) {
    const flexible = columns.findIndex((column) => column.flexible)
    const total = widths.reduce((sum, each) => sum + each, 0) + 2 * (columns.length - 1)
    if (flexible >= 0 && total > width) widths[flexible] = Math.max(8, widths[flexible]! - (total - width))
  }
  const line = (row: string[]) => {
    const text = row.map((cell, at) => pad(cut(cell, widths[at]!), widths[at]!, columns[at]?.align ?? "left")).join("  ").trimEnd()
    return width === null ? text : cut(text, width)
  }
  return [dim(line(columns.map((column) => column.title))), ...cells.map(line)].join("\n")
}

/** Cells of the terminal's line; null when stdout is none. */
export function terminalWidth(): number | null {
  if (!isTerminal(1)) return null
  const columns = process.stdout.columns
  return columns > 0 ? columns : 80
}

/** At most `width` cells, the last of them `…` where something was cut. */
export function cut(text: string, width: number): string {
  if (Bun.stringWidth(text) <= width) return text
  let kept = ""
  let used = 0
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const cells = Bun.stringWidth(segment)
    if (used + cells > width - 1) break
    kept += segment
    used += cells
  }
  return `${kept}…`
}

/** Text on one line, without what could move the cursor or recolour the terminal. */
export function oneLine(text: string): string {
  return visible(text).replace(/\s+/g, " ").trim()
}

/** A stored text must not drive the user's terminal: control characters but newline and tab become `\x1b` and so on. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`)
}

export function dim(text: string): string {
  return paint(text, "2", "22")
}

export function bold(text: string): string {
  return paint(text, "1", "22")
}

/** 2026-11-03, in the user's own time zone. */
export function date(at: number): string {
  const day = new Date(at)
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`
}

/** 2026-11-03 14:05, in the user's own time zone. */
export function dateTime(at: number): string {
  const day = new Date(at)
  return `${date(at)} ${two(day.getHours())}:${two(day.getMinutes())}`
}

/** Can the user be asked? Both ends must be a terminal, the question goes to stderr. */
export function isInteractive(): boolean {
  return isTerminal(0) && isTerminal(2)
}

/** Asks y/N; anything but y or yes is no. Ask only when isInteractive(). */
export function confirm(question: string): boolean {
  return /^\s*y(es)?\s*$/i.test(ask(`${question} [y/N] `))
}

/** One line from the terminal, without its newline; "" at its end. */
export function ask(question: string): string {
  write(2, question)
  const bytes: number[] = []
  const one = new Uint8Array(1)
  while (bytes.length < LINE_BYTES_MAX) {
    try {
      if (readSync(0, one, 0, 1, null) === 0 || one[0] === 10) break
      bytes.push(one[0]!)
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") break
      Bun.sleepSync(20)
    }
  }
  return new TextDecoder().decode(new Uint8Array(bytes))
}

function write(fd: 1 | 2, text: string): void {
  let rest = new TextEncoder().encode(text)
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest))
    } catch (error) {
      const code = (error as { code?: string }).code
      if (code === "EAGAIN") Bun.sleepSync(1)
      else if (fd === 2) return
      else if (code === "EPIPE") process.exit(STATUS_PIPE)
      else throw error
    }
  }
}

function paint(text: string, on: string, off: string): string {
  return hasColour() ? `\u001b[${on}m${text}\u001b[${off}m` : text
}

function hasColour(): boolean {
  return !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb" && isTerminal(1)
}

function pad(text: string, width: number, align: "left" | "right"): string {
  const blanks = " ".repeat(Math.max(0, width - Bun.stringWidth(text)))
  return align === "left" ? text + blanks : blanks + text
}

function two(number: number): string {
  return String(number).padStart(2, "0")
}
