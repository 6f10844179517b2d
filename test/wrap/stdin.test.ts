import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { compileFixture } from "../helpers/fixture.ts"

let peek = { path: "", remove: () => {} }
let home = ""
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "stdin-"))
  peek = compileFixture("peek")
})
afterAll(() => {
  peek.remove()
  rmSync(home, { recursive: true, force: true })
})

interface Seen {
  kind: string
  complete: boolean
  length: number
  hash: string
  ms: number
  replaced: boolean
}

const MAX = 65536
let runs = 0
const newReport = () => join(home, `report-${runs++}`)
const seenIn = (report: string): Seen => JSON.parse(readFileSync(report, "utf8"))
const hash = (bytes: Uint8Array) => Bun.hash(bytes).toString()
const random = (size: number) => Buffer.concat(Array.from({ length: Math.ceil(size / 65536) }, () => crypto.getRandomValues(new Uint8Array(65536)))).subarray(0, size)

/** Runs a line of bash in which $PEEK peeks (for at most `waitMs`) and becomes the command that follows. */
function bash(line: string, { waitMs = 50, max = MAX }: { waitMs?: number; max?: number } = {}) {
  const report = newReport()
  const { stdout, stderr, status } = spawnSync("bash", ["-c", line], { env: { ...process.env, PEEK: `${peek.path} ${report} ${waitMs} ${max}`, D: home }, maxBuffer: 64 << 20 })
  return { stdout, stderr: stderr.toString(), status, seen: seenIn(report) }
}

describe("peekStdin()", () => {
  test("sees a file from where its offset stands, and leaves the offset there", () => {
    writeFileSync(join(home, "lines"), "one\ntwo\nthree\n")
    const { stdout, seen } = bash('{ read -r first; $PEEK cat; } < "$D/lines"')
    expect(stdout.toString()).toBe("two\nthree\n")
    expect(seen).toMatchObject({ kind: "file", complete: true, length: 10, hash: hash(Buffer.from("two\nthree\n")) })
  })

  test.each([[MAX - 1, true], [MAX, true], [MAX + 1, false], [1_000_000, false]])("sees of a file of %d bytes at most 64 KiB, complete: %p", (size, complete) => {
    const content = random(size)
    writeFileSync(join(home, "big"), content)
    const { stdout, seen } = bash('$PEEK cat < "$D/big"')
    expect(stdout.equals(content)).toBe(true)
    expect(seen).toMatchObject({ kind: "file", complete, length: Math.min(size, MAX), hash: hash(content.subarray(0, MAX)) })
  })

  test("sees a finished pipe whole, without waiting, and the command reads it", () => {
    const { stdout, seen } = bash("printf 'why is it slow?' | { sleep 0.1; $PEEK cat; }", { waitMs: 2000 })
    expect(stdout.toString()).toBe("why is it slow?")
    expect(seen).toMatchObject({ kind: "pipe", complete: true, length: 15, hash: hash(Buffer.from("why is it slow?")) })
    expect(seen.ms).toBeLessThan(500)
  })

  test("sees many small writes of a pipe as one text", () => {
    const { stdout, seen } = bash("{ for i in 1 2 3 4 5; do printf 'word%d ' $i; done; } | { sleep 0.1; $PEEK cat; }")
    expect(stdout.toString()).toBe("word1 word2 word3 word4 word5 ")
    expect(seen).toMatchObject({ complete: true, length: 30 })
  })

  test.each([200_000, 1_000_000, 20_000_000])("a pipe of %d bytes: 64 KiB are seen, every byte reaches the command", (size) => {
    const content = random(size)
    writeFileSync(join(home, "much"), content)
    const { stdout, seen } = bash('cat "$D/much" | $PEEK cat')
    expect(stdout.equals(content)).toBe(true)
    expect(seen).toMatchObject({ kind: "pipe", complete: false })
    expect(seen.length).toBeGreaterThan(0)
    expect(seen.length).toBeLessThanOrEqual(MAX)
    expect(seen.hash).toBe(hash(content.subarray(0, seen.length)))
  })

  test("waits for a late pipe no longer than it was told, and what comes later reaches the command whole", () => {
    const { stdout, seen } = bash("{ sleep 0.2; printf late; sleep 0.1; printf r; } | $PEEK cat")
    expect(stdout.toString()).toBe("later")
    expect(seen).toMatchObject({ kind: "pipe", complete: false, length: 0 })
    expect(seen.ms).toBeGreaterThan(40)
    expect(seen.ms).toBeLessThan(195)
  })

  test("does not wait for more from a writer that pauses", () => {
    const { stdout, seen } = bash("{ printf question; sleep 0.5; printf ' more'; } | { sleep 0.1; $PEEK cat; }", { waitMs: 2000 })
    expect(stdout.toString()).toBe("question more")
    expect(seen).toMatchObject({ complete: false, length: 8 })
    expect(seen.ms).toBeLessThan(300)
  })

  test("does not wait at all when told 0 ms", () => {
    const { seen } = bash("sleep 0.3 | $PEEK cat", { waitMs: 0 })
    expect(seen.ms).toBeLessThan(100)
  })

  test("a pipe that ended without a byte is complete at once", () => {
    const { stdout, seen } = bash("true | { sleep 0.1; $PEEK cat; }", { waitMs: 2000 })
    expect(stdout.length).toBe(0)
    expect(seen).toMatchObject({ kind: "pipe", complete: true, length: 0 })
    expect(seen.ms).toBeLessThan(500)
  })

  test.each([["/dev/null", "< /dev/null", ""], ["a closed stdin", "<&-", ""], ["/dev/zero", "< /dev/zero", "\0\0\0"]])("sees nothing of %s and does not wait", (_, redirect, output) => {
    const { stdout, seen } = bash(`$PEEK head -c 3 ${redirect} 2>/dev/null`, { waitMs: 2000 })
    expect(stdout.toString()).toBe(output)
    expect(seen).toMatchObject({ kind: "none", complete: false, length: 0 })
    expect(seen.ms).toBeLessThan(100)
  })

  test("sees nothing of a terminal and does not wait", () => {
    const report = newReport()
    const { status } = spawnSync("script", ["-qec", `${peek.path} ${report} 2000 ${MAX} true`, "/dev/null"])
    expect(status).toBe(0)
    expect(seenIn(report)).toMatchObject({ kind: "tty", length: 0 })
    expect(seenIn(report).ms).toBeLessThan(100)
  })

  // A child of Node.js has a socket for its stdin, and so has a service under inetd or systemd.
  test.each([[true, 0], [false, 0], [true, 200]])("a socket is seen and stays whole (closed: %p, first byte after %d ms)", (closed, delayMs) => {
    const report = newReport()
    const program = `
import socket, subprocess, sys, time
ours, theirs = socket.socketpair()
child = subprocess.Popen(sys.argv[1:], stdin=theirs, stdout=subprocess.PIPE)
theirs.close()
time.sleep(${delayMs} / 1000)
ours.sendall(b"first "); ours.sendall(b"second")
if ${closed ? "True" : "False"}: ours.shutdown(socket.SHUT_WR)
else:
  time.sleep(0.3); ours.sendall(b" third"); ours.shutdown(socket.SHUT_WR)
sys.stdout.buffer.write(child.stdout.read()); child.wait()`
    const { stdout } = spawnSync("python3", ["-c", program, peek.path, report, "100", `${MAX}`, "cat"])
    expect(stdout.toString()).toBe(closed ? "first second" : "first second third")
    const late = delayMs > 100
    expect(seenIn(report)).toMatchObject({ kind: "socket", complete: closed && !late, length: late ? 0 : 12 })
  })

  test("leaves stdin blocking or non-blocking as it was", () => {
    const flags = (line: string) => spawnSync("bash", ["-c", line], { env: { ...process.env, PEEK: `${peek.path} ${newReport()} 50 ${MAX}` } }).stdout.toString()
    const show = "grep flags /proc/self/fdinfo/0"
    for (const [before, after] of [["", ""], ["python3 -c 'import os; os.set_blocking(0, False)'; ", ""]]) {
      expect(flags(`echo x | { ${before} $PEEK ${show}; }${after}`)).toBe(flags(`echo x | { ${before} ${show}; }`))
    }
  })

  test("packets of one byte each, as many as a pipe holds, are seen as one text", () => {
    const report = newReport()
    const program = `
import fcntl, os, subprocess, sys
r, w = os.pipe2(os.O_DIRECT)
fcntl.fcntl(w, 1031, 1 << 20)
for i in range(256): os.write(w, b"x")
os.close(w)
sys.stdout.buffer.write(subprocess.run(sys.argv[1:], stdin=r, stdout=subprocess.PIPE).stdout)`
    const { stdout } = spawnSync("python3", ["-c", program, peek.path, report, "50", `${MAX}`, "cat"])
    expect(stdout.toString()).toBe("x".repeat(256))
    expect(seenIn(report)).toMatchObject({ kind: "pipe", complete: true, length: 256 })
  })
})

