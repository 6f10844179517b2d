import { describe, expect, test } from "bun:test"
import { closeSync, mkdirSync, openSync, readFileSync, readSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import manifest from "../package.json" with { type: "json" }
import { binary, run, temporaryHome } from "./helpers/binary.ts"

const root = resolve(import.meta.dir, "..")
const SLOW = 120_000
const EVIL = "evil-was-here"

describe("the executable", () => {
  test("says its version and commit", () => {
    const { status, stdout, stderr } = run(["--version"])
    expect(stdout).toMatch(new RegExp(`^nswrap ${manifest.version.replaceAll(".", "\\.")} \\(([0-9a-f]{7,}(-dirty)?|unknown)\\)\n$`))
    expect(stderr).toBe("")
    expect(status).toBe(0)
  })

  test.each(["--version", "list", "-- env"])("runs nothing and believes nothing of the directory it is in or of HOME: nswrap %s", (line) => {
    const place = hostileDirectory()
    const { status, stdout, stderr } = run(line.split(" "), { cwd: place, home: place })
    expect(stdout + stderr).not.toContain(EVIL)
    expect(status).toBe(0)
  })

  test.skipIf(Bun.which("strace") === null)("opens no file of the directory it is in", () => {
    const place = hostileDirectory()
    const log = join(temporaryHome(), "strace")
    const { exitCode } = Bun.spawnSync(["strace", "-f", "-o", log, "-e", "trace=%file", binary(), "--", "true"], {
      cwd: place,
      env: { PATH: process.env.PATH, HOME: temporaryHome() },
    })
    expect(exitCode).toBe(0)
    const opened = readFileSync(log, "utf8").split("\n").filter((line) => /\bopen(at)?\(/.test(line) && !line.includes("ENOENT"))
    expect(opened.length).toBeGreaterThan(3)
    // The directory itself may be looked at (which project is this?), the files in it may not.
    expect(opened.filter((line) => line.includes(`"${place}/`) || /AT_FDCWD, "[^/]/.test(line))).toEqual([])
  })

  test.skipIf(process.platform !== "linux").each([
    ["BUN_OPTIONS", "--preload=PRELOAD"],
    ["BUN_BE_BUN", "1"],
    ["NODE_OPTIONS", "--require=PRELOAD"],
    ["BUN_INSPECT_PRELOAD", "PRELOAD"],
  ])("%s does not reach it, and reaches the command unchanged", (name, value) => {
    const place = hostileDirectory()
    const given = value.replace("PRELOAD", join(place, "evil.js"))
    const own = run(["--version"], { env: { [name]: given } })
    expect(own.stdout).toStartWith("nswrap ")
    expect(own.stdout + own.stderr).not.toContain(EVIL)
    const { status, stdout } = run(["--", "env"], { env: { [name]: given } })
    expect(stdout.split("\n")).toContain(`${name}=${given}`)
    expect(status).toBe(0)
  })
})

describe("build.ts", () => {
  test("embeds the vector addon; without a place to unpack it there are reasons instead of a crash", () => {
    const place = temporaryHome()
    const entry = join(place, "main.ts")
    writeFileSync(entry, `import { loadVectors } from ${JSON.stringify(join(root, "src/system/usearch.ts"))}\nconsole.log(process.argv[2] ?? JSON.stringify(await loadVectors()))\n`)
    build("--entry", entry, "--outfile", join(place, "vectors"))
    const load = (TMPDIR: string) => {
      const { exitCode, stdout, stderr } = Bun.spawnSync([join(place, "vectors")], { cwd: "/", env: { TMPDIR, HOME: place } })
      if (exitCode !== 0) throw new Error(`status ${exitCode}: ${stderr.toString()}`)
      return JSON.parse(stdout.toString())
    }
    expect(load(place)).toMatchObject({ available: true, version: expect.stringMatching(/^2\./) })
    expect(load("/nonexistent")).toMatchObject({ available: false, reason: expect.stringMatching(/.+/) })
  }, SLOW)

  test("builds for another system: a musl executable for arm64, with its back doors closed", async () => {
    const outfile = join(temporaryHome(), "other")
    build("--target", "linux-arm64-musl", "--outfile", outfile)
    const head = Buffer.alloc(20)
    const file = openSync(outfile, "r")
    readSync(file, head, 0, 20, 0)
    closeSync(file)
    expect(head.subarray(0, 4).toString("latin1")).toBe("\u007fELF")
    // e_machine: EM_AARCH64
    expect(head.readUInt16LE(18)).toBe(183)
    const bytes = Buffer.from(await Bun.file(outfile).arrayBuffer())
    expect(bytes.includes("\0BUN_OPTIONS\0")).toBe(false)
    expect(bytes.includes("\0BUN_BE_BUN\0")).toBe(false)
    expect(bytes.includes("ld-musl-aarch64.so.1")).toBe(true)
  }, SLOW)

  test("refuses a target that there is not", () => {
    const { exitCode, stderr } = Bun.spawnSync([process.execPath, "build.ts", "--target", "plan9-x64"], { cwd: root })
    expect(stderr.toString()).toContain("no target plan9-x64; there is linux-x64,")
    expect(exitCode).not.toBe(0)
  })
})

function build(...args: string[]) {
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, "build.ts", ...args], { cwd: root })
  if (exitCode !== 0) throw new Error(stderr.toString())
}

/** A checkout by somebody who knows what Bun reads by itself. Usable as HOME as well. */
function hostileDirectory(): string {
  const place = temporaryHome()
  const files: Record<string, string> = {
    "evil.js": `console.log("${EVIL}")`,
    "bunfig.toml": `preload = ["./evil.js"]\n[run]\npreload = ["./evil.js"]\n`,
    ".bunfig.toml": `preload = ["${place}/evil.js"]\n`,
    ".env": `EVIL=${EVIL}\nNS_HOME=/${EVIL}\nBUN_OPTIONS=--preload=./evil.js\nPATH=/${EVIL}\n`,
    ".env.local": `EVIL=${EVIL}\n`,
    ".env.production": `EVIL=${EVIL}\n`,
    "package.json": `{ "name": "${EVIL}", "main": "./evil.js", "type": "commonjs", "imports": { "#x": "./evil.js" } }`,
    "tsconfig.json": `{ "compilerOptions": { "paths": { "*": ["./evil.js"] } } }`,
    "libc.so.6": EVIL,
    "usearch.node": EVIL,
    ".config/bun/bunfig.toml": `preload = ["${place}/evil.js"]\n`,
  }
  for (const name of ["citty", "zod", "usearch", "yaml", "native:usearch"]) {
    files[`node_modules/${name}/package.json`] = `{ "name": "${name}", "main": "evil.js" }`
    files[`node_modules/${name}/evil.js`] = `console.log("${EVIL}")`
  }
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(place, name)), { recursive: true })
    writeFileSync(join(place, name), text)
  }
  symlinkSync("evil.js", join(place, "index.ts"))
  return place
}
