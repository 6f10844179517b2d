import { expect, test } from "bun:test"
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { binary, cleanEnvironment } from "../helpers/binary.ts"
import { newShop } from "./shop.ts"

/** A PATH with our nswrap and a stand-in for claude that shows its arguments. */
function machine() {
  const shop = newShop()
  const bin = join(shop.home, "bin")
  mkdirSync(bin)
  symlinkSync(binary(), join(bin, "nswrap"))
  writeFileSync(join(bin, "claude"), '#!/bin/sh\nfor a in "$@"; do printf "<%s>" "$a"; done; exit 7\n', { mode: 0o755 })
  const env = { ...cleanEnvironment(shop.home), PATH: `${bin}:/usr/bin:/bin` }
  const sh = (shell: string, flags: string[], script: string) => {
    const { stdout, stderr, exitCode } = Bun.spawnSync([shell, ...flags, "-c", script], { env, cwd: shop.shop })
    return { stdout: stdout.toString(), stderr: stderr.toString(), status: exitCode }
  }
  shop.remember("Answer in British English", "--kind", "preference")
  return { ...shop, sh, bin }
}

const shells: [string, string[], string][] = [
  ["bash", ["--norc"], 'eval "$(nswrap shell-init bash)"'],
  ["zsh", ["-f"], 'eval "$(nswrap shell-init zsh)"'],
  ["fish", ["--no-config"], "nswrap shell-init fish | source"],
]
for (const [shell, flags, load] of shells) {
  const isHere = Bun.which(shell) !== null
  test.if(isHere)(`in ${shell} plain claude is started with its context, its arguments and its status`, () => {
    const { sh } = machine()
    const ran = sh(shell, flags, `${load}\nclaude -p 'two  words' '$x' '*'`)
    expect(ran).toMatchObject({ stderr: "", status: 7 })
    expect(ran.stdout).toMatch(/^<--append-system-prompt-file><\/.*\.md><-p><two {2}words><\$x><\*>$/)
    expect(sh(shell, flags, `${load}\ncommand claude -p x`).stdout).toBe("<-p><x>")
  })

  test.if(isHere)(`in ${shell} claude still runs when nswrap is gone`, () => {
    const { sh, bin } = machine()
    expect(sh(shell, flags, `${load}\nrm ${join(bin, "nswrap")}\nclaude -p x`)).toMatchObject({ stdout: "<-p><x>", stderr: "", status: 7 })
  })

  test.if(isHere)(`in ${shell} only tools on PATH get a function`, () => {
    const { sh } = machine()
    expect(sh(shell, flags, `${load}\ntype codex`).status).not.toBe(0)
  })
}

test("bash completes commands, options, kinds and ids", () => {
  const { sh, remember } = machine()
  const memory = remember("The staging database listens on port 5433")
  const complete = (...words: string[]) => {
    const script = `eval "$(nswrap shell-init bash)"; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _nswrap; printf '%s\\n' "\${COMPREPLY[@]}"`
    return sh("bash", ["--norc"], script).stdout.split("\n").filter((word) => word !== "")
  }
  expect(complete("nswrap", "rem")).toEqual(["remember"])
  expect(complete("nswrap", "list", "--al")).toEqual(["--all-projects"])
  expect(complete("nswrap", "remember", "--kind", "de")).toEqual(["decision"])
  expect(complete("nswrap", "show", memory.short_id.slice(0, 5))).toEqual([memory.short_id])
  expect(complete("nswrap", "persona", "h")).toEqual(["history"])
  expect(complete("nswrap", "--", "clau")).toEqual(["claude"])
  expect(complete("nswrap", "list", "--project", "sh")).toEqual(["shop"])
})

test.if(Bun.which("fish") !== null)("fish completes commands, options and kinds", () => {
  const { sh } = machine()
  const complete = (line: string) => sh("fish", ["--no-config"], `nswrap shell-init fish | source\ncomplete -C '${line}'`).stdout.split("\n").map((row) => row.split("\t")[0])
  expect(complete("nswrap rem")).toContain("remember")
  expect(complete("nswrap list --all")).toContain("--all-projects")
  expect(complete("nswrap remember --kind de")).toContain("decision")
})

test.if(Bun.which("zsh") !== null)("zsh takes the completion after compinit and says nothing before it", () => {
  const { sh } = machine()
  expect(sh("zsh", ["-f"], 'eval "$(nswrap shell-init zsh)"; echo fine')).toEqual({ stdout: "fine\n", stderr: "", status: 0 })
  expect(sh("zsh", ["-f"], 'autoload -U compinit && compinit -u; eval "$(nswrap shell-init zsh)"; echo $_comps[nswrap]')).toMatchObject({ stdout: "_nswrap\n", stderr: "" })
})
