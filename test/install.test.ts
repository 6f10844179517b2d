import { beforeAll, describe, expect, test } from "bun:test"
import { chmodSync, copyFileSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { gzipSync } from "node:zlib"
import manifest from "../package.json" with { type: "json" }
import { binary, temporaryHome } from "./helpers/binary.ts"

const root = resolve(import.meta.dir, "..")
const script = join(root, "install.sh")
const { version } = manifest
const target = `${process.platform}-${process.arch}`
const asset = `nswrap-${version}-${target}.gz`
const SLOW = 120_000

/** What install.sh may use of a system; curl, wget, bun, node and npm are added where a test means them. */
const TOOLS = ["sh", "dash", "uname", "getconf", "ldd", "cat", "sed", "grep", "cut", "tr", "head", "tail", "wc", "awk", "df", "find", "ls", "mkdir",
  "rmdir", "mktemp", "rm", "mv", "cp", "chmod", "dirname", "date", "env", "gzip", "sha256sum", "sysctl", "echo", "sleep"]

let good: Uint8Array
let goodSum: string
let releases: ReturnType<typeof Bun.serve>
/** Files by path; a function answers by itself. */
const files = new Map<string, Uint8Array | string | (() => Response)>()

beforeAll(async () => {
  const bytes = await Bun.file(binary()).bytes()
  goodSum = new Bun.CryptoHasher("sha256").update(bytes).digest("hex")
  good = gzipSync(bytes, { level: 1 })
  publish("/good", good)
  publish("/bad", good, "0".repeat(64))
  // Enough to be installed, where a test is about what the script says around it.
  publish("/tiny", gzipSync(`#!/bin/sh\n[ "$1" != --version ] || exec echo 'nswrap ${version} (0000000)'\necho 'make check'\n`))
  publish("/broken", gzipSync("#!/bin/sh\necho 'no such library' >&2\nexit 127\n"))
  publish("/not-gzip", new TextEncoder().encode("<html>a login page</html>"))
  files.set(`/stalled/v${version}/SHA256SUMS`, () => new Response(new ReadableStream({ start() {} })))
  releases = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 60,
    fetch(request) {
      const file = files.get(new URL(request.url).pathname)
      if (file === undefined) return new Response("not found", { status: 404 })
      return typeof file === "function" ? file() : new Response(file as string)
    },
  })
  releases.unref()
}, SLOW)

