import { afterAll, describe, expect, test } from "bun:test"
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import fc from "fast-check"
import { applyChannel, argumentsOf, contentName, tomlString, type ChannelInput, type Injection, type Part } from "../../src/wrap/channel.ts"
import { saveFiles } from "../../src/wrap/context-file.ts"
import { identify, readCommand, toolFromConfig, type Tool } from "../../src/wrap/tools.ts"

const home = mkdtempSync(join(tmpdir(), "nswrap-channel-"))
const contexts = join(home, "context")
const STAND_INS = join(import.meta.dir, "../fixtures/stand-ins")
const TEXT = "<context>\nI like \"quotes\", C:\\paths and ünïcode.\n</context>\n"
const FILE = join(contexts, `${contentName(TEXT)}.md`)
mkdirSync(contexts)
writeFileSync(FILE, TEXT)
afterAll(() => rmSync(home, { recursive: true, force: true }))

type Options = Partial<Omit<ChannelInput, "argv" | "identified" | "reading">> & { extra?: Tool[] }

function inject(argv: string[], options: Options = {}): Injection {
  const { extra, ...rest } = options
  const identified = identify(argv, extra)
  return applyChannel({
    argv, identified, reading: readCommand(identified.tool, argv.slice(identified.at + 1)),
    context: { text: TEXT, file: FILE }, env: { HOME: home }, cwd: home, contexts, stdin: "tty", ...rest,
  })
}

function run(argv: string[], options: Options = {}): string[] {
  return argumentsOf(inject(argv, options).argv, argv)
}

/** What is in the one file that an injection adds to what the user gave. */
function onlyFile(injection: Injection): string {
  expect(injection.files).toHaveLength(1)
  const [file] = injection.files as [Injection["files"][number]]
  expect(dirname(file.path)).toBe(contexts)
  return file.text
}

