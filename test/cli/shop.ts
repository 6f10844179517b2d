import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Ran, run, type RunOptions, temporaryHome } from "../helpers/binary.ts"

/** A home with a git repository `shop` in it, and the shipped binary run there. */
export function newShop() {
  const home = temporaryHome()
  const shop = join(home, "shop")
  const plain = join(home, "plain")
  for (const directory of [shop, plain]) mkdirSync(directory)
  Bun.spawnSync(["git", "init", "-q", shop], { env: { PATH: process.env["PATH"], HOME: home } })
  const nswrap = (args: string[], options: RunOptions = {}): Ran => run(args, { home, cwd: shop, ...options })
  /** Runs a command that must succeed and answers its JSON. */
  const json = <T = Record<string, unknown>>(args: string[], options: RunOptions = {}): T => {
    const [command = "", ...rest] = args
    const ran = nswrap([command, "--json", ...rest], options)
    if (ran.status !== 0) throw new Error(`nswrap ${args.join(" ")}: status ${ran.status}: ${ran.stderr}`)
    return JSON.parse(ran.stdout) as T
  }
  const remember = (text: string, ...options: string[]) =>
    json<{ outcome: string; memory: Remembered; near: Remembered[] }>(["remember", text, ...options]).memory
  const editor = (script: string) => {
    const path = join(home, `editor-${Math.random().toString(36).slice(2)}`)
    writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    return path
  }
  return { home, shop, plain, nsHome: join(home, "nswrap"), nswrap, json, remember, editor }
}

export interface Remembered {
  id: string
  short_id: string
  text: string
  kind: string
  scope: string
  project_name: string | null
  tags: string[]
  actor: string
  pinned: boolean
  tombstone: boolean
  superseded_by: string | null
  count: number
  expires_at: number | null
}