describe("install.sh from a release", () => {
  for (const [shell, ...shellArgs] of [["dash"], ["busybox", "sh"], ["bash", "--posix"]] as const) {
    const isHere = Bun.which(shell) !== null
    test.skipIf(!isHere)(`piped into ${[shell, ...shellArgs].join(" ")} it installs, shows the main job and leaves nothing else`, async () => {
      const home = temporaryHome()
      const { status, output } = await pipeInto([Bun.which(shell)!, ...shellArgs], ["--base-url", url("/good")], { home })
      expect(output).toContain(`Installed ${home}/.local/bin/nswrap`)
      expect(status).toBe(0)
      // The remembered text came back in what a command got to see, by way of a question that shares a word with it.
      expect(output.match(/with: make check/g)?.length).toBeGreaterThanOrEqual(2)
      expect(output).not.toContain("\u001b")
      expect(tree(home)).toEqual([".local/bin/nswrap", ".local/share/nswrap/installation_report.json"])
      expect(statSync(`${home}/.local/bin/nswrap`).mode & 0o7777).toBe(0o755)
      expect(statSync(`${home}/.local/share/nswrap`).mode & 0o7777).toBe(0o700)
      expect(statSync(`${home}/.local/share/nswrap/installation_report.json`).mode & 0o7777).toBe(0o600)
    }, SLOW)
  }

  test("the report says what was installed from where, and that it was checked", async () => {
    const home = temporaryHome()
    await installed(home)
    const report = JSON.parse(readFileSync(`${home}/.local/share/nswrap/installation_report.json`, "utf8"))
    expect(report).toMatchObject({
      report_version: 1,
      version,
      path: `${home}/.local/bin/nswrap`,
      sha256: goodSum,
      source: `${url("/good")}/v${version}/${asset}`,
      target,
      kept_other_program: null,
    })
    expect(report.commit).toMatch(/^[0-9a-f]{7,}(-dirty)?$|^unknown$/)
    expect(Date.now() - Date.parse(report.installed_at)).toBeLessThan(SLOW)
    expect(report.checked).toEqual(["SHA-256 as published", "the program starts", "a remembered text reached a wrapped command"])
  }, SLOW)

  test("--prefix and NS_HOME put it elsewhere, blanks and quotes in the names included", async () => {
    const home = temporaryHome()
    const prefix = join(home, `a "b" c`)
    const { status } = await install(["--base-url", url("/good"), "--prefix", prefix], { home, env: { NS_HOME: join(home, "my data") } })
    expect(status).toBe(0)
    expect(tree(home)).toEqual([`a "b" c/bin/nswrap`, "my data/installation_report.json"])
    const report = JSON.parse(readFileSync(join(home, "my data/installation_report.json"), "utf8"))
    expect(report.path).toBe(join(prefix, "bin/nswrap"))
  }, SLOW)

  test("wget does where curl is missing, and with neither it says so", async () => {
    const home = temporaryHome()
    const bare = toolbox(home, [])
    const refused = await install(["--base-url", url("/good")], { home, path: bare })
    expect(refused).toMatchObject({ status: 1, stdout: expect.any(String), stderr: expect.stringContaining("curl or wget is needed") })
    expect(existsSync(join(home, ".local"))).toBe(false)
    const { status, output } = await install(["--base-url", url("/good")], { home, path: toolbox(home, ["wget"]) })
    expect(output).toContain("Installed")
    expect(status).toBe(0)
  }, SLOW)

  test.each([
    ["bash", ".bashrc", 'export PATH="$HOME/.local/bin:$PATH"'],
    ["zsh", ".zshrc", 'export PATH="$HOME/.local/bin:$PATH"'],
    ["fish", "config.fish", "fish_add_path $HOME/.local/bin"],
    ["ksh", ".profile", 'export PATH="$HOME/.local/bin:$PATH"'],
    [null, ".profile", 'export PATH="$HOME/.local/bin:$PATH"'],
  ])("for %s it tells the line for %s and edits nothing", async (shell, file, line) => {
    const home = temporaryHome()
    const { status, output } = await install(["--base-url", url("/tiny")], { home, env: { SHELL: shell === null ? undefined : `/usr/bin/${shell}` } })
    expect(status).toBe(0)
    expect(output).toContain(file)
    expect(output).toContain(`\n       ${line}\n`)
    expect(readdirSync(home)).toEqual([".local"])
  }, SLOW)

  test("it tells no line when the directory is on PATH", async () => {
    const home = temporaryHome()
    const { output } = await install(["--base-url", url("/tiny")], { home, path: `${home}/.local/bin:${process.env.PATH}` })
    expect(output).toContain("Installed")
    expect(output).not.toContain("not on your PATH")
  }, SLOW)

  test("an older nswrap that is running goes on while it is replaced", async () => {
    const home = temporaryHome()
    await installed(home)
    const nswrap = join(home, ".local/bin/nswrap")
    const before = statSync(nswrap).ino
    // This one stays resident: it feeds the context and then its own stdin to the command.
    const old = Bun.spawn([nswrap, "--channel", "stdin", "--", "cat"], { env: { PATH: process.env.PATH, HOME: home }, stdin: "pipe", stdout: "pipe", cwd: home })
    old.stdin.write("before\n")
    await old.stdin.flush()
    await installed(home)
    expect(statSync(nswrap).ino).not.toBe(before)
    old.stdin.write("after\n")
    await old.stdin.end()
    expect(await new Response(old.stdout).text()).toEndWith("before\nafter\n")
    expect(await old.exited).toBe(0)
    expect(readdirSync(join(home, ".local/bin"))).toEqual(["nswrap"])
  }, SLOW)
})