function userFile(name: string, text: string): string {
  const path = join(home, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

const unchanged = (argv: string[]): Part[] => argv.map((_, raw) => ({ raw }))

describe("claude", () => {
  test("gets the file right after the program", () => {
    const injection = inject(["claude", "-p", "hi"])
    expect(injection).toMatchObject({ channel: "flag", usesArgv: false, files: [], stdinPrefix: null, notice: null, environment: { NS_CONTEXT_FILE: FILE } })
    expect(injection.argv).toEqual([{ raw: 0 }, "--append-system-prompt-file", FILE, { raw: 1 }, { raw: 2 }])
  })
  test("after a launcher, right after the program it runs", () => {
    expect(run(["npx", "-y", "@anthropic-ai/claude-code", "-p", "hi"]).slice(0, 5)).toEqual(["npx", "-y", "@anthropic-ai/claude-code", "--append-system-prompt-file", FILE])
  })
  test.each([
    ["--append-system-prompt", [["--append-system-prompt", "Be brief."]]],
    ["--append-system-prompt=", [["--append-system-prompt=Be brief."]]],
    ["-file", [["--append-system-prompt-file", userFile("own.md", "Be brief.\n")]]],
    ["-file=", [[`--append-system-prompt-file=${userFile("own.md", "Be brief.\n")}`]]],
    ["-file with ~", [["--append-system-prompt-file", "~/own.md"]]],
    ["-file relative", [["--append-system-prompt-file", "own.md"]]],
    ["the last of two", [["--append-system-prompt", "never heard"], ["--append-system-prompt", "Be brief."]]],
  ])("the user's own %s becomes one file with ours, theirs first", (_, flags) => {
    const argv = ["claude", "--model", "opus", ...flags.flat(), "-p", "hi"]
    const injection = inject(argv)
    expect(onlyFile(injection)).toBe(`Be brief.\n\n${TEXT}`)
    expect(argumentsOf(injection.argv, argv)).toEqual(["claude", "--append-system-prompt-file", injection.files[0]!.path, "--model", "opus", "-p", "hi"])
  })
  test("both of the user's flags are joined as claude joins them", () => {
    const injection = inject(["claude", "--append-system-prompt", "two", "--append-system-prompt-file", userFile("one.md", "one")])
    expect(onlyFile(injection)).toBe(`one\n\ntwo\n\n${TEXT}`)
  })
  test.each([join(home, "absent.md"), `/dev/..${userFile("device.md", "a pipe can be read once")}`, "/proc/self/status", ""])("a user's file that cannot be read (%p) stays the user's business", file => {
    const argv = ["claude", "--append-system-prompt-file", file, "-p", "hi"]
    expect(inject(argv)).toMatchObject({ channel: "file", argv: unchanged(argv), files: [], environment: { NS_CONTEXT_FILE: FILE }, notice: expect.stringContaining("--append-system-prompt-file") })
  })
  test("a flag that is only a value, or comes after --, is none", () => {
    expect(inject(["claude", "--model", "--append-system-prompt", "-p"]).files).toEqual([])
    expect(inject(["claude", "-p", "--", "--append-system-prompt"]).files).toEqual([])
  })
  test("--system-prompt, --bare and --safe-mode stay", () => {
    expect(run(["claude", "--bare", "--system-prompt", "x", "-p", "hi"])).toEqual(["claude", "--append-system-prompt-file", FILE, "--bare", "--system-prompt", "x", "-p", "hi"])
  })
  test("too old a version gets the file alone, and the user is told", () => {
    const argv = ["claude", "-p", "hi"]
    expect(inject(argv, { version: "2.0.5" })).toMatchObject({ channel: "file", argv: unchanged(argv), notice: expect.stringContaining("2.0.34") })
    expect(inject(argv, { version: "2.0.34" }).channel).toBe("flag")
    expect(inject(argv, { version: null }).channel).toBe("flag")
  })
})

describe("codex", () => {
  const instructions = (argv: string[], options: Options = {}) => {
    const value = run(argv, options)[2]!
    expect(value).toStartWith("developer_instructions=")
    return (Bun.TOML.parse(value) as { developer_instructions: string }).developer_instructions
  }
  const codexHome = (config: string, more: Record<string, string> = {}) => {
    const directory = mkdtempSync(join(home, "codex-"))
    writeFileSync(join(directory, "config.toml"), config)
    for (const [name, text] of Object.entries(more)) writeFileSync(join(directory, name), text)
    return { HOME: home, CODEX_HOME: directory }
  }

  test("gets one -c right after the program", () => {
    const injection = inject(["codex", "exec", "hi"])
    expect(injection).toMatchObject({ channel: "codex", usesArgv: true, files: [] })
    expect(injection.argv).toEqual([{ raw: 0 }, "-c", `developer_instructions=${tomlString(TEXT)}`, { raw: 1 }, { raw: 2 }])
    expect(instructions(["codex", "exec", "hi"])).toBe(TEXT)
  })
  test.each([
    ["a basic string", ["-c", 'developer_instructions="Be \\"brief\\"."'], 'Be "brief".'],
    ["a literal string", ["-c", "developer_instructions='C:\\x'"], "C:\\x"],
    ["a multi-line string", ["-c", 'developer_instructions="""\nBe\nbrief."""'], "Be\nbrief."],
    ["no string at all", ["-c", "developer_instructions=Be brief, please"], "Be brief, please"],
    ["spaces around =", ["-c", ' developer_instructions = "Be brief."'], "Be brief."],
    ["--config K=V", ["--config", 'developer_instructions="Be brief."'], "Be brief."],
    ["--config=K=V", ['--config=developer_instructions="Be brief."'], "Be brief."],
    ["-cK=V", ['-cdeveloper_instructions="Be brief."'], "Be brief."],
    ["the last of two", ["-c", 'developer_instructions="x"', "-c", 'developer_instructions="Be brief."'], "Be brief."],
  ])("the user's own -c as %s comes first", (_, flags, theirs) => {
    for (const argv of [["codex", ...flags, "exec", "hi"], ["codex", "exec", ...flags, "-m", "o3", "hi"]]) {
      expect(instructions(argv)).toBe(`${theirs}\n\n${TEXT}`)
      expect(run(argv).filter(arg => arg.includes("developer_instructions"))).toHaveLength(1)
      expect(run(argv).at(-1)).toBe("hi")
    }
  })
  test("other -c flags stay", () => {
    expect(run(["codex", "-c", "model=o3", "exec", "hi"]).slice(3)).toEqual(["-c", "model=o3", "exec", "hi"])
  })
  test("a -c that is no string is left alone", () => {
    const argv = ["codex", "exec", "-c", "developer_instructions=5", "hi"]
    expect(inject(argv)).toMatchObject({ channel: "file", argv: unchanged(argv), notice: expect.any(String) })
  })
  test("the user's configuration comes first", () => {
    const env = codexHome('model = "o3"\ndeveloper_instructions = """\nBe\nbrief."""\n[profiles.x]\nmodel = "a"\n')
    expect(instructions(["codex", "exec", "hi"], { env })).toBe(`Be\nbrief.\n\n${TEXT}`)
    expect(instructions(["codex", "exec", "-c", 'developer_instructions="cli"', "hi"], { env })).toBe(`cli\n\n${TEXT}`)
    expect(instructions(["codex", "exec", "--ignore-user-config", "hi"], { env })).toBe(TEXT)
  })
  test("${HOME}/.codex is the place when CODEX_HOME is not set", () => {
    const directory = mkdtempSync(join(home, "h-"))
    mkdirSync(join(directory, ".codex"))
    writeFileSync(join(directory, ".codex/config.toml"), 'developer_instructions = "Be brief."')
    expect(instructions(["codex", "hi"], { env: { HOME: directory } })).toBe(`Be brief.\n\n${TEXT}`)
    expect(instructions(["codex", "hi"], { env: { HOME: directory }, cwd: directory })).toBe(`Be brief.\n\n${TEXT}`)
  })
  test("at home, the user's configuration is not taken for a project's", () => {
    const directory = mkdtempSync(join(home, "h-"))
    mkdirSync(join(directory, ".codex"))
    writeFileSync(join(directory, ".codex/config.toml"), `developer_instructions = "base"\n[projects."${directory}"]\ntrust_level = "trusted"\n`)
    writeFileSync(join(directory, ".codex/work.config.toml"), 'developer_instructions = "work"')
    expect(instructions(["codex", "-p", "work", "hi"], { env: { HOME: directory }, cwd: directory })).toBe(`work\n\n${TEXT}`)
  })
  test("a profile hides the base, in a file of its own or in the old table", () => {
    const env = codexHome('developer_instructions = "base"\n[profiles.old]\ndeveloper_instructions = "old"\n', { "work.config.toml": 'developer_instructions = "work"' })
    expect(instructions(["codex", "-p", "work", "hi"], { env })).toBe(`work\n\n${TEXT}`)
    expect(instructions(["codex", "--profile=old", "hi"], { env })).toBe(`old\n\n${TEXT}`)
    expect(instructions(["codex", "-p", "none", "hi"], { env })).toBe(`base\n\n${TEXT}`)
  })
  test("a project's configuration counts where the project is trusted, and never elsewhere", () => {
    const project = mkdtempSync(join(home, "p-"))
    mkdirSync(join(project, ".codex"))
    mkdirSync(join(project, "sub"))
    writeFileSync(join(project, ".codex/config.toml"), 'developer_instructions = "PROJECT"')
    const trusting = codexHome(`developer_instructions = "user"\n[projects."${project}"]\ntrust_level = "trusted"\n`)
    const wary = codexHome(`developer_instructions = "user"\n[projects."${project}"]\ntrust_level = "untrusted"\n`)
    expect(instructions(["codex", "hi"], { env: trusting, cwd: join(project, "sub") })).toBe(`PROJECT\n\n${TEXT}`)
    expect(instructions(["codex", "-C", project, "hi"], { env: trusting })).toBe(`PROJECT\n\n${TEXT}`)
    expect(instructions(["codex", "hi"], { env: wary, cwd: project })).toBe(`user\n\n${TEXT}`)
    expect(instructions(["codex", "hi"], { cwd: project })).toBe(TEXT)
  })
  test("a configuration that cannot be read is not overridden", () => {
    const argv = ["codex", "hi"]
    for (const broken of ['developer_instructions = "open', "developer_instructions = [1]"]) {
      expect(inject(argv, { env: codexHome(broken) })).toMatchObject({ channel: "file", argv: unchanged(argv) })
    }
  })
  test("more than an argument can hold is not tried", () => {
    const argv = ["codex", "-c", `developer_instructions="${"x".repeat(130 * 1024)}"`, "hi"]
    expect(inject(argv)).toMatchObject({ channel: "file", argv: unchanged(argv), notice: expect.stringContaining("too long") })
  })
  test("any text survives TOML", () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" })), text => {
      expect((Bun.TOML.parse(`x = ${tomlString(text)}`) as { x: string }).x).toBe(text)
    }), { numRuns: 500 })
    for (let code = 0; code < 0x100; code++) {
      const text = `a${String.fromCharCode(code)}b`
      expect((Bun.TOML.parse(`x = ${tomlString(text)}`) as { x: string }).x).toBe(text)
    }
  })
})

