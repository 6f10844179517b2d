import { afterEach, expect, test } from "bun:test"
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import { type CaptureServer, findText, startCaptureServer } from "../../src/agents/capture-server.ts"

const MARK = "lighthouse"
const BODY = {
  system: [{ type: "text", text: "you are" }, { type: "text", text: `the ${MARK} keeper` }],
  messages: [{ role: "user", content: [{ type: "text", text: `which ${MARK}?` }] }],
}

const servers: CaptureServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop()
})

function start(): CaptureServer {
  const server = startCaptureServer()
  servers.push(server)
  return server
}

const ENCODINGS: Record<string, (bytes: Buffer) => Uint8Array> = {
  identity: (bytes) => bytes,
  gzip: (bytes) => gzipSync(bytes),
  deflate: (bytes) => deflateSync(bytes),
  br: (bytes) => brotliCompressSync(bytes),
  zstd: (bytes) => zstdCompressSync(bytes),
  "gzip, zstd": (bytes) => zstdCompressSync(gzipSync(bytes)),
}

test.each(Object.keys(ENCODINGS))("a mark is found in a body encoded as %s", async (encoding) => {
  const server = start()
  const body = ENCODINGS[encoding]!(Buffer.from(JSON.stringify(BODY)))
  const answer = await fetch(`${server.url}/v1/messages?beta=true`, { method: "POST", body, headers: { "content-encoding": encoding } })
  expect(answer.status).toBe(400)
  expect(server.requests).toHaveLength(1)
  expect(server.requests[0]).toMatchObject({ method: "POST", path: "/v1/messages?beta=true", sizeBytes: body.length })
  expect(findText(server.requests[0]!.body, MARK).map(({ path, role }) => ({ path, role }))).toEqual([
    { path: "system[1].text", role: "system" },
    { path: "messages[0].content[0].text", role: "user" },
  ])
})

test("a mark that a streamed body splits is found", async () => {
  const server = start()
  const text = JSON.stringify(BODY)
  const half = text.indexOf(MARK) + 4
  async function* pieces() {
    yield text.slice(0, half)
    await Bun.sleep(20)
    yield text.slice(half)
  }
  await fetch(server.url, { method: "POST", body: pieces() })
  expect(findText(server.requests[0]!.body, MARK)).toHaveLength(2)
})

test("a body that is not what it says it is is kept as it came", async () => {
  const server = start()
  await fetch(server.url, { method: "POST", body: `plain ${MARK}`, headers: { "content-encoding": "gzip" } })
  expect(server.requests[0]).toMatchObject({ text: `plain ${MARK}`, body: null })
})

test("a list of models is answered, a call of a model is not", async () => {
  const server = start()
  expect((await fetch(`${server.url}/v1/models`)).status).toBe(200)
  expect((await fetch(`${server.url}/v1beta/models/m1:generateContent`, { method: "POST", body: "{}" })).status).toBe(400)
})

test("it listens on 127.0.0.1 alone and no more after stop()", async () => {
  const server = startCaptureServer()
  expect(new URL(server.url).hostname).toBe("127.0.0.1")
  if (process.platform === "linux") await expect(fetch(`http://127.0.0.2:${server.port}`)).rejects.toThrow()
  await server.stop()
  await expect(fetch(server.url)).rejects.toThrow()
})

test("waitFor() answers true with the request, and false at its bound", async () => {
  const server = start()
  const seen = server.waitFor(({ text }) => text.includes(MARK), 5_000)
  await fetch(server.url, { method: "POST", body: "something else" })
  await fetch(server.url, { method: "POST", body: MARK })
  expect(await seen).toBe(true)
  expect(await server.waitFor(({ text }) => text.includes("never"), 30)).toBe(false)
})

test("stop() ends all waiting", async () => {
  const server = startCaptureServer()
  const seen = server.waitFor(() => false, 60_000)
  await server.stop()
  expect(await seen).toBe(false)
})

test.each([
  ["the nearest role above a text", { input: [{ role: "developer", content: [{ text: MARK }] }] }, "input[0].content[0].text", "developer"],
  ["a system prompt that is plain text", { system: MARK }, "system", "system"],
  ["Responses' instructions", { instructions: MARK, input: [] }, "instructions", "system"],
  ["Gemini's system instruction", { systemInstruction: { role: "user", parts: [{ text: MARK }] } }, "systemInstruction.parts[0].text", "system"],
  ["a tool's description", { tools: [{ function: { description: MARK } }] }, "tools[0].function.description", "tools"],
])("findText() names %s", (_, body, path, role) => {
  expect(findText(body, MARK)).toEqual([{ path, role, text: MARK }])
})

test("findText() finds nothing in what is no JSON and ends in what is deep", () => {
  expect(findText(null, MARK)).toEqual([])
  let deep: unknown = MARK
  for (let level = 0; level < 5_000; level++) deep = [deep]
  expect(findText(deep, MARK)).toEqual([])
})