describe("install.sh meets another nswrap", () => {
  const python = "#!/usr/bin/env python3\nfrom neuralsync.nswrap import main\nmain()\n"

  test("that comes first on PATH: it says so, and the way over", async () => {
    const home = temporaryHome()
    const other = program(join(home, "other"), "nswrap", python)
    const { output } = await install(["--base-url", url("/tiny")], { home, path: `${home}/other:${home}/.local/bin:${process.env.PATH}` })
    expect(output).toContain(`another nswrap at ${other} (NeuralSync's, in Python)`)
    expect(output).toContain("still starts that one")
    expect(output).toContain("nswrap import --from neuralsync")
    expect(readFileSync(other, "utf8")).toBe(python)
  }, SLOW)

  test("that comes second on PATH: the new one wins", async () => {
    const home = temporaryHome()
    program(join(home, "other"), "nswrap", python)
    const { output } = await install(["--base-url", url("/tiny")], { home, path: `${home}/.local/bin:${home}/other:${process.env.PATH}` })
    expect(output).toContain("The new one comes first on PATH")
  }, SLOW)

  test("at its own place: the other is kept, and uninstall puts it back", async () => {
    const home = temporaryHome()
    const place = program(join(home, ".local/bin"), "nswrap", python)
    const { output } = await install(["--base-url", url("/good")], { home })
    expect(output).toContain("kept as")
    expect(readFileSync(`${place}-neuralsync`, "utf8")).toBe(python)
    // A second installation must not take the first for somebody else's.
    await installed(home)
    expect(readFileSync(`${place}-neuralsync`, "utf8")).toBe(python)
    const { status } = await nswrap(home, ["uninstall"])
    expect(status).toBe(0)
    expect(readFileSync(place, "utf8")).toBe(python)
    expect(tree(join(home, ".local/bin"))).toEqual(["nswrap"])
  }, SLOW)
})