describe("gemini", () => {
  const PREFIX = `${TEXT.trimEnd()}\n\n`
  const prefixOf = (argv: string[], stdin: ChannelInput["stdin"]) => {
    const { stdinPrefix } = inject(argv, { stdin })
    return stdinPrefix && new TextDecoder().decode(stdinPrefix)
  }
  test.each([
    ["-p with a pipe", ["gemini", "-p", "hi"], "pipe"], ["-p with a file", ["gemini", "-p", "hi"], "file"], ["-p at a terminal", ["gemini", "-p", "hi"], "tty"],
    ["-p with stdin closed", ["gemini", "-p", "hi"], "none"], ["a pipe alone", ["gemini"], "pipe"], ["a question and a pipe", ["gemini", "explain this"], "pipe"],
  ] as const)("%s: before stdin", (_, argv, stdin) => {
    expect(prefixOf([...argv], stdin)).toBe(PREFIX)
    expect(inject([...argv], { stdin })).toMatchObject({ channel: "stdin", argv: unchanged([...argv]), usesArgv: false, notice: null })
  })
  test.each([[["gemini"]], [["gemini", "explain this"]], [["gemini", "-i", "explain this"]]])("%p at a terminal: no channel, and the user is told", argv => {
    expect(inject(argv)).toMatchObject({ channel: "file", stdinPrefix: null, notice: expect.stringContaining("no channel") })
  })
})

