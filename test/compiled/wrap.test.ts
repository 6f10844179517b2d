// What a wrapped tool is told, seen through real processes that print their arguments, variables and stdin.
import { beforeAll, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { binary, cleanEnvironment, run, temporaryHome } from "../helpers/binary.ts"

let home: string
let bin: string
let shop: string

beforeAll(() => {
  home = temporaryHome()
  bin = join(home, "bin")
  shop = join(home, "work/shop")
  mkdirSync(bin, { recursive: true })
  mkdirSync(shop, { recursive: true })
  spawnSync("git", ["init", "-q", shop])
  // Tools that print what they were given, as JSON.
  for (const name of ["claude", "codex", "gemini", "mytool"]) {
    program(name, `#!/bin/sh\nfor a in "$@"; do printf 'arg %s\\n' "$a"; done\n[ -z "$NS_CONTEXT_FILE" ] || { echo "file:"; cat "$NS_CONTEXT_FILE"; }\necho "mark:$NSWRAP_TOOL"\necho "stdin:"; [ -t 0 ] || cat\n`)
  }
  for (const [text, ...args] of [
    ["PIN-MARK always answer in English", "--pin", "--scope", "global"],
    ["RULE-MARK never commit secrets", "--kind", "rule", "--scope", "global"],
    ["LOGIN-MARK the login endpoint signs JWT tokens with RS256", "--kind", "fact"],
    ["DECISION-MARK prices are kept in cents", "--kind", "decision"],
    ["DEPLOY-MARK deploys happen on Tuesdays", "--kind", "fact"],
  ] as [string, ...string[]][]) expect(nswrap(["remember", text, ...args]).status).toBe(0)
  expect(nswrap(["persona", "set", "PERSONA-MARK"]).status).toBe(0)
})

function program(name: string, script: string): string {
  writeFileSync(join(bin, name), script)
  chmodSync(join(bin, name), 0o755)
  return join(bin, name)
}

function nswrap(args: string[], { env = {}, stdin = "", cwd = shop }: { env?: Record<string, string>; stdin?: string; cwd?: string } = {}) {
  return run(args, { home, cwd, stdin, env: { PATH: `${bin}:${process.env["PATH"]}`, ...env } })
}

const marks = (text: string) => [...new Set([...text.matchAll(/\b([A-Z]+)-MARK/g)].map((match) => match[1]!.toLowerCase()))].toSorted()

describe("what a tool is told", () => {
  test("follows the prompt in its arguments", () => {
    expect(marks(nswrap(["--", "claude", "-p", "fix the login bug"]).stdout)).toEqual(["login", "persona", "pin", "rule"])
    expect(marks(nswrap(["claude", "when do deploys happen?"]).stdout)).toEqual(["deploy", "persona", "pin", "rule"])
  })
  test("follows what is piped in, which reaches the tool whole", () => {
    const { stdout } = nswrap(["--", "claude", "-p"], { stdin: "when do deploys happen?\n" })
    expect(marks(stdout)).toEqual(["deploy", "persona", "pin", "rule"])
    expect(stdout).toEndWith("stdin:\nwhen do deploys happen?\n")
  })
  test("a long piped text does not drown the question about it", () => {
    const noise = Array.from({ length: 3000 }, (_, index) => `const noise${index} = other${index * 7}(thing${index})`).join("\n")
    expect(marks(nswrap(["--", "claude", "-p", "review the login endpoint"], { stdin: noise }).stdout)).toContain("login")
  })
  test("without a prompt: the stable part and the project's newest decisions", () => {
    expect(marks(nswrap(["--", "claude"]).stdout)).toEqual(["decision", "persona", "pin", "rule"])
  })
  test("on --continue, --resume and --mode minimal: the stable part", () => {
    for (const args of [["--", "claude", "--continue"], ["--", "claude", "-r", "0198f000-0000-7000-8000-000000000001"], ["--mode", "minimal", "--", "claude", "-p", "fix the login bug"]])
      expect(marks(nswrap(args).stdout)).toEqual(["persona", "pin", "rule"])
  })
  test("with --only persona: the persona", () => {
    expect(marks(nswrap(["--only", "persona", "--", "claude", "-p", "fix the login bug"]).stdout)).toEqual(["persona"])
  })
  test("nothing of another project", () => {
    const desk = join(home, "work/desk")
    spawnSync("git", ["init", "-q", desk])
    expect(marks(nswrap(["--", "claude", "-p", "fix the login bug"], { cwd: desk }).stdout)).toEqual(["persona", "pin", "rule"])
  })
  test("only the stable part when nothing clears the gate", () => {
    expect(marks(nswrap(["--", "claude", "-p", "write a haiku about autumn leaves"]).stdout)).toEqual(["persona", "pin", "rule"])
  })
  test("nothing at all for subcommands that take no context", () => {
    for (const args of [["claude", "mcp", "list"], ["claude", "--version"], ["codex", "login"], ["codex", "mcp", "list"]]) expect(marks(nswrap(["--", ...args]).stdout)).toEqual([])
  })
  test("by the channel of the command that runs, whatever TOOL_NAME says", () => {
    const { stdout } = nswrap(["--", "mytool", "fix the login bug"], { env: { TOOL_NAME: "claude-code" }, stdin: "own stdin" })
    expect(stdout).toStartWith("arg fix the login bug\nfile:\n")
    expect(stdout).toEndWith("mark:claude\nstdin:\nown stdin")
    expect(marks(stdout)).toEqual(["login", "persona", "pin", "rule"])
  })
  test("twice the same bytes for the same question, in one 0600 file", () => {
    const [one, two] = [1, 2].map(() => /arg (\S+\.md)/.exec(nswrap(["--", "claude", "-p", "fix the login bug"]).stdout)![1]!)
    expect(one).toBe(two!)
    expect(statSync(one!).mode & 0o777).toBe(0o600)
  })
  test("context says beforehand exactly what the tool gets", () => {
    const file = /arg (\S+\.md)/.exec(nswrap(["--", "claude", "-p", "fix the login bug"]).stdout)![1]!
    expect(nswrap(["context", "--tool", "claude", "fix the login bug"]).stdout.trimEnd()).toBe(readFileSync(file, "utf8").trimEnd())
  })
})

describe("the command line", () => {
  test("only a -- before the command is ours", () => {
    expect(nswrap(["mytool", "checkout", "--", "f"]).stdout).toStartWith("arg checkout\narg --\narg f\n")
    expect(nswrap(["--", "mytool", "--help", "--", "--tool"]).stdout).toStartWith("arg --help\narg --\narg --tool\n")
    expect(nswrap(["--", "mytool", "--dry-run"]).stdout).toStartWith("arg --dry-run\n")
  })
  test("-- runs a program whose name is a command of ours", () => {
    program("remember", "#!/bin/sh\necho I am a program\n")
    expect(nswrap(["--", "remember", "x"]).stdout).toBe("I am a program\n")
  })
  test("{context} and {context_file} are replaced, several times", () => {
    const { stdout } = nswrap(["--", "sh", "-c", 'printf "%s|" "$@"', "sh", "a={context_file}", "{context_file}", "please fix the login bug now"])
    const [a, b] = stdout.split("|")
    expect(a).toBe(`a=${b}`)
    expect(readFileSync(b!, "utf8")).toContain("LOGIN-MARK")
    expect(nswrap(["--", "sh", "-c", 'printf %s "$1"', "sh", "{context}"]).stdout).toContain("PERSONA-MARK")
  })
  test("NS_CONTEXT holds the text only on --env", () => {
    const script = program("show", '#!/bin/sh\nprintf %s "$NS_CONTEXT"\n')
    expect(nswrap(["--", script, "fix the login bug"]).stdout).toBe("")
    expect(nswrap(["--env", "--", script, "fix the login bug"]).stdout).toContain("LOGIN-MARK")
  })
  test("a dry run starts nothing and writes nothing", () => {
    const own = temporaryHome()
    run(["remember", "x"], { home: own })
    const { stdout } = run(["--dry-run", "--", "claude", "-p", "x y z"], { home: own, env: { PATH: bin } })
    expect(stdout).toContain("claude --append-system-prompt-file")
    expect([existsSync(join(own, "nswrap/context")), existsSync(join(own, "nswrap/runs.jsonl"))]).toEqual([false, false])
  })
  test("a mistake is told with its remedy, status 2, and nothing runs", () => {
    for (const [args, message] of [
      [["--"], "no command after --"], [["--mode", "fast", "--", "mytool"], "bypass, minimal"], [["--tool"], "--tool needs a value"], [["--tool", "x", "--colour", "--", "mytool"], "--colour is no option"],
      [["--dry-run", "remember", "x"], "put -- before it"],
    ] as const) {
      const { status, stderr, stdout } = nswrap([...args])
      expect([status, stdout]).toEqual([2, ""])
      expect(stderr).toContain(message)
    }
  })
  test("127 and 126 in the shell's words, and a near command of ours is named", () => {
    writeFileSync(join(home, "plain"), "not executable")
    expect(nswrap(["no-such-tool"])).toMatchObject({ status: 127, stderr: "nswrap: no-such-tool: command not found\n" })
    expect(nswrap(["remembr", "x"])).toMatchObject({ status: 127, stderr: "nswrap: remembr: command not found (did you mean nswrap remember?)\n" })
    expect(nswrap([join(home, "plain")])).toMatchObject({ status: 126, stderr: `nswrap: ${join(home, "plain")}: Permission denied\n` })
    expect(nswrap([join(home, "none")])).toMatchObject({ status: 127, stderr: `nswrap: ${join(home, "none")}: No such file or directory\n` })
  })
})

describe("settings", () => {
  const config = (text: string) => writeFileSync(join(home, "nswrap/config.yaml"), text)
  test("a project opts out, and in against a general no", () => {
    config("projects:\n  shop: off\n")
    expect(marks(nswrap(["--", "claude", "-p", "fix the login bug"]).stdout)).toEqual([])
    config("projects:\n  '*': off\n  shop: on\n")
    expect(marks(nswrap(["--", "claude", "-p", "fix the login bug"]).stdout)).toContain("login")
    expect(marks(nswrap(["--", "claude", "-p", "fix the login bug"], { cwd: home }).stdout)).toEqual([])
    config("")
  })
  test("a tool of the user's own is wrapped by a row without code", () => {
    config("tools:\n  mytool:\n    flag: --background\n    value: file\n    prompt: [-m]\n")
    const { stdout } = nswrap(["--", "mytool", "-m", "fix the login bug"])
    expect(stdout).toMatch(/^arg --background\narg \S+\.md\narg -m\narg fix the login bug\n/)
    config("")
  })
  test("context.argv=off refuses channels that show in the process list", () => {
    expect(nswrap(["--", "codex", "exec", "fix the login bug"]).stdout).toContain("arg developer_instructions=")
    config("context:\n  argv: off\n")
    const { stdout } = nswrap(["--", "codex", "exec", "fix the login bug"])
    expect(stdout).toStartWith("arg exec\narg fix the login bug\nfile:\n")
    config("")
  })
  test("NS_COMPAT=1 renders NeuralSync's preamble", () => {
    const { stdout } = nswrap(["--", "mytool", "fix the login bug"], { env: { NS_COMPAT: "1" } })
    expect(stdout).toContain("file:\nPersona: PERSONA-MARK\n\n[M1] (")
    expect(stdout).toContain("(fact,project:shop,conf=0.8) LOGIN-MARK")
  })
})

describe("a tool that is itself a script calling nswrap", () => {
  for (const [name, script] of [["with exec", 'exec "$NSWRAP" -- claude "$@"'], ["without exec", '"$NSWRAP" -- claude "$@"; exit $?']] as const) {
    test(`${name}: gets one injection, never a loop`, () => {
      const shims = join(home, `shims ${name}`)
      mkdirSync(shims)
      writeFileSync(join(shims, "claude"), `#!/bin/sh\n# nswrap in front of claude\n${script}\n`, { mode: 0o755 })
      const ran = nswrap(["--", "claude", "-p", "fix the login bug"], { env: { PATH: `${shims}:${bin}:${process.env["PATH"]}`, NSWRAP: binary() } })
      expect(ran.status).toBe(0)
      expect(ran.stdout.match(/arg --append-system-prompt-file/g)).toHaveLength(1)
      expect(marks(ran.stdout)).toContain("login")
    })
  }
})

describe("a script calling nswrap is never a loop", () => {
  const shim = (directory: string, script: string, name = "claude") => {
    mkdirSync(join(home, directory))
    writeFileSync(join(home, directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    return join(home, directory)
  }
  const end = (args: string[], shims: string, env = {}) =>
    spawnSync("timeout", ["10", binary(), ...args], { cwd: shop, encoding: "utf8", env: { ...cleanEnvironment(home), PATH: `${shims}:${bin}:/usr/bin:/bin`, NSWRAP: binary(), ...env } })
  test("where no context is wanted", () => {
    const shims = shim("plain shims", 'exec "$NSWRAP" -- claude "$@" # nswrap')
    expect(end(["--", "claude", "--version"], shims)).toMatchObject({ status: 0, stdout: "arg --version\nmark:\nstdin:\n" })
    expect(end(["--", "claude", "hello"], shims, { NS_BYPASS_MODE: "1" })).toMatchObject({ status: 0, stdout: "arg hello\nmark:\nstdin:\n" })
  })
  test("when it names itself by its path", () => {
    const shims = shim("own path", `exec "$NSWRAP" -- "$0" "$@" # nswrap`)
    expect(marks(end(["--", join(shims, "claude"), "-p", "fix the login bug"], shims).stdout)).toContain("login")
  })
  test("around a program that is no tool of the table", () => {
    const shims = shim("other shims", 'exec nswrap -- mytool "$@"', "mytool")
    writeFileSync(join(shims, "nswrap"), `#!/bin/sh\nexec "$NSWRAP" "$@"\n`, { mode: 0o755 })
    expect(marks(end(["--", "mytool", "please fix the login bug"], shims).stdout)).toContain("login")
    expect(end(["--", "mytool", "--version"], shims).stdout).toStartWith("arg --version\n")
  })
  test("and --no-context means the script too", () => {
    const shims = shim("quiet shims", 'exec "$NSWRAP" -- claude "$@" # nswrap')
    expect(end(["--no-context", "--", "claude", "-p", "fix the login bug"], shims).stdout).toBe("arg -p\narg fix the login bug\nmark:\nstdin:\n")
  })
  test("when no tool is behind it", () => {
    const shims = shim("gone", 'exec "$NSWRAP" -- qwen "$@" # nswrap', "qwen")
    expect(end(["--", "qwen", "-p", "x"], shims)).toMatchObject({ status: 127, stderr: "nswrap: qwen: command not found\n" })
  })
})

test("a tool is marked as one, and a dry run shows it, also when nothing was injected", () => {
  const own = temporaryHome()
  const env = { PATH: `${bin}:${process.env["PATH"]}` }
  expect(run(["--", "claude", "-p", "x y"], { home: own, env }).stdout).toContain("mark:claude\n")
  expect(run(["--dry-run", "--", "claude", "-p", "x y"], { home: own, env }).stdout).toContain("environment  NSWRAP_TOOL=claude\n")
  expect(run(["--no-context", "--", "claude", "-p", "x y"], { home: own, env }).stdout).toContain("mark:\n")
})

describe("what a tool says", () => {
  test("@remember: lines wait in the inbox under --capture, and are injected only once accepted", () => {
    const says = program("says", '#!/bin/sh\necho "@remember: kind=decision the login page is blue now"\necho done\n')
    const ran = nswrap(["--capture", "--", says])
    expect(ran.stdout).toBe("@remember: kind=decision the login page is blue now\ndone\n")
    expect(nswrap(["recall", "login page blue"]).stdout).not.toContain("blue now")
    const waiting = JSON.parse(nswrap(["inbox", "--json"]).stdout) as { id: string; text: string; actor: string }[]
    expect(waiting.map(({ text }) => text)).toEqual(["the login page is blue now"])
    expect(nswrap(["inbox", "accept", waiting[0]!.id]).status).toBe(0)
    expect(nswrap(["recall", "login page blue"]).stdout).toContain("blue now")
  })
  test("nothing is captured without being asked", () => {
    nswrap(["--", "sh", "-c", 'echo "@remember: sneaky"'])
    expect(JSON.parse(nswrap(["inbox", "--json"]).stdout)).toEqual([])
  })
  test("what a wrapped tool remembers by itself is a proposal too", () => {
    program("codex", '#!/bin/sh\n"$BINARY" remember "codex says tabs are better"\n')
    expect(nswrap(["--", "codex", "exec", "say something"], { env: { BINARY: binary() } }).stdout).toContain("inbox")
    expect(nswrap(["list", "--json"]).stdout).not.toContain("tabs are better")
  })
})

test("gemini -p gets the context first on stdin, then all that was piped in, however late", () => {
  const late = spawnSync("sh", ["-c", `(sleep 0.3; echo late question) | "${binary()}" -- gemini -p "fix the login bug"`], { env: { ...cleanEnvironment(home), PATH: `${bin}:${process.env["PATH"]}` }, cwd: shop, encoding: "utf8" })
  const stdin = late.stdout.slice(late.stdout.indexOf("stdin:\n") + 7)
  expect(stdin).toStartWith("<nswrap-context>\n")
  expect(stdin).toEndWith("late question\n")
})
