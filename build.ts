/**
 * Builds nswrap into one executable.
 *
 *   bun build.ts                       dist/nswrap for this machine
 *   bun build.ts --target linux-arm64  dist/nswrap-linux-arm64
 *   bun build.ts --release             every target, compressed, with SHA256SUMS, in dist/release
 *   --entry FILE --outfile FILE        another program or place (tests)
 */
import { spawnSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { gzipSync } from "node:zlib"
import manifest from "./package.json" with { type: "json" }

/** Every target, with the folder of its vector addon; `null` where usearch ships none. */
const TARGETS = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "linux-x64-musl": null,
  "linux-arm64-musl": null,
  "darwin-x64": "darwin-arm64+x64",
  "darwin-arm64": "darwin-arm64+x64",
  "windows-x64": null,
  "windows-arm64": null,
} as const
type Target = keyof typeof TARGETS

/** Variables by which a caller's environment would turn a compiled program into something else: see closeBackDoors(). */
const BACK_DOORS = ["BUN_OPTIONS", "BUN_BE_BUN", "BUN_INSPECT", "BUN_INSPECT_CONNECT_TO", "BUN_INSPECT_PRELOAD"]

const root = import.meta.dir

const { values: options } = parseArgs({
  options: {
    target: { type: "string" },
    release: { type: "boolean", default: false },
    entry: { type: "string", default: join(root, "src/main.ts") },
    outfile: { type: "string" },
  },
})

if (options.release) await buildRelease()
else await buildOne()

async function buildOne() {
  const target = options.target === undefined ? hostTarget() : knownTarget(options.target)
  const suffix = target.startsWith("windows") ? ".exe" : ""
  const name = options.target === undefined ? `nswrap${suffix}` : `nswrap-${target}${suffix}`
  const outfile = options.outfile ?? join(root, "dist", name)
  const bytes = await compile(target, outfile)
  say(`${outfile}  ${megabytes(bytes)}  ${manifest.version} (${commit()})`)
}

/** What a release consists of: a gzip file per target, SHA256SUMS over them (`sha256sum -c`), and install.sh. */
async function buildRelease() {
  const folder = join(root, "dist", "release")
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const sums: string[] = []
  for (const target of Object.keys(TARGETS) as Target[]) {
    const name = `nswrap-${manifest.version}-${target}${target.startsWith("windows") ? ".exe" : ""}`
    const plain = join(folder, name)
    const bytes = await compile(target, plain)
    const compressed = gzipSync(await Bun.file(plain).bytes(), { level: 9 })
    writeFileSync(`${plain}.gz`, compressed)
    rmSync(plain)
    sums.push(`${new Bun.CryptoHasher("sha256").update(compressed).digest("hex")}  ${name}.gz`)
    say(`${name}.gz  ${megabytes(compressed.length)} (${megabytes(bytes)} unpacked)`)
  }
  copyFileSync(join(root, "install.sh"), join(folder, "install.sh"))
  writeFileSync(join(folder, "SHA256SUMS"), `${sums.join("\n")}\n`)
}