describe("opencode", () => {
  const config = (env: Record<string, string>) => {
    const value = inject(["opencode", "run", "hi"], { env }).environment.OPENCODE_CONFIG_CONTENT
    return value === undefined ? null : (JSON.parse(value) as unknown)
  }
  test.each([
    ["nothing", {}, { instructions: [FILE] }],
    ["an empty value", { OPENCODE_CONFIG_CONTENT: " " }, { instructions: [FILE] }],
    ["other settings", { OPENCODE_CONFIG_CONTENT: '{"model":"a/b"}' }, { model: "a/b", instructions: [FILE] }],
    ["own instructions", { OPENCODE_CONFIG_CONTENT: '{"instructions":["/own.md"]}' }, { instructions: ["/own.md", FILE] }],
    ["comments and commas", { OPENCODE_CONFIG_CONTENT: '{/* a */"instructions":["http://x//y",],// b\n}' }, { instructions: ["http://x//y", FILE] }],
  ])("%s", (_, env, expected) => {
    expect(config(env)).toEqual(expected)
  })
  test.each(["{", "[]", '{"instructions":"one"}', "null"])("a value that we do not understand (%s) stays", value => {
    const argv = ["opencode", "run", "hi"]
    const injection = inject(argv, { env: { OPENCODE_CONFIG_CONTENT: value } })
    expect(injection).toMatchObject({ channel: "file", argv: unchanged(argv), notice: expect.stringContaining("OPENCODE_CONFIG_CONTENT") })
    expect(injection.environment).toEqual({ NS_CONTEXT_FILE: FILE })
  })
  test("env in the command line has the last word", () => {
    for (const argv of [["env", "-i", "opencode", "run", "hi"], ["env", "OPENCODE_CONFIG_CONTENT={}", "opencode", "run", "hi"]]) {
      expect(inject(argv)).toMatchObject({ channel: "file", argv: unchanged(argv), notice: expect.any(String) })
    }
    expect(inject(["env", "A=b", "opencode", "run", "hi"]).channel).toBe("opencode")
  })
})