describe("replaceStdin()", () => {
  test("puts a text and a finished stdin into one pipe that then ends", () => {
    const { stdout, seen } = bash("printf question | { sleep 0.1; $PEEK --replace 'context ' cat; }")
    expect(seen.replaced).toBe(true)
    expect(stdout.toString()).toBe("context question")
  })

  test("takes what it stands for out of a shared file or pipe", () => {
    writeFileSync(join(home, "shared"), "question\n")
    expect(bash('{ $PEEK --replace "context " cat; echo "rest: $(cat)"; } < "$D/shared"').stdout.toString()).toBe("context question\nrest: \n")
    expect(bash("echo question | { sleep 0.1; $PEEK --replace 'context ' cat; echo \"rest: $(cat)\"; }").stdout.toString()).toBe("context question\nrest: \n")
  })

  test("fits up to 1 MiB, and beyond that changes nothing", () => {
    for (const [size, fits] of [[1024 * 1024 - 1, true], [1024 * 1024, false]] as const) {
      const content = random(size)
      writeFileSync(join(home, "large"), content)
      const { stdout, seen } = bash('$PEEK --replace "+" cat < "$D/large"', { max: size + 1 })
      expect(seen).toMatchObject({ replaced: fits, complete: true, length: size })
      expect(stdout.equals(fits ? Buffer.concat([Buffer.from("+"), content]) : content)).toBe(true)
    }
  })

  test("leaves no writer behind: the command sees the end of its stdin, and no descriptor of ours", () => {
    const args = [newReport(), "50", `${MAX}`, "--replace", "context", "sh", "-c", "cat; echo; ls /proc/self/fd"]
    const { stdout } = spawnSync(peek.path, args, { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" })
    // ls itself opens 3.
    expect(stdout).toBe("context\n0\n1\n2\n3\n")
  })

  test("with nothing to say ends at once", () => {
    const { stdout, seen } = bash("$PEEK --replace '' cat < /dev/null")
    expect(seen.replaced).toBe(true)
    expect(stdout.length).toBe(0)
  })
})
