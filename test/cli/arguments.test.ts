import { describe, expect, test } from "bun:test"
import { defineCommand } from "citty"
import fc from "fast-check"
import { closest, several, understand } from "../../src/cli/arguments.ts"
import { AVAILABLE, RESERVED } from "../../src/cli/names.ts"
import { COMMANDS } from "../../src/cli/commands.ts"
import { newShop } from "./shop.ts"

const command = defineCommand({
  args: {
    text: { type: "positional", required: false, valueHint: "TEXT…" },
    kind: { type: "string", valueHint: "KIND" },
    tag: { type: "string", valueHint: "TAG…" },
    limit: { type: "string", alias: ["k"], valueHint: "N" },
    pin: { type: "boolean" },
    yes: { type: "boolean", alias: ["y"] },
  },
}) as never

const cases: [string, string[], string[]][] = [
  ["a value of its own or attached", ["--kind", "rule", "--limit=3"], ["--kind=rule", "--limit=3", "--"]],
  ["a short option with its value attached", ["-k3"], ["--limit=3", "--"]],
  ["an option given twice: the last", ["--kind", "a", "--kind", "b"], ["--kind=b", "--"]],
  ["a repeatable one: all", ["--tag", "a", "--tag=b,c"], ["--tag=a\nb,c", "--"]],
  ["switches, also off", ["--pin", "-y", "--no-pin"], ["--no-pin", "--yes", "--"]],
  ["words after --", ["--pin", "--", "--kind", "-x"], ["--pin", "--", "--kind", "-x"]],
  ["a text that begins with a dash", ["- buy milk", "-"], ["--", "- buy milk", "-"]],
  ["a value that looks like an option", ["--kind", "--pin"], ["--kind=--pin", "--"]],
]
for (const [name, argv, expected] of cases) {
  test(`understand() reads ${name}`, async () => {
    expect((await understand("x", command, argv)).rawArgs).toEqual(expected)
  })
}

test("understand() gives back any words that stand after --", async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.string()), async (words) => {
    expect((await understand("x", command, ["--pin", "--", ...words])).rawArgs).toEqual(["--pin", "--", ...words])
  }))
})

const wrong: [string[], string][] = [
  [["list", "--knd", "rule"], "list has no option --knd; did you mean --kind?"],
  [["list", "-z"], "list has no option -z; nswrap help list lists the options; put -- before words that begin with a dash"],
  [["list", "--kind"], "--kind needs a value (KIND)"],
  [["list", "--json=1"], "--json takes no value"],
  [["list", "shop"], 'list does not know what to do with "shop"; see nswrap help list'],
  [["list", "--limit", "many"], '--limit cannot be "many": say a whole number from 1'],
  [["show"], "show needs ID; see nswrap help show"],
  [["persona", "gte"], 'persona does not know "gte"; did you mean get?; it knows get, set, edit, history'],
  [["tidy"], "tidy is reserved for a later version of nswrap; nswrap -- tidy runs a program of that name"],
  [["help", "lsit"], "there is no command lsit; did you mean list?; nswrap help lists them"],
  [["shell-init", "tcsh"], "shell-init knows bash, zsh, fish, not tcsh"],
]
for (const [argv, message] of wrong) {
  test(`nswrap ${argv.join(" ")}: status 2 and one line`, () => {
    const { nswrap } = newShop()
    expect(nswrap(argv)).toMatchObject({ status: 2, stdout: "", stderr: `nswrap: ${message}\n` })
  })
}

describe("help", () => {
  const { nswrap } = newShop()
  for (const argv of [[], ["--help"], ["-h"]]) {
    test(`nswrap ${argv.join(" ")} is short and has examples`, () => {
      const ran = nswrap(argv)
      expect(ran).toMatchObject({ status: 0, stderr: "" })
      expect(ran.stdout.trimEnd().split("\n").length).toBeLessThanOrEqual(25)
      expect(ran.stdout).toContain('nswrap -- claude "')
    })
  }

  test("nswrap help lists every command once, and no line is wider than 120", () => {
    const { stdout } = nswrap(["help"])
    for (const name of Object.keys(COMMANDS)) expect(stdout.split("\n").filter((line) => line.startsWith(`  ${name} `))).toHaveLength(1)
    for (const name of Object.keys(COMMANDS)) for (const line of nswrap(["help", name]).stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(120)
  })

  test("every command explains itself, by help NAME and NAME --help alike, and runs nothing", () => {
    for (const name of Object.keys(COMMANDS)) {
      const [a, b] = [nswrap(["help", name]), nswrap([name, "--help"])]
      expect(a.stdout).toBe(b.stdout)
      expect(a.stdout).toContain(`Usage: nswrap ${name}`)
      expect([a.status, b.status]).toEqual([0, 0])
    }
    expect(nswrap(["help", "persona", "set"]).stdout).toContain("Usage: nswrap persona set")
  })
})

test("a command that exists is reserved, and what is announced as available exists", () => {
  for (const name of Object.keys(COMMANDS)) expect(AVAILABLE.has(name)).toBe(true)
  for (const name of AVAILABLE) expect(RESERVED.has(name)).toBe(true)
  for (const name of AVAILABLE) if (!["help", "version"].includes(name)) expect(Object.keys(COMMANDS)).toContain(name)
})

test("closest() finds swapped, missing and doubled letters, and nothing far", () => {
  const names = [...AVAILABLE]
  expect(["lsit", "rememer", "doctorr", "confg", "xyzzy", "claude"].map((word) => closest(word, names))).toEqual(["list", "remember", "doctor", "config", null, null])
})

test("several() splits at commas and repetitions, once each", () => {
  expect(several("a, b\nc,a,,")).toEqual(["a", "b", "c"])
})
