import { expect, test } from "bun:test"
import fc from "fast-check"
import { cut, table, visible } from "../../src/cli/output.ts"
import { binary, cleanEnvironment } from "../helpers/binary.ts"
import { newShop } from "./shop.ts"

test("table() aligns wide characters and keeps every line within the terminal", () => {
  const columns = [{ title: "id" }, { title: "text", flexible: true }]
  expect(table(columns, [["ab", "日本語"], ["abcd", "x"]], null)).toBe("id    text\nab    日本語\nabcd  x")
  fc.assert(fc.property(fc.array(fc.tuple(fc.string({ unit: "grapheme", maxLength: 12 }), fc.string({ unit: "grapheme" }))), fc.integer({ min: 20, max: 100 }), (rows, width) => {
    for (const line of table(columns, rows, width).split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width)
  }))
})

test("cut() never exceeds the width and keeps what fits", () => {
  expect([cut("hello", 5), cut("hello!", 5), cut("日本語", 5), cut("👩‍👩‍👧‍👦 family", 4)]).toEqual(["hello", "hell…", "日本…", "👩‍👩‍👧‍👦 …"])
})

test("visible() leaves no control character but newline and tab", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    expect(visible(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
  }))
  expect(visible("a\tb\nc")).toBe("a\tb\nc")
})

test("a reader that goes away ends a command quietly, with the status of SIGPIPE", () => {
  const { home, remember } = newShop()
  for (let i = 0; i < 4; i++) remember(`${i} ${"x".repeat(60_000)}`)
  const { stdout, stderr } = Bun.spawnSync(["bash", "-c", `"${binary()}" list --all-projects | head -c 10 > /dev/null; echo "\${PIPESTATUS[0]}"`], { env: cleanEnvironment(home), cwd: home })
  expect({ status: stdout.toString(), stderr: stderr.toString() }).toEqual({ status: "141\n", stderr: "" })
})

/** Runs the binary under a terminal of 60 columns and types lines into it. */
async function atTerminal(home: string, cwd: string, { args, type = "", env = {} }: { args: string[]; type?: string; env?: Record<string, string> }) {
  let output = ""
  const child = Bun.spawn([binary(), ...args], {
    cwd, env: { ...cleanEnvironment(home), TERM: "xterm", ...env },
    terminal: { cols: 60, rows: 24, data: (_terminal, bytes) => void (output += new TextDecoder().decode(bytes)) },
  })
  if (type !== "") {
    const deadline = Date.now() + 10_000
    while (!/(\]|stop:) $/.test(output) && Date.now() < deadline) await Bun.sleep(10)
    child.terminal?.write(type)
  }
  const status = await child.exited
  await Bun.sleep(30)
  child.terminal?.close()
  return { status, output: output.replaceAll("\r\n", "\n") }
}

test("at a terminal nothing is wider than it, headings are coloured, NO_COLOR is obeyed", async () => {
  const { home, shop, remember } = newShop()
  remember("日本語 ".repeat(40))
  const coloured = await atTerminal(home, shop, { args: ["list"] })
  expect(coloured.output).toContain("\u001b[2m")
  const plain = await atTerminal(home, shop, { args: ["list"], env: { NO_COLOR: "1" } })
  expect(plain.output).not.toContain("\u001b[")
  for (const line of plain.output.split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(60)
})

test("at a terminal a near-duplicate is asked about: y supersedes, Enter does not", async () => {
  const { home, shop, json, remember } = newShop()
  remember("The staging database of the shop listens on port 5433 behind the proxy")
  const no = await atTerminal(home, shop, { args: ["remember", "The staging database of the shop listens on port 5434 behind the proxy"], type: "\n" })
  expect(no.output).toContain("Does the new one supersede it? [y/N]")
  expect(json<unknown[]>(["list"])).toHaveLength(2)
  const yes = await atTerminal(home, shop, { args: ["remember", "The staging database of the shop listens on port 5435 behind the proxy"], type: "y\nn\n" })
  expect(yes.output).toContain("superseded")
  expect(json<unknown[]>(["list"])).toHaveLength(2)
})

test("at a terminal forget by words asks which", async () => {
  const { home, shop, json, remember } = newShop()
  const [a] = [remember("staging database one"), remember("staging queue two")]
  const ran = await atTerminal(home, shop, { args: ["forget", "staging"], type: `${a.short_id}\n` })
  expect(ran.output).toContain(`forgot ${a.short_id}`)
  expect(json<unknown[]>(["list"])).toHaveLength(1)
})