describe("qwen", () => {
  test("gets the text in one argument", () => {
    expect(inject(["qwen", "-p", "hi"])).toMatchObject({ usesArgv: true, argv: [{ raw: 0 }, `--append-system-prompt=${TEXT}`, { raw: 1 }, { raw: 2 }] })
  })
  test.each([[["--append-system-prompt", "Be brief."]], [["--append-system-prompt=Be brief."]]])("with the user's own %p first", flags => {
    expect(run(["qwen", ...flags, "-p", "hi"])).toEqual(["qwen", `--append-system-prompt=Be brief.\n\n${TEXT}`, "-p", "hi"])
  })
  test("a NUL cannot be in an argument", () => {
    expect(run(["qwen", "-p", "hi"], { context: { text: "a\0b", file: FILE } })[1]).toBe("--append-system-prompt=ab")
  })
})

describe("copilot", () => {
  test("gets a plugin whose hook prints the context, and the command of the hook works", async () => {
    const hostile = join(home, "it's here; touch pwned")
    const argv = ["copilot", "-p", "hi"]
    const injection = inject(argv, { contexts: hostile })
    const [flag, directory] = argumentsOf(injection.argv, argv).slice(1, 3) as [string, string]
    expect(flag).toBe("--plugin-dir")
    expect(argumentsOf(injection.argv, argv).slice(3)).toEqual(["-p", "hi"])
    write(injection)
    const plugin = (await Bun.file(join(directory, "plugin.json")).json()) as { hooks: string }
    const hooks = (await Bun.file(join(directory, plugin.hooks)).json()) as { version: number; hooks: { sessionStart: { bash: string }[] } }
    expect(hooks.version).toBe(1)
    expect(JSON.stringify(hooks)).toContain("it''s here")
    const ran = Bun.spawnSync(["bash", "-c", hooks.hooks.sessionStart[0]!.bash], { cwd: home })
    expect(JSON.parse(ran.stdout.toString())).toEqual({ additionalContext: TEXT })
    expect(existsSync(join(home, "pwned"))).toBe(false)
  })
  test("the directory is the same for the same context, and another for another", () => {
    const directory = (text: string) => run(["copilot"], { context: { text, file: FILE } })[2]
    expect(directory("a")).toBe(directory("a")!)
    expect(directory("a")).not.toBe(directory("b")!)
  })
  test("the user's own plugins stay", () => {
    expect(run(["copilot", "--plugin-dir", "/own", "-p", "hi"]).slice(3)).toEqual(["--plugin-dir", "/own", "-p", "hi"])
  })
})

/** Writes what an injection wants written. */
function write(injection: Injection): void {
  expect(saveFiles(injection.files, { dryRun: false })).toBe(true)
}

test("the files of an injection are the user's alone, written once, and none in a dry run", () => {
  const place = join(home, "fresh")
  const { files } = inject(["copilot"], { contexts: place })
  expect(saveFiles(files, { dryRun: true })).toBe(true)
  expect(existsSync(place)).toBe(false)
  expect(saveFiles(files, { dryRun: false })).toBe(true)
  const before = files.map(({ path }) => statSync(path))
  expect(before.map(({ mode }) => mode & 0o777)).toEqual(files.map(() => 0o600))
  expect(statSync(dirname(files[0]!.path)).mode & 0o777).toBe(0o700)
  expect(saveFiles(files, { dryRun: false })).toBe(true)
  expect(files.map(({ path }) => statSync(path).ino)).toEqual(before.map(({ ino }) => ino))
  expect(saveFiles([{ path: `${files[0]!.path}/under/a/file`, text: "x" }], { dryRun: false })).toBe(false)
})

/** Starts a stand-in with the injection, piping in `piped` after the prefix; returns what it says it received. */
function start(argv: string[], options: Options & { piped?: string } = {}): { said: Record<string, unknown>; injection: Injection } {
  const { piped, ...rest } = options
  const injection = inject(argv, { stdin: piped === undefined ? "none" : "pipe", ...rest })
  write(injection)
  const [program, ...args] = argumentsOf(injection.argv, argv)
  const stdin = Buffer.concat([injection.stdinPrefix ?? new Uint8Array(), Buffer.from(piped ?? "")])
  const child = Bun.spawnSync([join(STAND_INS, program!), ...args], {
    cwd: rest.cwd ?? home, stdin,
    env: { PATH: process.env.PATH, HOME: home, ...(rest.env as Record<string, string>), ...injection.environment },
  })
  if (child.exitCode !== 0) throw new Error(child.stderr.toString())
  return { said: JSON.parse(child.stdout.toString()) as Record<string, unknown>, injection }
}

