import { describe, expect, test } from "bun:test"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { compareVersions, isShim, resolveOnPath, toolVersion } from "../../src/wrap/program.ts"
import { TOOLS } from "../../src/wrap/tool-table.ts"
import { findTool, identify, readCommand, toolFromConfig } from "../../src/wrap/tools.ts"

/** A command line, split at spaces except inside '…'. */
function line(text: string): string[] {
  return (text.match(/(?:[^\s']|'[^']*')+/g) ?? []).map(word => word.replaceAll("'", ""))
}

function read(text: string) {
  const argv = line(text)
  const { tool, at } = identify(argv)
  return { tool: tool?.name ?? null, ...readCommand(tool, argv.slice(at + 1)) }
}

describe("identify() finds the program that really runs", () => {
  const cases: [string, string | null, number, string | null][] = [
    ["claude -p hi", "claude", 0, null],
    ["/opt/bin/Claude.EXE -p hi", "claude", 0, null],
    ["codex.cmd exec hi", "codex", 0, null],
    ["codexcli exec hi", "codex", 0, null],
    ["gemini-cli -p hi", "gemini", 0, null],
    ["npx @anthropic-ai/claude-code -p hi", "claude", 1, null],
    ["npx -y @openai/codex@0.169.0 exec hi", "codex", 2, "0.169.0"],
    ["npx --yes @openai/codex@latest exec hi", "codex", 2, null],
    ["npx --package=@google/gemini-cli@0.61.0 gemini -p hi", "gemini", 2, "0.61.0"],
    ["npx -p @google/gemini-cli@0.61.0 -- gemini -p hi", "gemini", 4, "0.61.0"],
    ["npx -c 'claude -p hi'", null, 0, null],
    ["npm exec --registry http://r -- @qwen-code/qwen-code -p hi", "qwen", 5, null],
    ["pnpm dlx opencode-ai@1.18.33 run hi", "opencode", 2, "1.18.33"],
    ["yarn dlx -q @github/copilot -p hi", "copilot", 3, null],
    ["bunx --bun @openai/codex hi", "codex", 2, null],
    ["bun x @openai/codex hi", "codex", 2, null],
    ["uvx --from aider-chat==0.86.1 aider -m hi", "aider", 3, "0.86.1"],
    ["uvx --with llm-gemini llm hi", "llm", 3, null],
    ["uv tool run llm hi", "llm", 3, null],
    ["pipx run --spec llm==0.27 llm hi", "llm", 4, "0.27"],
    ["env A=1 -u B claude -p hi", "claude", 4, null],
    ["env -i PATH=/bin claude hi", "claude", 3, null],
    ["env -S 'claude -p' hi", null, 0, null],
    ["timeout -k 5 --signal=INT 10s claude -p hi", "claude", 5, null],
    ["nice -n 5 claude", "claude", 3, null],
    ["nice -5 claude", "claude", 2, null],
    ["nohup claude -p hi", "claude", 1, null],
    ["stdbuf -oL -e 0 llm hi", "llm", 4, null],
    ["command claude", "claude", 1, null],
    ["command -v claude", null, 0, null],
    ["timeout 5 nice env X=y npx -y @openai/codex exec hi", "codex", 7, null],
    ["timeout 5 python x.py", null, 2, null],
    ["python claude", null, 0, null],
    ["npx", null, 0, null],
    ["timeout 5", null, 0, null],
    ["env", null, 0, null],
  ]
  test.each(cases)("%s", (text, name, at, version) => {
    const found = identify(line(text))
    expect({ name: found.tool?.name ?? null, at: found.at, version: found.version }).toEqual({ name, at, version })
  })

  test("what env does to the variables is known", () => {
    expect(identify(line("env -u A B=2 claude")).variables).toEqual({ A: null, B: "2" })
    expect(identify(line("env -i claude")).cleared).toBe(true)
    expect(identify(line("env - claude")).cleared).toBe(true)
    expect(identify(line("env B=2 claude")).cleared).toBe(false)
  })

  test("any argv is answered, with an index inside it", () => {
    const word = fc.oneof(fc.string(), fc.constantFrom("env", "npx", "timeout", "-p", "--", "claude", "uvx", "-i", "A=1", "5"))
    fc.assert(fc.property(fc.array(word, { minLength: 1, maxLength: 12 }), argv => {
      const found = identify(argv)
      expect(found.at).toBeWithin(0, argv.length)
      readCommand(found.tool, argv.slice(found.at + 1))
    }))
  })

  test("the user's own tools win over ours", () => {
    const own = toolFromConfig("claude", { channel: "stdin" })
    expect(identify(["claude"], [own]).tool).toBe(own)
  })
})

describe("readCommand() finds the prompt", () => {
  const cases: [string, string | null][] = [
    ["claude 'fix the bug'", "fix the bug"],
    ["claude -p 'fix the bug'", "fix the bug"],
    ["claude 'fix the bug' -p", "fix the bug"],
    ["claude --model opus -p 'fix the bug' --verbose", "fix the bug"],
    ["claude --add-dir a b --verbose 'fix the bug'", "fix the bug"],
    ["claude --allowedTools Bash Edit", null],
    ["claude -d 'fix the bug'", null], // taken as the filter of --debug, as claude takes it
    ["claude -p -- '--odd question'", "--odd question"],
    ["claude", null],
    ["codex 'fix the bug'", "fix the bug"],
    ["codex exec 'fix the bug'", "fix the bug"],
    ["codex -m o3 exec --json -C /x 'fix the bug'", "fix the bug"],
    ["codex e -s read-only 'fix the bug'", "fix the bug"],
    ["codex exec -", null],
    ["codex exec review --base main 'be strict'", "be strict"],
    ["codex -i a.png 'fix the bug'", null], // --image takes all that follows, as in codex
    ["gemini -p 'fix the bug'", "fix the bug"],
    ["gemini -yp 'fix the bug'", "fix the bug"],
    ["gemini --prompt='fix the bug'", "fix the bug"],
    ["gemini -m flash fix the bug", "fix the bug"],
    ["gemini -e one 'fix the bug'", "fix the bug"],
    ["opencode run fix the bug", "fix the bug"],
    ["opencode run -m a/b 'fix the bug'", "fix the bug"],
    ["opencode run 'fix the bug' -f a.ts b.ts", "fix the bug"],
    ["opencode --prompt 'fix the bug'", "fix the bug"],
    ["opencode /some/directory", null],
    ["qwen 'fix the bug'", "fix the bug"],
    ["qwen --auth-type openai -p 'fix the bug'", "fix the bug"],
    ["copilot -p 'fix the bug' --allow-all-tools", "fix the bug"],
    ["copilot --allow-tool shell write -p 'fix the bug'", "fix the bug"],
    ["aider -m 'fix the bug' a.py", "fix the bug"],
    ["aider --message='x y' a.py b.py", "x y"],
    ["aider a.py", null],
    ["goose run -t 'fix the bug'", "fix the bug"],
    ["goose session", null],
    ["llm 'fix the bug'", "fix the bug"],
    ["llm prompt 'fix the bug' -m x", "fix the bug"],
    ["llm -m x -o temperature 0.5 'fix the bug'", "fix the bug"],
    ["ollama run llama3 'fix the bug'", "fix the bug"],
    ["ollama run --format json llama3 fix the bug", "fix the bug"],
    ["ollama run llama3", null],
    ["fabric -p summarize 'fix the bug'", "fix the bug"],
    ["crush run fix the bug", "fix the bug"],
    ["mytool ask 'two words' 'fix the bug now' -x", "fix the bug now"],
    ["mytool 'two words'", null],
  ]
  test.each(cases)("%s", (text, prompt) => {
    expect(read(text).prompt).toBe(prompt)
  })

  test("a file with the prompt is named", () => {
    expect(read("aider --message-file todo.md").promptFile).toBe("todo.md")
    expect(read("goose run -i plan.md").promptFile).toBe("plan.md")
    expect(read("goose run -i -").promptFile).toBeNull()
  })
})

describe("readCommand() leaves commands alone that hold no conversation", () => {
  test.each([
    "claude mcp list", "claude --version", "claude -v", "claude update", "claude --model x --help", "claude plugin install x",
    "codex login", "codex mcp list", "codex -V", "codex debug models", "codex apply", "codex exec help",
    "gemini mcp", "gemini extensions list", "gemini --list-sessions", "gemini --acp",
    "opencode auth login", "opencode serve", "opencode models", "opencode attach http://x",
    "qwen mcp", "qwen -v", "qwen -l", "qwen somethingnew", "copilot login", "copilot mcp list", "copilot --acp",
    "aider --version", "aider --list-models gpt", "goose configure", "goose up", "goose -dir m postgres dsn up", "goose session list",
    "llm keys", "llm logs -n 3", "llm cluster items", "llm --save mine 'do it'", "llm chat",
    "ollama", "ollama list", "ollama pull x", "ollama run --help", "fabric -l", "fabric --setup", "crush login",
  ])("%s", text => {
    expect(read(text).bypass).toBe(true)
  })

  test.each([
    "claude", "claude 'mcp list'", "claude -p hi", "claude --model mcp hi", "claude -p -- --help", "codex", "codex exec login", "codex -m login hi",
    "codex debug prompt-input hi", "gemini", "opencode", "opencode run mcp", "qwen", "qwen 'somethingnew please'", "qwen -m x hello",
    "copilot", "aider a.py", "goose", "goose run -t hi", "goose s", "llm -m x hello", "llm prompt hello", "llm 'keys please'",
    "ollama run llama3", "fabric -p x", "crush", "mytool --help",
  ])("not: %s", text => {
    expect(read(text).bypass).toBe(false)
  })
})

describe("readCommand() knows a session that goes on", () => {
  test.each([
    "claude -c", "claude --continue -p hi", "claude -r", "claude --resume 123 hi", "claude --resume=123", "codex resume", "codex resume --last",
    "codex exec resume 123 hi", "codex fork", "gemini -r latest", "gemini --resume", "opencode -c", "opencode run -s ses_1 hi",
    "qwen --continue", "copilot --continue", "copilot --resume=abc", "goose run -r -t hi", "goose session -r", "llm -c hi", "llm --cid 7 hi",
    "crush run -C hi", "aider --restore-chat-history",
  ])("%s", text => {
    expect(read(text)).toMatchObject({ resume: true, bypass: false })
  })
  test.each(["claude -p resume", "codex exec 'resume it'", "codex -c a=b hi", "aider -c conf.yml", "claude -p -- -c"])("not: %s", text => {
    expect(read(text).resume).toBe(false)
  })
  test("and the prompt that goes with it", () => {
    expect(read("claude -r 123 'and then'").prompt).toBe("and then")
    expect(read("codex exec resume 123 'and then'").prompt).toBe("and then")
  })
})

test.each([
  ["claude", true], ["claude hi", true], ["claude -p hi", false], ["codex hi", true], ["codex exec hi", false], ["gemini 'a b c'", true],
  ["gemini -p hi", false], ["gemini -i hi", true], ["opencode", true], ["opencode run hi", false], ["qwen 'a b'", false], ["qwen", true],
  ["copilot -p hi", false], ["ollama run x", true], ["ollama run x hi", false], ["llm hi", false],
])("readCommand() of %s: interactive %p", (text, interactive) => {
  expect(read(text).interactive).toBe(interactive)
})

describe("the table", () => {
  test("has each name once", () => {
    const names = TOOLS.flatMap(tool => tool.names)
    expect(new Set(names).size).toBe(names.length)
  })
  test("finds a tool by what TOOL_NAME says", () => {
    for (const [name, tool] of [["claude-code", "claude"], ["codexcli", "codex"], ["Gemini", "gemini"], ["gemini-cli", "gemini"]] as const) {
      expect(findTool(name)?.name).toBe(tool)
    }
    expect(findTool("nothing")).toBeNull()
  })
  test.each(TOOLS.map(tool => [tool.name, tool] as const))("%s: flags that carry the prompt or a merge take a value", (_, tool) => {
    const valued = [...tool.flags.one, ...(tool.flags.optional ?? [])]
    for (const flag of [...(tool.flags.prompt ?? []), ...(tool.flags.promptFile ?? [])]) expect(valued).toContain(flag)
    if (tool.channel.kind === "flag") for (const { flag } of tool.channel.merges) expect(tool.flags.one).toContain(flag)
  })
})

describe("toolFromConfig()", () => {
  test("makes a row of a plain object", () => {
    const tool = toolFromConfig("mychat", {
      channel: "flag", flag: "--system-file", value: "file", prompt: ["-m"], values: ["--model"], subcommands: ["chat"], stdin: true,
    })
    const reading = readCommand(tool, ["chat", "--model", "x", "-m", "fix the bug"])
    expect(reading).toMatchObject({ prompt: "fix the bug", bypass: false, readsStdin: true, insertAt: 1 })
    expect(readCommand(tool, ["config"]).bypass).toBe(true)
    expect(readCommand(tool, []).bypass).toBe(true)
  })
  test("without a channel it is the file alone, and its prompt the first argument", () => {
    const tool = toolFromConfig("x", {})
    expect(tool.channel).toEqual({ kind: "file" })
    expect(readCommand(tool, ["hello you"]).prompt).toBe("hello you")
  })
  const wrong: [unknown, string][] = [
    [{ channel: "flag" }, "tools.x.flag in the configuration must be a flag such as"],
    [{ channel: "flag", flag: "system" }, "tools.x.flag"],
    [{ channel: "env" }, "tools.x.env"],
    [{ channel: "env", env: "A B" }, "tools.x.env"],
    [{ channel: "pipe" }, "tools.x.channel"],
    [{ value: "path" }, "tools.x.value"],
    [{ prompt: [1] }, "tools.x.prompt in the configuration must be a list of texts"],
    [{ stdin: "yes" }, "tools.x.stdin in the configuration must be true or false"],
    [{ promt: ["-m"] }, "tools.x.promt in the configuration must be left out"],
    ["flag", "tools.x in the configuration must be a table"],
    [null, "tools.x in the configuration must be a table"],
  ]
  test.each(wrong)("refuses %p by name", (value, message) => {
    expect(() => toolFromConfig("x", value)).toThrow(message)
  })
})

describe("the program on disk", () => {
  const home = mkdtempSync(join(tmpdir(), "nswrap-tools-"))
  const write = (path: string, text: string) => {
    mkdirSync(join(home, path, ".."), { recursive: true })
    writeFileSync(join(home, path), text)
    chmodSync(join(home, path), 0o755)
    return join(home, path)
  }
  process.on("exit", () => rmSync(home, { recursive: true, force: true }))

  test("toolVersion() reads the package beside the program, through links", () => {
    const program = write("lib/node_modules/@openai/codex/bin/codex.js", "#!/usr/bin/env node\n")
    write("lib/node_modules/@openai/codex/package.json", '{"name":"@openai/codex","version":"0.99.1"}')
    mkdirSync(join(home, "bin"), { recursive: true })
    symlinkSync(program, join(home, "bin/codex"))
    expect(toolVersion(join(home, "bin/codex"), findTool("codex")!)).toBe("0.99.1")
    expect(toolVersion(join(home, "bin/codex"), findTool("claude")!)).toBeNull()
  })
  test("toolVersion() knows a platform package", () => {
    const program = write("p/node_modules/@anthropic-ai/claude-code-linux-x64/claude", "x")
    write("p/node_modules/@anthropic-ai/claude-code-linux-x64/package.json", '{"name":"@anthropic-ai/claude-code-linux-x64","version":"2.1.330"}')
    expect(toolVersion(program, findTool("claude")!)).toBe("2.1.330")
  })
  test("toolVersion() reads a path that names the version", () => {
    mkdirSync(join(home, "b"), { recursive: true })
    symlinkSync(write("share/claude/versions/2.1.77", "x"), join(home, "b/claude"))
    expect(toolVersion(join(home, "b/claude"), findTool("claude")!)).toBe("2.1.77")
    expect(toolVersion(write("Cellar/codex/0.50.0/bin/codex", "x"), findTool("codex")!)).toBe("0.50.0")
  })
  test("toolVersion() does not take Python's or Node's version for the tool's", () => {
    expect(toolVersion(write(".pyenv/versions/3.11.7/bin/llm", "x"), findTool("llm")!)).toBeNull()
    expect(toolVersion(write(".nvm/versions/node/v20.1.0/bin/claude", "x"), findTool("claude")!)).toBeNull()
    write("broken/package.json", "{")
    expect(toolVersion(write("broken/claude", "x"), findTool("claude")!)).toBeNull()
  })
  test("isShim() knows a script that calls nswrap, and only that", () => {
    expect(isShim(write("s/claude", "#!/bin/sh\nexec nswrap -- /usr/bin/claude \"$@\"\n"))).toBe(true)
    expect(isShim(write("s/other", "#!/bin/sh\nexec claude\n"))).toBe(false)
    expect(isShim(write("s/quoted", '#!/bin/sh\nexec "$HOME/.local/bin/nswrap" -- claude "$@"\n'))).toBe(true)
    expect(isShim(write("s/place", "#!/bin/sh\nexec ~/.cache/nswrap-prove/bin/claude --fence nswrap-context\n"))).toBe(false)
    expect(isShim(write("s/text", "nswrap\n"))).toBe(false)
    expect(isShim(write("s/binary", `#!${"x".repeat(70_000)}nswrap`))).toBe(false)
    expect(isShim(join(home, "absent"))).toBe(false)
  })
  test("resolveOnPath() takes the first that is not to be skipped", () => {
    const [first, second] = [write("one/tool", "a"), write("two/tool", "b")]
    const path = [join(home, "none"), join(home, "one"), join(home, "two")].join(":")
    expect(resolveOnPath("tool", path)).toBe(first)
    expect(resolveOnPath("tool", path, [first])).toBe(second)
    expect(resolveOnPath("tool", path, [first, second])).toBeNull()
    expect(resolveOnPath(second, "")).toBe(second)
  })
  test("resolveOnPath() passes over a directory and a file that cannot be run", () => {
    mkdirSync(join(home, "dir/job"), { recursive: true })
    chmodSync(write("plain/job", "x"), 0o644)
    const program = write("real/job", "x")
    expect(resolveOnPath("job", ["dir", "plain", "real"].map(name => join(home, name)).join(":"))).toBe(program)
  })
  test.each([
    ["1.2.3", "1.2.3", 0], ["1.10.0", "1.9.9", 1], ["2.0.34", "2.0.5", 1], ["0.58.0", "0.58.0-alpha.1", 1], ["v1.2", "1.2.0", 0], ["1.0.0-a", "1.0.0-b", 0],
    ["0.0.423", "1.0.20", -1],
  ])("compareVersions(%s, %s)", (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign)
    expect(Math.sign(compareVersions(b, a))).toBe(0 - sign)
  })
})