describe("install.sh that cannot, leaves everything as it was", () => {
  const cases: [name: string, args: () => string[], message: string, tools?: Record<string, string>][] = [
    ["a wrong SHA-256", () => ["--base-url", url("/bad")], "damaged or not genuine"],
    ["a release that does not exist", () => ["--base-url", url("/good"), "--version", "9.9.9"], "/good/v9.9.9/SHA256SUMS: curl: (22)"],
    ["a release without this system", () => ["--base-url", url("/good")], "has no nswrap-", { uname: 'case $1 in -s) echo Darwin ;; *) echo arm64 ;; esac' }],
    ["no network", () => ["--base-url", "http://127.0.0.1:9/x"], "Check the network"],
    ["a program that does not start", () => ["--base-url", url("/broken")], "does not start here: no such library"],
    ["a login page instead of a release", () => ["--base-url", url("/not-gzip")], "could not unpack"],
    ["FreeBSD", () => ["--base-url", url("/good")], "there is no nswrap for FreeBSD", { uname: 'case $1 in -s) echo FreeBSD ;; *) echo amd64 ;; esac' }],
    ["Windows", () => ["--base-url", url("/good")], "install inside WSL", { uname: "echo MINGW64_NT-10.0" }],
    ["a 32-bit system", () => ["--base-url", url("/good")], "it runs on x64 and arm64", { getconf: "echo 32" }],
    ["RISC-V", () => ["--base-url", url("/good")], "on riscv64", { uname: 'case $1 in -s) echo Linux ;; *) echo riscv64 ;; esac' }],
    ["glibc 2.12", () => ["--base-url", url("/good")], "glibc 2.17 or newer; this system has 2.12", { getconf: 'case $1 in LONG_BIT) echo 64 ;; *) echo glibc 2.12 ;; esac' }],
    ["musl, which this release has not", () => ["--base-url", url("/good")], `${target}-musl.gz`, { getconf: "exit 1", ldd: "echo 'musl libc (x86_64)' >&2; exit 1" }],
    ["a prefix that cannot be made", () => ["--base-url", url("/good"), "--prefix", "/dev/null/x"], "choose another place with --prefix"],
    ["--from-source without a source", () => ["--from-source"], "works in a checkout"],
    ["an unknown option", () => ["--sudo"], "unknown option --sudo"],
    ["an option without its value", () => ["--prefix"], "--prefix needs a value"],
  ]
  test.each(cases)("%s", async (_name, args, message, tools = {}) => {
    const home = temporaryHome()
    const stubs = temporaryHome()
    for (const [name, body] of Object.entries(tools)) program(stubs, name, `#!/bin/sh\n${body}\n`)
    const { status, stderr } = await install(args(), { home, path: `${stubs}:${process.env.PATH}` })
    expect(stderr).toContain(message)
    expect(stderr).toStartWith("nswrap: ")
    expect(status).toBe(1)
    expect(readdirSync(home)).toEqual([])
  }, SLOW)

  test("a failure leaves the older version and its report in place", async () => {
    const home = temporaryHome()
    await installed(home)
    const before = snapshot(home)
    for (const release of ["/broken", "/bad", "/not-gzip"]) expect((await install(["--base-url", url(release)], { home })).status).toBe(1)
    expect(snapshot(home)).toEqual(before)
  }, SLOW)

  test("no space: it says so, and how much there is", async () => {
    const home = temporaryHome()
    // 64 blocks of 512 bytes: every larger file fails as on a full disk.
    const { status, stderr } = await run(["dash", "-c", 'trap "" XFSZ; ulimit -f 64; exec dash -s -- "$@" <"$0"', script, "--base-url", url("/good")], { home })
    expect(stderr).toMatch(/nswrap: could not (store|unpack) .*is there space\? .* has \d+ MB free/)
    expect(status).toBe(1)
    expect(readdirSync(home)).toEqual([])
  }, SLOW)

  test.each([["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const)("interrupted by %s while it downloads", async (signal, expected) => {
    const home = temporaryHome()
    const child = Bun.spawn(["setsid", "dash", script, "--base-url", url("/stalled")], { env: environment(home), cwd: home, stdin: "ignore", stdout: "pipe", stderr: "pipe" })
    await until(() => existsSync(join(home, ".local/bin")) && readdirSync(join(home, ".local/bin")).length > 0)
    await Bun.sleep(300)
    // As a terminal does: the whole process group.
    process.kill(-child.pid, signal)
    expect(await child.exited).toBe(expected)
    expect(readdirSync(home)).toEqual([])
  }, SLOW)

  test("a script that broke off on the way does nothing", async () => {
    const text = readFileSync(script, "utf8")
    for (const part of [0.3, 0.6, 0.9, 0.999]) {
      const home = temporaryHome()
      await run(["dash", "-s", "--", "--base-url", url("/good")], { home, stdin: text.slice(0, Math.floor(text.length * part)) })
      expect(readdirSync(home)).toEqual([])
    }
  }, SLOW)

  test("in a checkout with neither Bun nor npm: it says what is missing", async () => {
    const home = temporaryHome()
    const checkout = temporaryHome()
    for (const name of ["install.sh", "build.ts", "package.json"]) copyFileSync(join(root, name), join(checkout, name))
    const { status, stderr } = await run(["dash", join(checkout, "install.sh")], { home, path: toolbox(home, ["curl"]) })
    expect(stderr).toContain("building needs Bun 1.4 or npm")
    expect(status).toBe(1)
    expect(existsSync(join(home, ".local"))).toBe(false)
  }, SLOW)
})

describe("nswrap uninstall", () => {
  test("removes the program and keeps the memories", async () => {
    const home = temporaryHome()
    await installed(home)
    expect((await nswrap(home, ["remember", "--scope", "global", "the build server is called anvil"])).status).toBe(0)
    const { status, stdout } = await nswrap(home, ["uninstall"])
    expect(status).toBe(0)
    expect(stdout).toContain(`removed    ${home}/.local/bin/nswrap`)
    expect(stdout).toContain(`kept       1 memory, in ${home}/.local/share/nswrap`)
    expect(tree(join(home, ".local/bin"))).toEqual([])
    expect(existsSync(join(home, ".local/share/nswrap/installation_report.json"))).toBe(false)
    await installed(home)
    expect((await nswrap(home, ["list"])).stdout).toContain("anvil")
  }, SLOW)

  test("--purge-memories asks first, and exports what it removes", async () => {
    const home = temporaryHome()
    await installed(home)
    await nswrap(home, ["remember", "--scope", "global", "the build server is called anvil"])
    await nswrap(home, ["persona", "set", "I am Ada"])
    const refused = await nswrap(home, ["uninstall", "--purge-memories"])
    expect(refused.stderr).toContain("add --yes")
    expect(refused.status).toBe(2)
    expect((await nswrap(home, ["list"])).stdout).toContain("anvil")
    const { status, stdout, stderr } = await nswrap(home, ["uninstall", "--purge-memories", "--yes"])
    expect(stderr).toBe("")
    expect(status).toBe(0)
    const [exported] = readdirSync(home).filter((name) => name.endsWith(".jsonl"))
    expect(stdout).toContain(`exported   ${home}/${exported}`)
    expect(statSync(join(home, exported!)).mode & 0o7777).toBe(0o600)
    expect(existsSync(join(home, ".local/share/nswrap"))).toBe(false)
    // Not gone: what was exported can be imported.
    await installed(home)
    expect((await nswrap(home, ["import", join(home, exported!)])).status).toBe(0)
    expect((await nswrap(home, ["list"])).stdout).toContain("anvil")
    expect((await nswrap(home, ["persona", "get"])).stdout).toBe("I am Ada\n")
  }, SLOW)

  test("without a report it removes nothing and says what would", async () => {
    const home = temporaryHome()
    const copy = join(home, "nswrap")
    copyFileSync(binary(), copy)
    const { status, stderr } = await run([copy, "uninstall"], { home })
    expect(stderr).toContain(`rm ${copy}`)
    expect(status).toBe(1)
    expect(existsSync(copy)).toBe(true)
  }, SLOW)

  test("leaves a program alone that is not the one that was installed", async () => {
    const home = temporaryHome()
    await installed(home)
    const place = program(join(home, ".local/bin"), "nswrap", "#!/bin/sh\necho mine\n")
    const { status, stdout } = await run([binary(), "uninstall"], { home })
    expect(stdout).toContain(`left       ${place}`)
    expect(status).toBe(0)
    expect(readFileSync(place, "utf8")).toContain("echo mine")
  }, SLOW)
})

test("install.sh names this version and the Bun that the project builds with", () => {
  const text = readFileSync(script, "utf8")
  expect(text).toContain(`\nVERSION=${version}\n`)
  expect(text).toContain(`\nBUN=${manifest.devDependencies["bun-types"]}\n`)
})

function publish(path: string, bytes: Uint8Array, sum = new Bun.CryptoHasher("sha256").update(bytes).digest("hex")) {
  files.set(`${path}/v${version}/${asset}`, bytes)
  files.set(`${path}/v${version}/SHA256SUMS`, `${"1".repeat(64)}  nswrap-${version}-plan9-x64.gz\n${sum}  ${asset}\n`)
}

function url(path: string): string {
  return `http://127.0.0.1:${releases.port}${path}`
}

interface Place {
  home: string
  path?: string
  env?: Record<string, string | undefined>
  stdin?: string
}

async function installed(home: string) {
  const { status, output } = await install(["--base-url", url("/good")], { home })
  if (status !== 0) throw new Error(output)
}

function install(args: string[], place: Place) {
  return pipeInto([Bun.which("dash") ?? "/bin/sh"], args, place)
}

/** As `curl … | sh -s -- args` does: the shell reads the script from its standard input. */
function pipeInto(shell: string[], args: string[], place: Place) {
  return run([...shell, "-s", "--", ...args], { ...place, stdin: readFileSync(script, "utf8") })
}

function nswrap(home: string, args: string[]) {
  return run([join(home, ".local/bin/nswrap"), ...args], { home })
}

async function run(command: string[], { home, path, env = {}, stdin }: Place) {
  const child = Bun.spawn(command, {
    cwd: home,
    env: { ...environment(home), ...(path === undefined ? {} : { PATH: path }), ...env },
    stdin: stdin === undefined ? "ignore" : new TextEncoder().encode(stdin),
    stdout: "pipe",
    stderr: "pipe",
  })
  const [stdout, stderr, status] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  return { status, stdout, stderr, output: stdout + stderr }
}

function environment(home: string): Record<string, string> {
  return { PATH: process.env.PATH ?? "", HOME: home, SHELL: "/bin/bash", TERM: "dumb", LANG: "C.UTF-8" }
}

/** A directory with links to a bare system's programs, as PATH. */
function toolbox(home: string, more: string[]): string {
  const directory = join(temporaryHome(), "tools")
  mkdirSync(directory)
  for (const name of [...TOOLS, ...more]) {
    const program = Bun.which(name)
    if (program !== null && !program.startsWith(home)) symlinkSync(program, join(directory, name))
  }
  return directory
}

function program(directory: string, name: string, text: string): string {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, name)
  writeFileSync(path, text)
  chmodSync(path, 0o755)
  return path
}

/** Files below a directory, sorted. */
function tree(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((name) => !lstatSync(join(directory, name)).isDirectory()).toSorted()
}

function snapshot(directory: string): [string, number, number][] {
  return tree(directory).map((name) => {
    const { ino, mtimeMs } = statSync(join(directory, name))
    return [name, ino, mtimeMs]
  })
}

async function until(condition: () => boolean) {
  for (let tries = 0; tries < 400; tries++) {
    if (condition()) return
    await Bun.sleep(25)
  }
  throw new Error("waited 10 s for nothing")
}
