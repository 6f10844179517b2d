import { mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A scratch directory with the real git in it, deaf to the developer's own configuration. */
export function makeWorkshop() {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "nswrap-git-")))
  const env = { PATH: process.env["PATH"]!, HOME: root, GIT_CONFIG_NOSYSTEM: "1", GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@b.c", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@b.c" }
  const path = (name: string) => join(root, name)
  const git = (directory: string, ...args: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(["git", "-c", "protocol.file.allow=always", ...args], { cwd: path(directory), env })
    if (exitCode !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`)
  }
  /** A repository with one commit, and an `origin` when a URL is given. */
  const repository = (name: string, remote?: string) => {
    mkdirSync(path(name), { recursive: true })
    git(name, "init", "-q", "-b", "main")
    git(name, "commit", "-q", "--allow-empty", "-m", "first")
    if (remote !== undefined) git(name, "remote", "add", "origin", remote)
    return path(name)
  }
  const directory = (name: string) => (mkdirSync(path(name), { recursive: true }), path(name))
  return { root, path, git, repository, directory, remove: () => rmSync(root, { recursive: true, force: true }) }
}