/** Compiles to a file beside `outfile` and renames, so that a program in use is never half written. Returns its size. */
async function compile(target: Target, outfile: string): Promise<number> {
  const place = dirname(resolve(outfile))
  mkdirSync(place, { recursive: true })
  const scratch = mkdtempSync(join(place, ".build-"))
  try {
    const made = join(scratch, target.startsWith("windows") ? "nswrap.exe" : "nswrap")
    await Bun.build({
      entrypoints: [resolve(options.entry)],
      target: "bun",
      format: "esm",
      splitting: true,
      minify: true,
      bytecode: true,
      sourcemap: "linked",
      define: {
        "process.env.NODE_ENV": '"production"',
        NSWRAP_LIBC: JSON.stringify(target.endsWith("-musl") ? "musl" : "glibc"),
        BUILD_VERSION: JSON.stringify(manifest.version),
        BUILD_COMMIT: JSON.stringify(commit()),
      },
      plugins: [vectorAddon(TARGETS[target])],
      compile: {
        target: `bun-${target}` as Bun.Build.CompileTarget,
        outfile: made,
        // What lies in the directory where somebody runs us is never ours to execute or to believe.
        autoloadBunfig: false,
        autoloadDotenv: false,
        autoloadTsconfig: false,
        autoloadPackageJson: false,
        // A wrapped run is over before compiled code pays: 10 % less. Commands of ours go back to 1 (main.ts).
        jitPolicy: 10,
      },
    })
    if (target.startsWith("linux")) await closeBackDoors(made)
    if (target === hostTarget()) tryOut(made)
    renameSync(made, outfile)
    return Bun.file(outfile).size
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** `import("native:usearch")` is the addon of the target's platform, or `null` where there is none. */
function vectorAddon(folder: string | null): Bun.BunPlugin {
  return {
    name: "native-usearch",
    setup(build) {
      const path = folder && join(root, "node_modules/usearch/prebuilds", folder, "usearch.node")
      if (path && !existsSync(path)) throw new Error(`${path} is missing: run bun install --frozen-lockfile`)
      build.onResolve({ filter: /^native:usearch$/ }, () => (path ? { path } : { path: "usearch", namespace: "absent" }))
      build.onLoad({ filter: /./, namespace: "absent" }, () => ({ contents: "export default null", loader: "js" }))
    },
  }
}

/**
 * No build option stops a compiled program from reading BUN_OPTIONS (`--preload x` runs x inside it) and BUN_BE_BUN
 * (it becomes the bun command line), and unsetting them would change what the wrapped command sees. So their names are
 * made unfindable in the executable: an empty C string is the name of no variable. Only on Linux: the change would break
 * the signature on macOS, and Windows stores the names otherwise. A runtime that does so on Linux too fails the build.
 */
async function closeBackDoors(executable: string) {
  const bytes = Buffer.from(await Bun.file(executable).arrayBuffer())
  for (const name of BACK_DOORS) {
    const literal = Buffer.from(`\0${name}\0`)
    const at = bytes.indexOf(literal)
    if (at < 0 || bytes.indexOf(literal, at + 1) >= 0) throw new Error(`${name} is not where this build can close it`)
    bytes[at + 1] = 0
  }
  writeFileSync(executable, bytes, { mode: 0o755 })
}

/** Runs what was built: it must start, and the back doors must be shut. */
function tryOut(executable: string) {
  const place = mkdtempSync(join(tmpdir(), "nswrap-build-"))
  try {
    const preload = join(place, "preload.ts")
    writeFileSync(preload, "console.log('preloaded')")
    const run = (extra: Record<string, string>) => {
      const env = { PATH: process.env.PATH, HOME: place, TMPDIR: place, ...extra }
      const { status, stdout, stderr, error } = spawnSync(executable, ["--version"], { env, cwd: place, encoding: "utf8" })
      if (error) throw error
      return `${status} ${stdout}${stderr}`
    }
    const plain = run({})
    if (!plain.startsWith("0 ")) throw new Error(`the program that was built does not start: ${plain}`)
    if (process.platform !== "linux") return
    for (const [name, value] of [["BUN_OPTIONS", `--preload ${preload}`], ["BUN_BE_BUN", "1"]] as const) {
      const output = run({ [name]: value })
      if (output !== plain) throw new Error(`${name} still reaches the program that was built: ${output}`)
    }
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

function hostTarget(): Target {
  const system = process.platform === "win32" ? "windows" : process.platform
  const musl = system === "linux" && existsSync(`/lib/ld-musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`) && !glibc()
  return knownTarget(`${system}-${process.arch}${musl ? "-musl" : ""}`)
}

function glibc(): boolean {
  return ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"].some((path) => existsSync(path))
}

function knownTarget(name: string): Target {
  if (Object.hasOwn(TARGETS, name)) return name as Target
  throw new Error(`no target ${name}; there is ${Object.keys(TARGETS).join(", ")}`)
}

/** Short commit of the checkout, with `-dirty` when tracked files differ from it; `unknown` outside git. */
function commit(): string {
  const git = spawnSync("git", ["describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"], { cwd: root, encoding: "utf8" })
  return git.status === 0 ? git.stdout.trim() : "unknown"
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

function say(line: string) {
  process.stdout.write(`${line}\n`)
}
