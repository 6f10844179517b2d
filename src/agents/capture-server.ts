import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib"

/** What one request of a tool looked like, decoded. `body` is the parsed JSON, or null when the body is not JSON. */
export interface CapturedRequest {
  method: string
  /** Path and query. */
  path: string
  text: string
  body: unknown
  sizeBytes: number
}

/** One string of a request body that holds the text looked for. `path` is a JSON path such as `system[2].text`. */
export interface Landing {
  path: string
  role: string
  text: string
}

export interface CaptureServer {
  url: string
  port: number
  requests: CapturedRequest[]
  /** Resolves true when `isEnough` holds for a request, false after `timeoutMs` or when the server stops. Never throws. */
  waitFor(isEnough: (request: CapturedRequest) => boolean, timeoutMs: number): Promise<boolean>
  stop(): Promise<void>
}

const REQUESTS_MAX = 200
const BODY_BYTES_MAX = 64 * 1024 * 1024
const DEPTH_MAX = 64

/**
 * A model provider that listens on 127.0.0.1 (any free port), keeps what it is sent and refuses every model call with
 * status 400, so that a tool shows its whole first request and then gives up. A GET of a model list is answered, because
 * some tools ask for it before they speak.
 */
export function startCaptureServer(): CaptureServer {
  const requests: CapturedRequest[] = []
  const waiting = new Set<(isLast: boolean) => void>()
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    maxRequestBodySize: BODY_BYTES_MAX,
    development: false,
    async fetch(request) {
      const captured = await capture(request)
      if (requests.length < REQUESTS_MAX) requests.push(captured)
      for (const look of waiting) look(false)
      return answer(captured)
    },
    error: () => new Response("", { status: 400 }),
  })
  const port = server.port ?? 0
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    waitFor: (isEnough, timeoutMs) => waitUntil(() => requests.some(isEnough), { waiting, timeoutMs }),
    async stop() {
      for (const look of waiting) look(true)
      await server.stop(true)
    },
  }
}

/**
 * Every string in a JSON value that holds `needle`, with its path and the role it speaks in: that of a top-level field
 * which means one (`system`, `instructions`, `systemInstruction`), else the nearest `role` above it, else "".
 */
export function findText(body: unknown, needle: string): Landing[] {
  const landings: Landing[] = []
  const walk = (value: unknown, path: string, role: string, depth: number): void => {
    if (typeof value === "string") {
      if (value.includes(needle)) landings.push({ path, role, text: value })
      return
    }
    if (value === null || typeof value !== "object" || depth > DEPTH_MAX) return
    if (Array.isArray(value)) {
      for (const [index, child] of value.entries()) walk(child, `${path}[${index}]`, role, depth + 1)
      return
    }
    // Gemini gives its system instruction the role "user": the field's name says more.
    const isSettled = FIELD_ROLES.has(role)
    const own = !isSettled && "role" in value && typeof value.role === "string" ? value.role : role
    for (const [name, child] of Object.entries(value)) {
      walk(child, path === "" ? name : `${path}.${name}`, path === "" ? (ROLE_OF_FIELD[name] ?? own) : own, depth + 1)
    }
  }
  walk(body, "", "", 0)
  return landings
}

const ROLE_OF_FIELD: Record<string, string> = {
  system: "system",
  instructions: "system",
  systemInstruction: "system",
  system_instruction: "system",
  tools: "tools",
}
const FIELD_ROLES = new Set(Object.values(ROLE_OF_FIELD))

async function capture(request: Request): Promise<CapturedRequest> {
  const url = new URL(request.url)
  const raw = new Uint8Array(await request.arrayBuffer())
  const text = new TextDecoder().decode(decompress(raw, request.headers.get("content-encoding") ?? ""))
  return { method: request.method, path: url.pathname + url.search, text, body: parseJson(text), sizeBytes: raw.length }
}

/** Undoes `Content-Encoding`, last applied first; bytes that do not decode are kept as they came. */
function decompress(bytes: Uint8Array, encodings: string): Uint8Array {
  const limit = { maxOutputLength: BODY_BYTES_MAX }
  try {
    return encodings.split(",").reduceRight<Uint8Array>((rest, name) => {
      switch (name.trim().toLowerCase()) {
        case "gzip":
        case "x-gzip":
          return gunzipSync(rest, limit)
        case "deflate":
          return inflateSync(rest, limit)
        case "br":
          return brotliDecompressSync(rest, limit)
        case "zstd":
          return zstdDecompressSync(rest, limit)
        default:
          return rest
      }
    }, bytes)
  } catch {
    return bytes
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function answer(request: CapturedRequest): Response {
  const asksForModels = request.method === "GET" && /\/models\b/.test(request.path)
  if (asksForModels) return Response.json({ object: "list", data: [{ id: "m1", object: "model" }], models: [] })
  const error = { type: "invalid_request_error", code: 400, message: "captured", status: "INVALID_ARGUMENT" }
  return Response.json({ type: "error", error }, { status: 400 })
}

interface Wait {
  waiting: Set<(isLast: boolean) => void>
  timeoutMs: number
}

function waitUntil(isDone: () => boolean, { waiting, timeoutMs }: Wait): Promise<boolean> {
  return new Promise((resolve) => {
    const look = (isLast: boolean): void => {
      const done = isDone()
      if (!done && !isLast) return
      clearTimeout(timer)
      waiting.delete(look)
      resolve(done)
    }
    const timer = setTimeout(() => look(true), timeoutMs)
    waiting.add(look)
    look(false)
  })
}
