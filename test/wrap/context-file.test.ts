import { expect, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, statSync, utimesSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { resolvePaths } from "../../src/config/paths.ts"
import { isFirstTime, saveContext, sweepContexts } from "../../src/wrap/context-file.ts"

const newPaths = () => resolvePaths({ NS_HOME: mkdtempSync(join(tmpdir(), "nswrap-context-")) })
const DAY = 86_400_000

test("a context file is named by its content, 0600, and using it again keeps it young", () => {
  const paths = newPaths()
  const file = saveContext(paths, "text", { dryRun: false })!
  expect([readFileSync(file, "utf8"), statSync(file).mode & 0o777, statSync(paths.contexts).mode & 0o777]).toEqual(["text", 0o600, 0o700])
  utimesSync(file, new Date(0), new Date(0))
  expect(saveContext(paths, "text", { dryRun: false })).toBe(file)
  expect(statSync(file).mtimeMs).toBeGreaterThan(Date.now() - DAY)
  expect(saveContext(paths, "other", { dryRun: false })).not.toBe(file)
})

test("a dry run names the file and writes none", () => {
  const file = saveContext(newPaths(), "text", { dryRun: true })!
  expect(existsSync(file)).toBe(false)
})

test("files go 30 days after their last use, looked for once a day", async () => {
  const paths = newPaths()
  const [old, young] = ["old", "young"].map((text) => saveContext(paths, text, { dryRun: false })!)
  const now = Date.now()
  utimesSync(old!, new Date(now - 31 * DAY), new Date(now - 31 * DAY))
  utimesSync(young!, new Date(now - 29 * DAY), new Date(now - 29 * DAY))
  await sweepContexts(paths, now)
  expect([existsSync(old!), existsSync(young!)]).toEqual([false, true])
  utimesSync(young!, new Date(0), new Date(0))
  await sweepContexts(paths, now + DAY / 2)
  expect(existsSync(young!)).toBe(true)
  await sweepContexts(paths, now + 2 * DAY)
  expect(existsSync(young!)).toBe(false)
})

test("a notice is told once", () => {
  const paths = newPaths()
  expect([isFirstTime(paths, "a"), isFirstTime(paths, "a"), isFirstTime(paths, "b")]).toEqual([true, false, true])
})
