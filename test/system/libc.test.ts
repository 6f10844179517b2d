import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as libc from "../../src/system/libc.ts"
import * as portable from "../../src/system/portable.ts"

let home = ""
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "libc-"))
})
afterAll(() => rmSync(home, { recursive: true, force: true }))

const text = (bytes: Uint8Array | null) => (bytes === null ? null : new TextDecoder().decode(bytes))
const bytes = (value: string) => new TextEncoder().encode(value)

// Both are the same promise: what libc.ts does on Linux and what node:fs does elsewhere.
describe.each([["libc", libc], ["portable", portable]] as const)("%s", (name, system) => {
  const at = (file: string) => join(home, `${name}-${file}`)

  test.each([0, 1, 4096, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 300_000])("readFileBytes() reads %d bytes whole", (size) => {
    const content = crypto.getRandomValues(new Uint8Array(Math.min(size, 65536)))
    const full = Buffer.concat(Array.from({ length: 5 }, () => content)).subarray(0, size)
    writeFileSync(at("read"), full)
    expect(Buffer.compare(Buffer.from(system.readFileBytes(at("read"), size)!), full)).toBe(0)
    if (size > 0) expect(system.readFileBytes(at("read"), size - 1)).toBeNull()
  })

  test("readFileBytes() is null for nothing, a directory and a path with a zero byte", () => {
    writeFileSync(at("zero"), "x")
    for (const path of [at("absent"), home, `${at("zero")}\0more`, ""]) expect(system.readFileBytes(path, 100)).toBeNull()
  })

  test("readFileBytes() does not wait for a writer of a named pipe", () => {
    Bun.spawnSync(["mkfifo", at("fifo")])
    expect(text(system.readFileBytes(at("fifo"), 100)) ?? "").toBe("")
  })

  test("writeFileAtomic() replaces the file, gives the mode, leaves nothing beside it", () => {
    const directory = at("atomic")
    mkdirSync(directory)
    for (const content of ["one", "two", ""]) {
      expect(system.writeFileAtomic(join(directory, "f"), bytes(content), 0o600)).toBe(true)
      expect(readFileSync(join(directory, "f"), "utf8")).toBe(content)
    }
    expect(statSync(join(directory, "f")).mode & 0o777).toBe(0o600)
    expect(system.writeFileAtomic(join(directory, "no/such/f"), bytes("x"), 0o600)).toBe(false)
    expect(readdirSync(directory)).toEqual(["f"])
  })

  test("appendFile() adds to the end and creates with the mode", () => {
    expect(system.appendFile(at("log"), bytes("a\n"), 0o600)).toBe(true)
    expect(system.appendFile(at("log"), bytes("b\n"), 0o600)).toBe(true)
    expect(readFileSync(at("log"), "utf8")).toBe("a\nb\n")
    expect(statSync(at("log")).mode & 0o777).toBe(0o600)
    expect(system.appendFile(join(home, "no/such/log"), bytes("a"), 0o600)).toBe(false)
  })

  test("makeDirectory() makes all the way down, accepts what exists, and refuses a file in its place", () => {
    expect(system.makeDirectory(at("a/b/c"), 0o700)).toBe(true)
    expect(system.makeDirectory(`${at("a/b/c")}/`, 0o700)).toBe(true)
    expect(statSync(at("a/b")).mode & 0o777).toBe(0o700)
    writeFileSync(at("file"), "")
    expect(system.makeDirectory(at("file"), 0o700)).toBe(false)
    expect(system.makeDirectory(at("file/below"), 0o700)).toBe(false)
    expect(system.makeDirectory("/proc/nswrap", 0o700)).toBe(false)
  })

  test("touch() moves the time to now and removeFile() removes", () => {
    writeFileSync(at("old"), "")
    utimesSync(at("old"), 1, 1)
    system.touch(at("old"))
    expect(Math.abs(Date.now() - statSync(at("old")).mtimeMs)).toBeLessThan(5000)
    system.touch(at("absent"))
    expect(system.removeFile(at("old"))).toBe(true)
    expect(system.fileExists(at("old"))).toBe(false)
    expect(system.removeFile(at("old"))).toBe(true)
  })

  test("fileIdentity() survives a move, follows links, tells two directories apart, and agrees with stat(2)", () => {
    mkdirSync(at("repo"))
    mkdirSync(at("other"))
    symlinkSync(at("repo"), at("link"))
    const identity = system.fileIdentity(at("repo"))!
    const status = statSync(at("repo"), { bigint: true })
    expect(identity.inode).toBe(`${status.ino}`)
    expect(identity.birth).toBe(`${status.birthtimeNs}`)
    expect(system.fileIdentity(at("link"))).toEqual(identity)
    expect(system.fileIdentity(at("other"))).not.toEqual(identity)
    Bun.spawnSync(["mv", at("repo"), at("moved")])
    expect(system.fileIdentity(at("moved"))).toEqual(identity)
    expect(system.fileIdentity(at("repo"))).toBeNull()
    expect(system.realPath(at("moved"))).toBe(realpathSync(at("moved")))
    expect(system.realPath(at("link"))).toBeNull()
  })
})

test("fileSystemType() names the file system of a path", () => {
  const named = Bun.spawnSync(["stat", "-f", "-c", "%T", "/dev/shm"]).stdout.toString().trim()
  expect(libc.fileSystemType("/dev/shm")).toBe(named)
  expect(libc.fileSystemType(join(home, "absent"))).toBeNull()
})

test("isTerminal() is false for a pipe and a file", () => {
  const script = `import {isTerminal} from "${import.meta.dir}/../../src/system/libc.ts"; console.log(isTerminal(0), isTerminal(1), isTerminal(77))`
  expect(Bun.spawnSync(["bun", "-e", script], { stdin: Buffer.from("x") }).stdout.toString()).toBe("false false false\n")
})

test("setEnv() and unsetEnv() reach libc's environ, with any value", () => {
  const getenv = libc.libc("getenv", ["ptr"], "ptr")
  libc.setEnv("NSWRAP_TEST_VARIABLE", "a=b\nü ''")
  expect(getenv(libc.cString("NSWRAP_TEST_VARIABLE"))).not.toBe(0)
  libc.unsetEnv("NSWRAP_TEST_VARIABLE")
  expect(getenv(libc.cString("NSWRAP_TEST_VARIABLE")) || 0).toBe(0)
})

test("writeErr() writes all of a long text through a slow pipe", async () => {
  const script = `import {writeErr} from "${import.meta.dir}/../../src/system/libc.ts"; writeErr("é".repeat(200000))`
  const child = Bun.spawn(["sh", "-c", `bun -e '${script}' 2>&1 >/dev/null | { sleep 0.2; wc -c; }`], { stdout: "pipe" })
  expect((await child.stdout.text()).trim()).toBe("400000")
})
