import { expect, test } from "bun:test"
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { newShop } from "./shop.ts"

const FILE = `# my settings
context:
  gate: 0.5   # I like it quiet

projects:
  shop.v2: off
`

function withFile(text: string) {
  const shop = newShop()
  mkdirSync(shop.nsHome, { mode: 0o700 })
  const file = join(shop.nsHome, "config.yaml")
  writeFileSync(file, text, { mode: 0o600 })
  return { ...shop, file, read: () => readFileSync(file, "utf8") }
}

test("config set changes one value and keeps every comment", () => {
  const { nswrap, read, nsHome } = withFile(FILE)
  expect(nswrap(["config", "set", "context.gate", "0.4"])).toMatchObject({ status: 0, stdout: "context.gate = 0.4\n" })
  expect(read()).toBe(FILE.replace("0.5 ", "0.4 ").replace("   # I", " # I"))
  nswrap(["config", "set", "max_wait_ms", "300"])
  nswrap(["config", "set", "projects.other.one", "off"])
  expect(Bun.YAML.parse(read())).toEqual({ context: { gate: 0.4 }, projects: { "shop.v2": "off", "other.one": "off" }, max_wait_ms: 300 })
  expect(read()).toContain("# my settings")
  expect(readdirSync(nsHome)).toEqual(["config.yaml"])
})

test("config set makes the file, private, and what it set is what counts", () => {
  const { nswrap, json, nsHome } = newShop()
  nswrap(["config", "set", "token", "s3cret"])
  expect(statSync(join(nsHome, "config.yaml")).mode & 0o777).toBe(0o600)
  const rows = json<{ key: string; value: unknown; from: string }[]>(["config"])
  expect(rows.find(({ key }) => key === "token")).toMatchObject({ value: "(set)", from: "file" })
  expect(nswrap(["config"]).stdout).not.toContain("s3cret")
  expect(nswrap(["config", "get", "token"]).stdout).toBe("s3cret\n")
})

test("config unset gives the default back and leaves no empty group", () => {
  const { nswrap, read } = withFile(FILE)
  expect(nswrap(["config", "unset", "context.gate"]).stdout).toBe("context.gate is no longer set\n")
  expect(nswrap(["config", "get", "context.gate"]).stdout).toBe("0.3\n")
  expect(Bun.YAML.parse(read())).toEqual({ projects: { "shop.v2": "off" } })
  expect(nswrap(["config", "unset", "context.gate"]).stdout).toContain("was not set")
})

const refused: [string[], RegExp, number][] = [
  [["context.gat", "1"], /there is no setting context.gat; did you mean context.gate\?/, 2],
  [["context.gate", "2"], /context.gate cannot be "2"/, 2],
  [["max_wait_ms", "soon"], /max_wait_ms cannot be "soon"/, 2],
  [["projects.shop", "maybe"], /projects.shop cannot be "maybe": say on or off/, 2],
  [["tools.mine.channel", "pigeon"], /tools.mine.channel in the configuration must be "flag", "env", "stdin" or "file"/, 1],
  [["tools.mine.channle", "stdin"], /tools.mine.channle/, 1],
]
for (const [args, message, status] of refused) {
  test(`config set ${args.join(" ")} is refused and changes nothing`, () => {
    const { nswrap, read } = withFile(FILE)
    const ran = nswrap(["config", "set", ...args])
    expect(ran.stderr).toMatch(message)
    expect(ran.status).toBe(status)
    expect(read()).toBe(FILE)
  })
}

test("config set leaves a file alone that is no YAML", () => {
  const { nswrap, read } = withFile("a: [1\nb: }")
  expect(nswrap(["config", "set", "context.gate", "0.4"])).toMatchObject({ status: 1, stderr: expect.stringContaining("is not valid YAML") as string })
  expect(read()).toBe("a: [1\nb: }")
})

test("config says where a value comes from, and when the environment wins over what was set", () => {
  const { nswrap, json } = withFile(FILE)
  const env = { NS_MAX_WAIT_MS: "100" }
  const rows = json<{ key: string; value: unknown; from: string }[]>(["config"], { env })
  const of = (wanted: string) => rows.find(({ key }) => key === wanted)
  expect([of("max_wait_ms")?.from, of("context.gate")?.from, of("bind_port")?.from]).toEqual(["environment", "file", "default"])
  expect(nswrap(["config", "set", "max_wait_ms", "5"], { env }).stderr).toContain("NS_MAX_WAIT_MS is set in the environment and wins")
})

test("a tool of one's own can be set key by key and is then known", () => {
  const { nswrap, read } = withFile("")
  expect(nswrap(["config", "set", "tools.mine.channel", "stdin"]).status).toBe(0)
  expect(nswrap(["config", "set", "tools.mine.prompt", "[-m, --message]"]).status).toBe(0)
  expect(nswrap(["config", "set", "tools.mine.context", "off"]).status).toBe(0)
  expect(Bun.YAML.parse(read())).toEqual({ tools: { mine: { channel: "stdin", prompt: ["-m", "--message"], context: false } } })
  expect(nswrap(["doctor"]).stdout).not.toContain("tools.mine")
})

test("config --default prints a file that changes nothing, and every key in it can be uncommented", () => {
  const { nswrap, file, json } = withFile("")
  const defaults = nswrap(["config"]).stdout
  const text = nswrap(["config", "--default"]).stdout
  writeFileSync(file, text)
  expect(nswrap(["config"])).toMatchObject({ stdout: defaults, stderr: "" })
  writeFileSync(file, text.replace(/^( *)#(\w+: )/gm, "$1$2"))
  const rows = json<{ from: string; about: string }[]>(["config"]).filter(({ about }) => !/project|tool of yours/.test(about))
  expect(new Set(rows.map(({ from }) => from))).toEqual(new Set(["file"]))
})

test("config set tells when the file cannot be written", () => {
  if (process.getuid?.() === 0) return
  const { nswrap, nsHome } = withFile(FILE)
  chmodSync(nsHome, 0o500)
  expect(nswrap(["config", "set", "context.gate", "0.4"])).toMatchObject({ status: 1, stderr: expect.stringContaining("cannot be written (EACCES); nothing was changed") as string })
  chmodSync(nsHome, 0o700)
})