describe("tools that are only read about, as their documentation says they behave", () => {
  test("aider reads our file beside the user's", () => {
    expect(start(["aider", "--read", userFile("conventions.md", "tabs"), "-m", "fix it", "a.py"]).said)
      .toEqual({ message: "fix it", files: ["a.py"], read: [TEXT, "tabs"] })
  })
  test.each([
    ["one name", "read: conv.md # ours\n"], ["quoted", 'read: "conv.md"\n'], ["a list in brackets", "model: x\nread: [conv.md]\nmap-tokens: 3\n"],
    ["a list of lines", "read:\n  # which\n  - conv.md\nmodel: x\n"], ["lines without indent", "read:\n- conv.md\n"],
  ])("aider keeps what its configuration reads: %s", (_, yaml) => {
    const cwd = mkdtempSync(join(home, "a-"))
    writeFileSync(join(cwd, ".aider.conf.yml"), yaml)
    writeFileSync(join(cwd, "conv.md"), "tabs")
    expect(start(["aider", "-m", "fix it"], { cwd }).said.read).toEqual(["tabs", TEXT])
  })
  test("the user's own --read hides aider's configuration with us as without us", () => {
    const cwd = mkdtempSync(join(home, "a-"))
    writeFileSync(join(cwd, ".aider.conf.yml"), "read: conv.md\n")
    expect(run(["aider", "--read", "x.md"], { cwd })).toEqual(["aider", "--read", FILE, "--read", "x.md"])
  })
  test("aider keeps AIDER_READ, the configuration of the repository and of the home", () => {
    expect(start(["aider", "-m", "hi"], { env: { HOME: home, AIDER_READ: userFile("env.md", "from env") } }).said.read).toEqual(["from env", TEXT])
    const root = mkdtempSync(join(home, "r-"))
    for (const directory of [".git", "sub"]) mkdirSync(join(root, directory))
    writeFileSync(join(root, ".aider.conf.yml"), "read: /conv.md\n")
    expect(run(["aider"], { cwd: join(root, "sub") })).toEqual(["aider", "--read", "/conv.md", "--read", FILE])
    expect(run(["aider"], { cwd: tmpdir(), env: { HOME: root } })).toEqual(["aider", "--read", "/conv.md", "--read", FILE])
  })
  test.each(["read: &x conv.md\n", "read: [a, 'b\n", "read: {a: b}\n", "read: |\n  a\n"])("aider with a configuration beyond us (%p) is left alone", yaml => {
    const cwd = mkdtempSync(join(home, "a-"))
    writeFileSync(join(cwd, ".aider.conf.yml"), yaml)
    expect(inject(["aider"], { cwd })).toMatchObject({ channel: "file", argv: unchanged(["aider"]), notice: expect.stringContaining("read") })
  })

  test("goose has the context in mind, and the user's own beside it", () => {
    expect(start(["goose", "run", "-t", "fix it"]).said).toEqual({ command: "run", input: "fix it", topOfMind: TEXT })
    const env = { HOME: home, GOOSE_MOIM_MESSAGE_FILE: userFile("state.md", "state") }
    expect(start(["goose", "run", "-i", "-"], { env, piped: "plan" }).said).toEqual({ command: "run", input: "plan", topOfMind: `${TEXT}\nstate` })
    expect(start(["goose", "session"], { env: { ...env, GOOSE_MOIM_MESSAGE_TEXT: "mine" } }).said.topOfMind).toBe(`mine\n\n${TEXT}\nstate`)
  })

  test("llm has the context in its system prompt beside the user's own", () => {
    expect(start(["llm", "-s", "Be brief.", "--sf", userFile("own.md", "own"), "-o", "t", "1", "hi"], { piped: "log" }).said)
      .toEqual({ prompt: "log hi", system: [TEXT, "own", "Be brief."], options: ["t=1"] })
    expect(start(["llm", "prompt", "hi"]).said).toEqual({ prompt: "hi", system: [TEXT], options: [] })
    expect(start(["llm"], { piped: "only piped" }).said).toMatchObject({ prompt: "only piped", system: [TEXT] })
  })

  test("ollama run has the context before the prompt", () => {
    const { said, injection } = start(["ollama", "run", "--format", "json", "llama3", "fix", "it"])
    expect(said).toMatchObject({ model: "llama3", prompt: `${TEXT.trimEnd()}\n\nfix it` })
    expect(injection).toMatchObject({ channel: "prompt", usesArgv: true })
    expect(start(["ollama", "run", "llama3"], { piped: "what is piped" }).said.prompt).toBe(`${TEXT.trimEnd()}\n\nwhat is piped`)
    expect(start(["ollama", "run", "llama3", "and this"], { piped: "log", argvAllowed: false }).said.prompt).toBe(`${TEXT.trimEnd()}\n\nlog and this`)
  })
  test("ollama run at the terminal has no channel, and the user is told", () => {
    expect(inject(["ollama", "run", "llama3"])).toMatchObject({ channel: "file", argv: unchanged(["ollama", "run", "llama3"]), notice: expect.stringContaining("no channel") })
  })

  test("fabric has the context before what is piped in", () => {
    expect(start(["fabric", "-p", "summarize"], { piped: "an article" }).said).toEqual({ pattern: "summarize", message: `${TEXT.trimEnd()}\n\nan article` })
    expect(start(["fabric", "-p", "summarize", "be short"]).said.message).toBe(`be short\n${TEXT.trimEnd()}\n\n`)
    expect(inject(["fabric", "-p", "summarize"])).toMatchObject({ channel: "file", stdinPrefix: null, notice: null })
  })

  test("crush is offered the file, and keeps its stdin", () => {
    const { said, injection } = start(["crush", "run", "fix it"], { piped: "log" })
    expect(said).toEqual({ prompt: "log\n\nfix it", contextFile: TEXT })
    expect(injection.channel).toBe("file")
  })
})

