import { afterAll, beforeAll, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import { execFailure } from "../../src/wrap/exec.ts"
import { compileFixture } from "../helpers/fixture.ts"

// What a command inherits is tested on the shipped program: test/compiled/transparent.test.ts and tty.test.ts.

let handOver = { path: "", remove: () => {} }
let home = ""
beforeAll(() => {
  handOver = compileFixture("hand-over")
  home = mkdtempSync(join(tmpdir(), "exec-"))
  mkdirSync(join(home, "directory"))
  writeFileSync(join(home, "plain"), "", { mode: 0o755 })
})
afterAll(() => {
  handOver.remove()
  rmSync(home, { recursive: true, force: true })
})

const { ENOENT, EACCES, E2BIG, ELOOP, ETXTBSY, ENOTDIR, EPERM, ENAMETOOLONG } = constants.errno
test.each([
  ["no-such-command", ENOENT, 127, "command not found"],
  ["/no/such/command", ENOENT, 127, "No such file or directory"],
  ["HOME/plain", ENOENT, 127, "cannot execute: required file not found"],
  ["HOME/plain", EACCES, 126, "Permission denied"],
  ["HOME/directory", EACCES, 126, "Is a directory"],
  ["true", EACCES, 126, "Permission denied"],
  ["no-such-command", EACCES, 127, "command not found"],
  ["true", E2BIG, 126, "Argument list too long"],
  ["true", ELOOP, 126, "Too many levels of symbolic links"],
  ["true", ETXTBSY, 126, "Text file busy"],
  ["HOME/plain/x", ENOTDIR, 126, "Not a directory"],
  ["true", EPERM, 126, "Operation not permitted"],
  ["true", ENAMETOOLONG, 126, "File name too long"],
] as const)("execFailure(%s, %d) is status %d: %s", (file, errno, status, words) => {
  const name = file.replace("HOME", home)
  expect(execFailure(name, errno)).toEqual({ status, message: `nswrap: ${name}: ${words}` })
})

test("execCommand() becomes the command: same process id, its status", () => {
  const { stdout, status, pid } = spawnSync(handOver.path, ["sh", "-c", "echo $$; exit 42"], { encoding: "utf8" })
  expect(stdout).toBe(`${pid}\n`)
  expect(status).toBe(42)
})

test("execCommand() tells why a command cannot be started", () => {
  expect(spawnSync(handOver.path, [join(home, "directory")], { encoding: "utf8" })).toMatchObject({ status: 126, stderr: `nswrap: ${home}/directory: Is a directory\n` })
  expect(spawnSync(handOver.path, ["no-such-command"], { encoding: "utf8" })).toMatchObject({ status: 127, stderr: "nswrap: no-such-command: command not found\n" })
})

test("execCommand() passes a descriptor on that its parent's shell opened, and none that it opened itself", () => {
  const line = "$HO ls /proc/self/fd 7</dev/null | tr '\\n' ' '"
  // ls itself opens 3.
  expect(spawnSync("bash", ["-c", line], { encoding: "utf8", env: { ...process.env, HO: handOver.path } }).stdout).toBe("0 1 2 3 7 ")
})
