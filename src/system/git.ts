import { type FileIdentity, fileExists, fileIdentity, readFileText, realPath } from "./libc.ts"

export interface GitCheckout {
  /** Real path of the directory that all worktrees of one repository share. */
  commonDir: string
  /** Real path of the working tree (of a bare repository: the repository itself). */
  root: string
  /** Of the common directory: what stays the same when the repository is moved. */
  identity: FileIdentity | null
  /** `host/path` of a network remote, `file:/real/common/dir` of a local one; null when there is none to go by. Read when first asked for: 0.2 ms. */
  readonly remote: string | null
}

const POINTER_BYTES_MAX = 8 * 1024
const CONFIG_BYTES_MAX = 256 * 1024
const URL_LENGTH_MAX = 1024
const DEPTH_MAX = 256

/**
 * The git repository that a directory lies in: the nearest one upwards, as git itself finds it, but without running git
 * and without its environment (GIT_DIR of a hook says nothing about where the user is). A `.git` that is no repository is passed by.
 * @param directory absolute, symbolic links resolved
 */
export function findGit(directory: string): GitCheckout | null {
  let at = directory
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    const found = checkoutAt(at)
    if (found !== null) return describe(found)
    if (at === "/" || at === "") return null
    at = parentOf(at)
  }
  return null
}

function describe({ commonDir, root }: { commonDir: string; root: string }): GitCheckout {
  let remote: string | null | undefined
  return {
    commonDir,
    root,
    identity: fileIdentity(commonDir),
    get remote() {
      if (remote === undefined) remote = remoteIdentity(remoteUrl(readFileText(`${commonDir}/config`, CONFIG_BYTES_MAX) ?? ""), root)
      return remote
    },
  }
}

/** The directory above; "/" is above itself. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/")
  return slash > 0 ? path.slice(0, slash) : "/"
}

function checkoutAt(directory: string): { commonDir: string; root: string } | null {
  const dotGit = directory === "/" ? "/.git" : `${directory}/.git`
  if (fileExists(dotGit)) {
    const gitDir = gitDirOf(dotGit, directory)
    const commonDir = gitDir === null ? null : commonDirOf(gitDir)
    if (commonDir !== null) return { commonDir, root: directory }
  }
  // A bare repository, or a directory inside `.git` itself.
  if (!fileExists(`${directory}/HEAD`)) return null
  const commonDir = commonDirOf(directory)
  if (commonDir === null) return null
  return { commonDir, root: directory.endsWith("/.git") ? parentOf(directory) : directory }
}

/** `.git` is the repository, a link to it, or a file that names it (worktrees, submodules, `git init --separate-git-dir`). */
function gitDirOf(dotGit: string, directory: string): string | null {
  if (fileExists(`${dotGit}/HEAD`)) return realPath(dotGit)
  const pointer = /^gitdir:\s*(.+?)\s*$/m.exec(readFileText(dotGit, POINTER_BYTES_MAX) ?? "")?.[1]
  return pointer === undefined ? null : realPath(absolute(pointer, directory))
}

/** What git asks of a repository before it believes it is one: HEAD, objects and refs. */
function commonDirOf(gitDir: string): string | null {
  if (!fileExists(`${gitDir}/HEAD`)) return null
  const pointer = readFileText(`${gitDir}/commondir`, POINTER_BYTES_MAX)?.trim()
  const commonDir = pointer ? realPath(absolute(pointer, gitDir)) : gitDir
  if (commonDir === null || !fileExists(`${commonDir}/objects`) || !fileExists(`${commonDir}/refs`)) return null
  return commonDir
}

function absolute(path: string, base: string): string {
  return path.startsWith("/") ? path : `${base}/${path}`
}

/** The remote as an identity: a network URL normalised, a local path followed to the repository it means. */
function remoteIdentity(url: string | null, root: string): string | null {
  if (url === null) return null
  const path = localPath(url)
  if (path === null) return normalizeRemote(url)
  const real = realPath(absolute(path, root))
  if (real === null) return null
  const commonDir = checkoutAt(real)?.commonDir ?? null
  return commonDir === null ? null : `file:${commonDir}`
}

/**
 * The URL to go by in the text of a git configuration: `origin`, else the first remote that has one.
 * `insteadOf` and `include` are not followed: a name for an identity need not be reachable.
 */