describe("any other command", () => {
  test("is offered the file and nothing else", () => {
    expect(start(["plain", "a", "b"], { piped: "x" })).toMatchObject({ said: { args: ["a", "b"], contextFile: TEXT, text: null }, injection: { stdinPrefix: null, notice: null } })
    expect(start(["plain"], { exportText: true }).said.text).toBe(TEXT)
  })
  test("{context} and {context_file} are replaced wherever they stand", () => {
    const argv = ["plain", "--x={context}", "{context_file}", "{context}|{context_file}|{context}", "{contexts}"]
    expect(start(argv).said.args).toEqual([`--x=${TEXT}`, FILE, `${TEXT}|${FILE}|${TEXT}`, "{contexts}"])
    expect(inject(argv).usesArgv).toBe(true)
    expect(inject(["plain", "{context_file}"]).usesArgv).toBe(false)
    expect(inject(["plain", "a"]).argv).toEqual([{ raw: 0 }, { raw: 1 }])
  })
  test("a context that looks like a replacement pattern arrives as it is", () => {
    expect(run(["plain", "{context}"], { context: { text: "$& $1 {context_file}", file: FILE } })[1]).toBe("$& $1 {context_file}")
  })
  test("placeholders in the arguments of a known tool are the user's", () => {
    expect(run(["claude", "-p", "what is {context}?"]).at(-1)).toBe("what is {context}?")
  })
  test("with nothing to say, placeholders become nothing", () => {
    const argv = ["plain", "a{context}b", "{context_file}"]
    const injection = inject(argv, { context: null })
    expect(argumentsOf(injection.argv, argv)).toEqual(["plain", "ab", "/dev/null"])
    expect(injection.environment).toEqual({})
    expect(inject(["claude", "-p", "hi"], { context: null }).argv).toEqual(unchanged(["claude", "-p", "hi"]))
  })
  test("--channel stdin goes before its stdin", () => {
    const { said, injection } = start(["crush", "run", "fix it"], { piped: "log", force: "stdin" })
    expect(said.prompt).toBe(`${TEXT.trimEnd()}\n\nlog\n\nfix it`)
    expect(injection.channel).toBe("stdin")
  })
})

