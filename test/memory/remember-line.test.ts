import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { TEXT_BYTES_MAX } from "../../src/memory/memory.ts"
import { LINE_BYTES_MAX, LineScanner, parseRememberLine, type RememberLine } from "../../src/memory/remember-line.ts"

const plain: RememberLine = {
  text: "", kind: "note", scope: null, project: null, tool: null, confidence: 0.8, tags: [], cut: false,
}

describe("parseRememberLine()", () => {
  const cases: Record<string, [string, Partial<RememberLine> | null]> = {
    "takes a bare text": ["@remember: use tabs", { text: "use tabs" }],
    "needs no blank after the colon": ["@remember:use tabs", { text: "use tabs" }],
    "takes every option": [
      "@remember: kind=decision scope=project tool=claude confidence=0.9 tag=db tag=port the port is 5433",
      { text: "the port is 5433", kind: "decision", scope: "project", tool: "claude", confidence: 0.9, tags: ["db", "port"] },
    ],
    "takes quoted values": [`@remember: tag="a b" tag='c d' tag="e \\"f\\"" x`, { text: "x", tags: ["a b", "c d", `e "f"`] }],
    "reads NeuralSync's named project": ["@remember: scope=project:shop x", { text: "x", scope: "project", project: "shop" }],
    "takes tool none as every tool": ["@remember: tool=None x", { text: "x", tool: null }],
    "takes the last of two kinds": ["@remember: kind=fact kind=rule x", { text: "x", kind: "rule" }],
    "names a tag once": ["@remember: tag=a tag=a x", { text: "x", tags: ["a"] }],
    "keeps an apostrophe": ["@remember: don't use tabs", { text: "don't use tabs" }],
    "keeps an unbalanced quote": [`@remember: the 5" disk`, { text: `the 5" disk` }],
    "keeps an unbalanced option as text": [`@remember: tag="a b`, { text: `tag="a b` }],
    "keeps a URL that has an equals sign": ["@remember: https://x.y/?a=b first", { text: "https://x.y/?a=b first" }],
    "keeps an unknown key": ["@remember: x=1 is the default", { text: "x=1 is the default" }],
    "keeps an impossible confidence": ["@remember: confidence=high tag=a x", { text: "confidence=high tag=a x" }],
    "keeps a confidence above 1": ["@remember: confidence=5 x", { text: "confidence=5 x" }],
    "keeps a negative confidence": ["@remember: confidence=-1 x", { text: "confidence=-1 x" }],
    "keeps an unknown scope": ["@remember: scope=team x", { text: "scope=team x" }],
    "keeps an option without value": ["@remember: tag= x", { text: "tag= x" }],
    "keeps a key in capitals": ["@remember: KIND=rule x", { text: "KIND=rule x" }],
    "ends the options at the text": ["@remember: kind=rule set kind=fact", { text: "set kind=fact", kind: "rule" }],
    "keeps inner blanks and backslashes": ["@remember: a  b\\n\tc", { text: "a  b\\n\tc" }],
    "removes quotes around the whole text": [`@remember: "use tabs"`, { text: "use tabs" }],
    "removes single quotes around the whole text": ["@remember: 'use tabs'", { text: "use tabs" }],
    "keeps the quotes of two quoted words": [`@remember: "a" and "b"`, { text: `"a" and "b"` }],
    "says an option as text by quotes": [`@remember: "tag=x is how"`, { text: "tag=x is how" }],
    "drops the carriage return": ["@remember: use tabs\r", { text: "use tabs" }],
    "is nothing without text": ["@remember: kind=rule", null],
    "is nothing when empty": ["@remember: \t", null],
    "is nothing for quoted blanks": [`@remember: " "`, null],
    "must start at column 0": [" @remember: x", null],
    "is case-sensitive": ["@Remember: x", null],
    "needs the colon": ["@remember x", null],
  }
  for (const [claim, [line, expected]] of Object.entries(cases)) {
    test(claim, () => expect(parseRememberLine(line)).toEqual(expected && { ...plain, ...expected }))
  }

  test("cuts a text beyond 64 KiB at a character and says so", () => {
    const said = parseRememberLine(`@remember: a${"é".repeat(TEXT_BYTES_MAX / 2)}`)
    expect(said).toMatchObject({ cut: true, text: `a${"é".repeat(TEXT_BYTES_MAX / 2 - 1)}` })
    expect(parseRememberLine(`@remember: ${"é".repeat(TEXT_BYTES_MAX / 2)}`)?.cut).toBeFalse()
  })

  const anyText = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: fc.constantFrom(..."ab '\"\\=\t:@é€🙂".split(""), "tag=", "kind=") }))

  test("says any text when it is quoted", () => {
    fc.assert(fc.property(anyText, (text) => {
      const quoted = `"${text.replace(/[\\"]/g, "\\$&")}"`
      expect(parseRememberLine(`@remember: ${quoted}`)?.text ?? "").toBe(text.trim())
    }))
  })

  test("loses no word of any line, and never throws", () => {
    fc.assert(fc.property(anyText, (text) => {
      const said = parseRememberLine(`@remember: rule: ${text}`)
      expect(said?.text).toBe(`rule: ${text}`.replace(/[\r\n]+$/, "").trim())
      parseRememberLine(`@remember:${text}`)
      parseRememberLine(text)
    }))
  })
})