export function remoteUrl(config: string): string | null {
  let remote: string | null = null
  let first: string | null = null
  for (const raw of config.replaceAll("\\\r\n", "").replaceAll("\\\n", "").split("\n")) {
    let line = raw.trim()
    const header = /^\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]/.exec(line)
    if (header !== null) {
      remote = header[1]?.toLowerCase() === "remote" && header[2] !== undefined ? header[2].replace(/\\(.)/g, "$1") : null
      line = line.slice(header[0].length).trim()
    }
    const value = remote === null ? undefined : /^url\s*=\s*(.*)$/i.exec(line)?.[1]
    if (value === undefined) continue
    const url = configValue(value)
    if (url === "") continue
    if (remote === "origin") return url
    first ??= url
  }
  return first
}

/** A value as git reads it: quotes and backslashes undone, a comment outside quotes and the space before it dropped. */
function configValue(value: string): string {
  let text = ""
  let kept = 0
  let quoted = false
  for (let at = 0; at < value.length; at++) {
    const char = value[at]!
    if (char === '"') {
      quoted = !quoted
      kept = text.length
    } else if (char === "\\") {
      const escaped = value[++at] ?? ""
      text += { n: "\n", t: "\t", b: "\b" }[escaped] ?? escaped
      kept = text.length
    } else if (!quoted && (char === "#" || char === ";")) break
    else {
      text += char
      if (quoted || !/\s/.test(char)) kept = text.length
    }
  }
  return text.slice(0, kept)
}

/** The path in a remote that is a local directory (`/srv/shop.git`, `../shop`, `file:///srv/shop.git`); null for network URLs. */
export function localPath(url: string): string | null {
  const file = /^file:\/\/(?:localhost)?(\/.*)$/i.exec(url)?.[1]
  if (file !== undefined) return decodePercent(file)
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) return null
  const colon = url.indexOf(":")
  const slash = url.indexOf("/")
  return colon === -1 || (slash !== -1 && slash < colon) ? url : null
}

// Hosts on which the same repository has two names, and hosts that do not tell case apart in a path.
const HOST_ALIASES: Record<string, string> = {
  "ssh.github.com": "github.com",
  "www.github.com": "github.com",
  "altssh.gitlab.com": "gitlab.com",
  "altssh.bitbucket.org": "bitbucket.org",
}
const CASELESS_HOSTS = new Set(["github.com", "gitlab.com", "bitbucket.org", "codeberg.org"])

/**
 * One name for one repository, however it is reached: `git@GitHub.com:acme/shop.git`, `https://user:token@github.com/acme/shop/` and
 * `ssh://git@github.com:22/acme/shop` are all `github.com/acme/shop`. Never holds credentials. Null for local paths and for what is no URL.
 */
export function normalizeRemote(url: string): string | null {
  const text = url.trim().replace(/^[a-z0-9-]+::/i, "") // a remote helper: `gcrypt::ssh://…`
  if (text.length > URL_LENGTH_MAX || /[\s\p{C}]/u.test(text) || localPath(text) !== null) return null
  const parts =
    /^[a-z][a-z0-9+.-]*:\/\/(?<authority>[^/?#]*)(?<path>[^?#]*)/i.exec(text) ?? /^(?<authority>(?:[^:[/]*@)?(?:\[[^\]/]*\]|[^:/]+)):(?<path>.*)$/.exec(text)
  if (parts?.groups === undefined || /^(file|[a-z])$/i.test(text.slice(0, text.indexOf(":")))) return null // file://host/…, C:\…
  const authority = parts.groups["authority"] ?? ""
  const named = authority
    .slice(authority.lastIndexOf("@") + 1)
    .replace(/^\[([^\]:]+(?::\d+)?)\]$/, "$1") // scp syntax with a port: `[host:2222]:path`
    .replace(/:\d*$/, (port, at, whole: string) => (whole.startsWith("[") && !whole.slice(0, at).endsWith("]") ? port : ""))
    .replace(/\.$/, "")
    .toLowerCase()
  const host = HOST_ALIASES[named] ?? named
  const path = withoutSuffix(decodePercent(parts.groups["path"] ?? "")).replaceAll(" ", "%20")
  if (host === "" || path === "" || /[\s\p{C}]/u.test(path)) return null
  return `${host}/${CASELESS_HOSTS.has(host) ? path.toLowerCase() : path}`
}

/** Slashes at both ends and doubled ones, and `.git` (also `.git/`), are no part of a repository's name. */
function withoutSuffix(path: string): string {
  let name = path.replace(/\/{2,}/g, "/").replace(/^\//, "")
  for (let before = ""; before !== name; ) {
    before = name
    name = name.replace(/\/$/, "").replace(/\.git$/i, "")
  }
  return name
}

function decodePercent(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
