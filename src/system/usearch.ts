/** The part of usearch's addon (https://unum-cloud.github.io/usearch) that we call. */
export interface VectorAddon {
  version(): string
  CompiledIndex: new (...options: unknown[]) => unknown
  exactSearch(...options: unknown[]): unknown
}

export type Vectors =
  | { available: true; version: string; addon: VectorAddon }
  | { available: false; reason: string }

let loaded: Promise<Vectors> | null = null

/**
 * The vector index, when this machine can run it; never throws. It is an addon that Bun unpacks into TMPDIR, and on Linux it
 * needs glibc 2.34 and libstdc++, so an old or bare system, a TMPDIR mounted noexec, musl and Windows go without:
 * everything that uses it scans exactly instead.
 */
export function loadVectors(): Promise<Vectors> {
  loaded ??= load()
  return loaded
}

async function load(): Promise<Vectors> {
  try {
    const addon = await importAddon()
    if (addon === null) return { available: false, reason: `usearch has no build for ${process.platform} with this C library` }
    return { available: true, version: addon.version(), addon }
  } catch (error) {
    return { available: false, reason: firstLine(error) }
  }
}

async function importAddon(): Promise<VectorAddon | null> {
  // The build replaces this specifier by the target's addon or by null: see vectorAddon() in build.ts.
  // @ts-expect-error no module of this name exists outside a build
  if (Bun.isStandaloneExecutable) return (await import("native:usearch")).default
  const folder = process.platform === "darwin" ? "darwin-arm64+x64" : `${process.platform}-${process.arch}`
  return require(`${import.meta.dir}/../../node_modules/usearch/prebuilds/${folder}/usearch.node`)
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.split("\n", 1)[0] ?? message
}
