import { expect, test } from "bun:test"
import { propose } from "../../src/store/proposals.ts"
import { newHome } from "../helpers/home.ts"
import { newShop, type Remembered } from "./shop.ts"

function withProposals(...texts: string[]) {
  const shop = newShop()
  for (const text of texts) shop.nswrap(["remember", text, "--kind", "decision"], { env: { NSWRAP_TOOL: "codex" } })
  const ids = shop.json<{ short_id: string; text: string }[]>(["inbox"]).map(({ short_id }) => short_id)
  return { ...shop, ids }
}

test("a proposal is not a memory: neither listed, recalled nor injected", () => {
  const { json, nswrap, ids } = withProposals("The staging database listens on port 5433")
  expect(ids).toHaveLength(1)
  expect(json<unknown[]>(["list", "--all-projects"])).toEqual([])
  expect(json<unknown[]>(["recall", "staging database port"])).toEqual([])
  expect(nswrap(["context", "staging database port"]).stdout).toBe("")
  expect(nswrap(["inbox"]).stdout).toContain("codex")
})

test("inbox accept makes a memory that still says who said it", () => {
  const { json, nswrap, ids } = withProposals("Prices are in cents", "Tests run under TZ=UTC")
  expect(nswrap(["inbox", "accept", ids[0]!]).stdout).toMatch(/^accepted [0-9a-f]{8}: Prices are in cents\n$/)
  expect(json<Remembered[]>(["list"])).toMatchObject([{ text: "Prices are in cents", actor: "codex", source: "inbox", kind: "decision", project_name: "shop" }])
  expect(json<unknown[]>(["inbox"])).toHaveLength(1)
  nswrap(["inbox", "accept", "--all"])
  expect(json<unknown[]>(["list"])).toHaveLength(2)
  expect(nswrap(["inbox"])).toMatchObject({ status: 0, stdout: "", stderr: "nswrap: the inbox is empty\n" })
})

test("inbox accept takes all of the ids or none", () => {
  const { json, nswrap, ids } = withProposals("Prices are in cents")
  expect(nswrap(["inbox", "accept", ids[0]!, "ffffffff"])).toMatchObject({ status: 1, stderr: "nswrap: no proposal ffffffff; nswrap inbox shows them\n" })
  expect(json<unknown[]>(["inbox"])).toHaveLength(1)
  expect(nswrap(["inbox", "accept"]).status).toBe(2)
})

test("inbox edit accepts the corrected text, an untouched one waits on", () => {
  const { json, nswrap, ids, editor } = withProposals("Prices are in euros")
  expect(nswrap(["inbox", "edit", ids[0]!], { env: { EDITOR: editor("exit 0") } }).stdout).toContain("still waits")
  expect(json<unknown[]>(["inbox"])).toHaveLength(1)
  expect(nswrap(["inbox", "edit", ids[0]!], { env: { EDITOR: editor('echo "Prices are in cents" > "$1"') } }).status).toBe(0)
  expect(json<Remembered[]>(["list"])).toMatchObject([{ text: "Prices are in cents" }])
  expect(json<unknown[]>(["inbox"])).toEqual([])
})

test("inbox reject throws away, and the same proposal made twice waits once", () => {
  const { json, nswrap, ids } = withProposals("Prices are in cents", "Prices are in cents")
  expect(ids).toHaveLength(1)
  expect(nswrap(["inbox", "reject", ids[0]!]).stdout).toContain("rejected")
  expect(json<unknown[]>(["inbox"])).toEqual([])
  expect(json<unknown[]>(["list"])).toEqual([])
})

test("a tool cannot fill the disk with proposals", async () => {
  const { db, close } = await newHome()
  db.transaction(() => {
    for (let i = 0; i < 1000; i++) propose(db, { text: `proposal ${i}` }, { now: i })
  })()
  expect(() => propose(db, { text: "one more" }, { now: 0 })).toThrow("the inbox is full")
  expect(propose(db, { text: "proposal 7" }, { now: 0 }).created_at).toBe(7)
  close()
})

test("what a proposal has no column for is kept until it is accepted", () => {
  const { json, nswrap } = newShop()
  nswrap(["remember", "port 5433", "--subject", "DB", "--ttl", "1d", "--alias", "stage"], { env: { NSWRAP_TOOL: "codex" } })
  nswrap(["inbox", "accept", "--all"])
  expect(json<object[]>(["list"])).toMatchObject([{ subject: "db", aliases: ["stage"], ttl_ms: 86_400_000, meta: {} }])
})
