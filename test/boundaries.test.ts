import { expect, test } from "bun:test"
import { Glob } from "bun"

// The arrows of the house (ARCHITECTURE.md): who may import whom.
const ARROWS: Record<string, string[]> = {
  memory: [],
  config: ["system"],
  system: [],
  store: ["memory", "config", "system"],
  recall: ["store", "memory"],
  wrap: ["recall", "store", "memory", "config", "system"],
  agents: ["recall", "store", "memory", "config", "system"],
  cli: ["wrap", "recall", "store", "memory", "config", "system", "agents"],
  main: ["wrap", "cli", "system"],
}
const SHARED = new Set(["errors", "version"])
const HEAVY = /^(node:|citty|zod|yaml|usearch|native:)/

const transpiler = new Bun.Transpiler({ loader: "ts" })
const files = [...new Glob("src/**/*.ts").scanSync(".")].filter((file) => !file.endsWith(".d.ts"))

test("imports point one way through the house", async () => {
  const wrong: string[] = []
  for (const file of files) {
    const room = roomOf(file)
    for (const { path } of imports(await Bun.file(file).text())) {
      if (!path.startsWith(".")) continue
      const target = roomOf(new URL(path, `file:///${file}`).pathname.slice(1))
      if (target !== room && !SHARED.has(target) && !SHARED.has(room) && !(ARROWS[room] ?? []).includes(target)) wrong.push(`${file} -> ${path}`)
    }
  }
  expect(wrong).toEqual([])
})

test("every file is in a room of the house", () => {
  expect(files.map(roomOf).filter((room) => !(room in ARROWS) && !SHARED.has(room))).toEqual([])
})

test("no file imports itself in a circle", async () => {
  const graph = new Map<string, string[]>()
  for (const file of files) {
    const targets = staticImports(await Bun.file(file).text()).filter((path) => path.startsWith(".") && path.endsWith(".ts"))
    graph.set(file, targets.map((path) => new URL(path, `file:///${file}`).pathname.slice(1)))
  }
  const circles: string[] = []
  const done = new Set<string>()
  const walk = (file: string, way: string[]): void => {
    if (way.includes(file)) circles.push([...way.slice(way.indexOf(file)), file].join(" -> "))
    if (done.has(file) || way.includes(file)) return
    for (const next of graph.get(file) ?? []) walk(next, [...way, file])
    done.add(file)
  }
  for (const file of files) walk(file, [])
  expect(circles).toEqual([])
})

test("what the wrapper always loads imports nothing heavy", async () => {
  const seen = new Set<string>()
  const heavy: string[] = []
  const walk = async (file: string): Promise<void> => {
    if (seen.has(file)) return
    seen.add(file)
    for (const path of staticImports(await Bun.file(file).text())) {
      if (HEAVY.test(path)) heavy.push(`${file} -> ${path}`)
      if (path.startsWith(".") && path.endsWith(".ts")) await walk(new URL(path, `file:///${file}`).pathname.slice(1))
    }
  }
  await walk("src/main.ts")
  expect(seen.has("src/wrap/wrap.ts")).toBe(true)
  expect(heavy).toEqual([])
})

function roomOf(file: string): string {
  const parts = file.replace(/^src\//, "").split("/")
  return parts.length === 1 ? parts[0]!.replace(/\.ts$/, "") : parts[0]!
}

function imports(source: string): { path: string; kind: string }[] {
  return transpiler.scanImports(source)
}

function staticImports(source: string): string[] {
  return imports(source).filter(({ kind }) => kind === "import-statement").map(({ path }) => path)
}