describe("context.argv=off", () => {
  test.each([[["codex", "exec", "hi"]], [["qwen", "-p", "hi"]]])("%p: the file alone, and the user is told", argv => {
    const injection = inject(argv, { argvAllowed: false })
    expect(injection).toMatchObject({ channel: "file", argv: unchanged(argv), usesArgv: false, notice: expect.stringContaining("context.argv") })
    expect(injection.environment).toEqual({ NS_CONTEXT_FILE: FILE })
  })
  test.each([[["claude", "-p", "hi"]], [["copilot", "-p", "hi"]], [["opencode", "run", "hi"]], [["llm", "hi"]], [["aider"]]])("%p never shows the text", argv => {
    const injection = inject(argv, { argvAllowed: false })
    expect(injection.channel).not.toBe("file")
    expect(argumentsOf(injection.argv, argv).join(" ")).not.toContain("quotes")
  })
})

describe("tools of the user's own", () => {
  const own = (value: unknown) => toolFromConfig("plain", value)
  test("a flag with the file, after the subcommand, joined with the user's", () => {
    const tool = own({ flag: "--system-file", subcommands: ["chat"] })
    expect(run(["plain", "chat", "hi"], { extra: [tool] })).toEqual(["plain", "chat", "--system-file", FILE, "hi"])
    const injection = inject(["plain", "chat", "--system-file", userFile("own.md", "own"), "hi"], { extra: [tool] })
    expect(onlyFile(injection)).toBe(`own\n\n${TEXT}`)
  })
  test("a flag that may be given twice", () => {
    expect(run(["plain", "--sys", "a", "hi"], { extra: [own({ flag: "--sys", value: "text", repeats: true })] })).toEqual(["plain", `--sys=${TEXT}`, "--sys", "a", "hi"])
  })
  test("a variable with the text or the file, joined with the user's", () => {
    const text = own({ env: "SYS", value: "text" })
    expect(inject(["plain"], { extra: [text] }).environment.SYS).toBe(TEXT)
    expect(inject(["plain"], { extra: [text], env: { SYS: "mine" } }).environment.SYS).toBe(`mine\n\n${TEXT}`)
    const file = own({ env: "SYS" })
    expect(inject(["plain"], { extra: [file] }).environment.SYS).toBe(FILE)
    const joined = inject(["plain"], { extra: [file], env: { SYS: userFile("own.md", "own") } })
    expect(onlyFile(joined)).toBe(`own\n\n${TEXT}`)
    expect(joined.environment.SYS).toBe(joined.files[0]!.path)
    expect(inject(["plain"], { extra: [file], env: { SYS: "/absent" } })).toMatchObject({ channel: "file", notice: expect.stringContaining("SYS") })
  })
})

test("whatever the user types, every argument survives in its order, except the flags that are merged", () => {
  const programs = ["claude", "codex", "gemini", "opencode", "qwen", "copilot", "aider", "goose", "llm", "crush", "ollama", "fabric", "other"]
  const word = fc.oneof(
    fc.string(), fc.constantFrom("-p", "-c", "--", "-", "exec", "run", "--model", "x", "--append-system-prompt", "--append-system-prompt=y", "-cdeveloper_instructions=z",
      "--config", "developer_instructions=w", "--append-system-prompt-file", "--read", "--sf", "env", "-r", "two words"),
  )
  const isMerged = (text: string) => /append-system-prompt|developer_instructions|^-c$|^--config$/.test(text)
  fc.assert(fc.property(fc.constantFrom(...programs), fc.array(word, { maxLength: 10 }), fc.constantFrom("tty", "pipe", "none"), (program, args, stdin) => {
    const argv = [program, ...args]
    const { argv: parts } = inject(argv, { stdin })
    const kept = parts.flatMap(part => (typeof part === "string" ? [] : [part.raw]))
    expect(kept).toEqual([...new Set(kept)].sort((a, b) => a - b))
    const lost = argv.flatMap((text, raw) => (kept.includes(raw) || text.includes("{context") ? [] : [raw]))
    for (const raw of lost) expect(isMerged(argv[raw]!) || isMerged(argv[raw - 1]!)).toBe(true)
  }), { numRuns: 2000 })
})