describe("LineScanner", () => {
  const scan = (bytes: Uint8Array, cuts: number[]): string[] => {
    const lines: string[] = []
    const scanner = new LineScanner((line) => lines.push(line))
    let from = 0
    for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
      // Each chunk lies in memory that is reused, as the relay's does.
      const chunk = bytes.slice(from, cut)
      scanner.push(chunk)
      chunk.fill(0x40)
      from = cut
    }
    scanner.end()
    return lines
  }
  const expected = (text: string) => text.split("\n").filter((line) => line.startsWith("@remember:")).map((line) => line.replace(/\r$/, ""))

  const piece = fc.oneof(
    fc.constantFrom("@remember:", "\n@remember:", "@", "\n", "\r\n", "\n@", "\n@@remember:", "@rememb", "\n@remember: é€🙂", "\n\n", "\0"),
    fc.string({ unit: "grapheme", maxLength: 12 }),
  )
  test("finds the same lines however the stream is chopped", () => {
    fc.assert(fc.property(fc.array(piece, { maxLength: 40 }), fc.array(fc.nat(), { maxLength: 30 }), (pieces, cuts) => {
      const text = pieces.join("")
      const bytes = new TextEncoder().encode(text)
      expect(scan(bytes, cuts.map((cut) => cut % (bytes.length + 1)))).toEqual(expected(text))
      expect(scan(bytes, bytes.map((_, i) => i) as unknown as number[])).toEqual(expected(text))
    }), { numRuns: 1000 })
  })

  test("takes any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300)), (bytes, cuts) => {
      scan(bytes, cuts.map((cut) => cut % (bytes.length + 1)))
    }))
  })

  test("hands on a last line without an end, once", () => {
    expect(scan(new TextEncoder().encode("x\n@remember: a"), [])).toEqual(["@remember: a"])
    expect(scan(new TextEncoder().encode("@remember: a\n"), [])).toEqual(["@remember: a"])
  })

  test("holds no more than its limit of an endless line, and goes on behind it", () => {
    const long = new TextEncoder().encode(`@remember: ${"é".repeat(LINE_BYTES_MAX)}\n@remember: next\n`)
    const [first = "", second] = scan(long, Array.from({ length: 30 }, (_, i) => i * 4001))
    expect(new TextEncoder().encode(first).length).toBeWithin(LINE_BYTES_MAX - 4, LINE_BYTES_MAX + 1)
    expect(first).not.toContain("\uFFFD")
    expect(second).toBe("@remember: next")
    expect(parseRememberLine(first)?.cut).toBeTrue()
  })
})
