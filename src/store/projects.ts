/*
 * Which project a directory belongs to. Nearest wins, walking up from the (real) working directory:
 *   a known plain or bound directory at or below the root of the git checkout, else that checkout, else the nearest
 *   known directory above. Home and "/" are no project unless bound by hand, also when they are git repositories.
 * A git checkout is recognised by its common directory (shared by worktrees), never by a name. In this order:
 *   1. device, inode and birth time are known: that project, wherever it lies now ("moved" at an unknown path). File
 *      systems reuse inode numbers, so without a birth time the path or the remote must agree too.
 *   2. the path is known: that project, unless the inode is another one and the remote is another one: then somebody
 *      put another repository there. (rm and clone again keeps the project; so does a new remote in the same repository.)
 *   3. the normalised remote is known: that project ("remote"). Anybody can claim any URL, so it is announced once,
 *      and a checkout that was unlinked never joins by its remote again. A remote that is a local directory means the
 *      repository there.
 *   4. else none; ensureProject() makes one at the first memory.
 */
import type { Database } from "bun:sqlite"
import { NswrapError } from "../errors.ts"
import { findGit, type GitCheckout, parentOf } from "../system/git.ts"
import { fileIdentity, type FileIdentity, realPath } from "../system/libc.ts"
import { inTransaction } from "./database.ts"

export interface Project {
  seq: number
  /** UUIDv7. */
  id: string
  /** Unique, whatever the case. */
  name: string
  created_at: number
}

/** Where somebody stands: `directory` is the root of the checkout, or the project's directory, or the directory itself. */
export interface Place {
  directory: string
  git: GitCheckout | null
}

export interface Located {
  project: Project | null
  place: Place
  joined: "known" | "moved" | "remote" | null
  /** A line for stderr, to be shown once; recordJoin() remembers that it was. */
  announce: string | null
}

export interface ProjectKey {
  kind: "git-dir" | "git-inode" | "remote" | "dir"
  key: string
  via: "made" | "moved" | "remote" | "bound"
  unlinked: boolean
  created_at: number
}

const NAME_LENGTH_MAX = 80
const SUGGESTIONS_MAX = 3

/**
 * The project of a directory. Reads only: file metadata, the git configuration, one indexed query.
 * @param home the home directory, which is no project
 */
export function locateProject(db: Database, cwd: string, home = process.env["HOME"]): Located {
  const directory = realPath(cwd) ?? cwd
  const found = findGit(directory)
  const git = found === null || isNobodys(found.root, home) ? null : found
  const rows = knownKeys(db, localKeys(directory, git))
  const named = rows.filter(({ kind }) => kind === "dir").sort((a, b) => b.key.length - a.key.length)[0]
  if (named !== undefined && (git === null || named.key.length >= git.root.length))
    return { project: projectOf(named), place: { directory: named.key, git: null }, joined: "known", announce: null }
  if (git === null) return { project: null, place: { directory, git }, joined: null, announce: null }
  const has = (project: string, kind: string) =>
    db.query("select 1 from project_key where project_id = ? and kind = ? and unlinked = 0 limit 1").get(project, kind) !== null
  // A repository that is where it was, the usual case, is known without reading its configuration.
  if (!isSettled(git, rows)) rows.push(...knownKeys(db, remoteKeys(git)))
  return { ...recognise(git, rows, has), place: { directory: git.root, git } }
}

export interface KeyRow {
  kind: ProjectKey["kind"]
  key: string
  unlinked: number
  announced: number
  seq: number
  id: string
  name: string
  created_at: number
}

/** Rules 1 to 4, pure. `has` says whether a project has any key of a kind. */
export function recognise(
  git: Pick<GitCheckout, "commonDir" | "identity" | "remote">,
  rows: KeyRow[],
  has: (project: string, kind: string) => boolean,
): Omit<Located, "place"> {
  const row = (kind: string, key: string | null) => rows.find((each) => each.kind === kind && each.key === key)
  const path = row("git-dir", git.commonDir)
  const inode = row("git-inode", identityKey(git.identity))
  const none = { project: null, joined: null, announce: null }

  const isSure = git.identity !== null && git.identity.birth !== ""
  if (inode !== undefined && isSure) {
    if (inode.unlinked) return none
    if (path?.id !== inode.id || path.unlinked) return { project: projectOf(inode), joined: "moved", announce: null }
    return known(path, git)
  }
  if (path?.unlinked) return none
  const claimed = row("remote", git.remote) ?? row("git-dir", git.remote?.startsWith("file:") ? git.remote.slice(5) : null) ?? row("remote", `file:${git.commonDir}`)
  const remote = claimed?.unlinked === 0 ? claimed : undefined
  if (path !== undefined) {
    const sameInode = inode?.id === path.id || git.identity === null || !has(path.id, "git-inode")
    const sameRemote = remote?.id === path.id || git.remote === null || !has(path.id, "remote")
    if (sameInode || sameRemote) return known(path, git)
  }
  if (remote === undefined) return none
  if (inode?.id === remote.id) return inode.unlinked ? none : { project: projectOf(inode), joined: "moved", announce: null }
  return { project: projectOf(remote), joined: "remote", announce: announcement(remote, git) }
}

/** Writes down that a checkout moved or joined, and that the user was told. Best effort: a locked database is left alone. */
export function recordJoin(db: Database, located: Located, { now }: { now: number }): void {
  const { project, joined, place } = located
  if (project === null || place.git === null || (joined !== "moved" && joined !== "remote")) return
  if (!db.inTransaction) {
    try {
      db.run("begin immediate")
    } catch {
      return
    }
    try {
      recordJoin(db, located, { now })
      db.run("commit")
    } catch (error) {
      db.run("rollback")
      throw error
    }
    return
  }
  addCheckout(db, { project, git: place.git, via: joined, announced: true, now })
  if (joined === "moved") dropStalePaths(db, { project, git: place.git })
}

/**
 * The project of a directory, made when there is none yet: for the whole git checkout, else for the directory itself.
 * What is new about a known checkout (another remote, another inode) is added.
 * @param name for a project that has to be made; default: from the remote, else the directory. Made unique.
 * @throws invalid in the home directory and in "/"
 */
export function ensureProject(db: Database, cwd: string, { now }: { now: number }, name?: string): Project {
  return inTransaction(db, () => {
    const { project: found, place: { directory, git }, joined } = locateProject(db, cwd)
    if (found === null && git === null && isNobodys(directory, process.env["HOME"]))
      throw new NswrapError("invalid", `${directory} is no project; go to one, or say --scope global, or nswrap project bind NAME ${directory}`)
    const project = found ?? createProject(db, uniqueName(db, { wanted: name, directory, git }), { now })
    if (git === null) {
      if (found === null) putKey(db, { kind: "dir", key: directory, project, via: "made", announced: true, now })
      return project
    }
    addCheckout(db, { project, git, via: joined === "known" || joined === null ? "made" : joined, announced: joined !== "remote", now })
    if (git.remote !== null && joined !== "remote")
      db.query("insert or ignore into project_key (kind, key, project_id, created_at) values ('remote', ?, ?, ?)").run(git.remote, project.id, now)
    if (joined === "moved") dropStalePaths(db, { project, git })
    return project
  })
}

/** A project without a directory: `bindDirectory` gives it one. @throws conflict, invalid */
export function createProject(db: Database, name: string, { now }: { now: number }): Project {
  const checked = checkName(name)
  if (named(db, checked) !== null) throw new NswrapError("conflict", `there is a project ${JSON.stringify(checked)} already`)
  const project = { id: Bun.randomUUIDv7("hex", now), name: checked, created_at: now }
  const { lastInsertRowid } = db.query("insert into project (id, name, created_at) values (?, ?, ?)").run(project.id, project.name, now)
  return { seq: Number(lastInsertRowid), ...project }
}

/** By name (any case) or id. @throws not-found, with the nearest names */
export function findProject(db: Database, nameOrId: string): Project {
  const found = named(db, nameOrId)
  if (found !== null) return found
  const names = (db.query("select name from project order by seq").all() as { name: string }[]).map(({ name }) => name)
  const near = nearest(nameOrId, names)
  const remedy = near.length > 0 ? `did you mean ${near.join(" or ")}?` : names.length > 0 ? "nswrap project list shows them all" : "there are no projects yet"
  throw new NswrapError("not-found", `no project ${JSON.stringify(nameOrId)}; ${remedy}`)
}

/** All projects by name, each with how it is recognised and its live memories. */
export function listProjects(db: Database): (Project & { keys: ProjectKey[]; memories: number })[] {
  const projects = db.query("select seq, id, name, created_at from project order by name").all() as Project[]
  const keys = db.query("select project_id, kind, key, via, unlinked, created_at from project_key order by kind, key").all() as (ProjectKey & { project_id: string })[]
  const counts = db.query("select project, count(*) as live from memory where tombstone = 0 and superseded_by is null and project is not null group by project").all()
  const memories = new Map((counts as { project: string; live: number }[]).map(({ project, live }) => [project, live]))
  return projects.map((project) => ({
    ...project,
    keys: keys
      .filter(({ project_id }) => project_id === project.id)
      .map(({ kind, key, via, unlinked, created_at }) => ({ kind, key, via, unlinked: Boolean(unlinked), created_at })),
    memories: memories.get(project.id) ?? 0,
  }))
}

/** @throws not-found, conflict when the name is taken, invalid */
export function renameProject(db: Database, nameOrId: string, name: string): Project {
  return inTransaction(db, () => {
    const project = findProject(db, nameOrId)
    const checked = checkName(name)
    const other = named(db, checked)
    if (other !== null && other.id !== project.id) throw new NswrapError("conflict", `there is a project ${JSON.stringify(other.name)} already`)
    db.query("update project set name = ? where id = ?").run(checked, project.id)
    return { ...project, name: checked }
  })
}

/**
 * Makes a directory belong to the project of that name, which is made when there is none. The root of a git checkout brings its
 * repository: worktrees follow, and so do clones, unless another checkout of another project goes by the same remote.
 * @throws not-found when there is no such directory, invalid
 */
export function bindDirectory(db: Database, name: string, directory: string, { now }: { now: number }): Project {
  return inTransaction(db, () => {
    const real = existing(directory)
    const project = named(db, name) ?? createProject(db, name, { now })
    const git = findGit(real)
    if (git === null || git.root !== real || isNobodys(real, process.env["HOME"])) {
      putKey(db, { kind: "dir", key: real, project, via: "bound", announced: true, now })
      return project
    }
    db.query("delete from project_key where kind = 'dir' and key = ?").run(real)
    addCheckout(db, { project, git, via: "bound", announced: true, now })
    const holder = db.query("select project_id from project_key where kind = 'remote' and key = ?").get(git.remote) as { project_id: string } | null
    const isShared = holder !== null && holder.project_id !== project.id &&
      db.query("select 1 from project_key where project_id = ? and kind = 'git-dir' and unlinked = 0").get(holder.project_id) !== null
    if (git.remote !== null && !isShared) putKey(db, { kind: "remote", key: git.remote, project, via: "bound", announced: true, now })
    return project
  })
}

/**
 * Takes a checkout or directory out of its project; the project keeps its memories. A checkout does not join by its remote again.
 * @returns the project it belonged to. @throws not-found when it belongs to none, conflict when a directory above it is meant
 */
export function unlinkDirectory(db: Database, directory: string, { now }: { now: number }): Project {
  return inTransaction(db, () => {
    const real = existing(directory)
    const { project, place } = locateProject(db, real)
    if (project === null) throw new NswrapError("not-found", `${real} belongs to no project`)
    if (place.git === null) {
      if (place.directory !== real) throw new NswrapError("conflict", `${real} belongs to ${project.name} by ${place.directory}; say: nswrap project unlink ${place.directory}`)
      db.query("delete from project_key where kind = 'dir' and key = ?").run(real)
      return project
    }
    addCheckout(db, { project, git: place.git, via: "made", announced: true, now })
    db.query("update project_key set unlinked = 1 where (kind = 'git-dir' and key = ?) or (kind = 'git-inode' and key = ?)")
      .run(place.git.commonDir, identityKey(place.git.identity))
    return project
  })
}

/** Home and the root of the file system hold everything, so they say nothing. */
function isNobodys(directory: string, home: string | undefined): boolean {
  return directory === "/" || (home !== undefined && home !== "" && (directory === home || directory === realPath(home)))
}

type Key = [kind: ProjectKey["kind"], key: string]

/** The directory, all above it, and what the repository is known by without its remote. */
function localKeys(directory: string, git: GitCheckout | null): Key[] {
  const keys: Key[] = []
  for (let at = directory; ; at = parentOf(at)) {
    keys.push(["dir", at])
    if (at === parentOf(at)) break
  }
  const inode = identityKey(git?.identity ?? null)
  if (git !== null) keys.push(["git-dir", git.commonDir])
  if (inode !== null) keys.push(["git-inode", inode])
  return keys
}

function remoteKeys({ commonDir, remote }: GitCheckout): Key[] {
  const keys: Key[] = [["remote", `file:${commonDir}`]]
  if (remote !== null) keys.push(["remote", remote])
  if (remote?.startsWith("file:")) keys.push(["git-dir", remote.slice("file:".length)])
  return keys
}

/** Rule 1 decides alone. */
function isSettled({ identity }: GitCheckout, rows: KeyRow[]): boolean {
  return identity !== null && identity.birth !== "" && rows.some(({ kind }) => kind === "git-inode")
}

/** Those of the keys that are known, with their projects: one query, one look-up each. */
function knownKeys(db: Database, keys: Key[]): KeyRow[] {
  const sql = `with wanted (kind, key) as (values ${keys.map(() => "(?, ?)").join(", ")})
    select k.kind, k.key, k.unlinked, k.announced, p.seq, p.id, p.name, p.created_at
    from wanted join project_key k on k.kind = wanted.kind and k.key = wanted.key join project p on p.id = k.project_id`
  return db.query(sql).all(...keys.flat()) as KeyRow[]
}

function projectOf({ seq, id, name, created_at }: KeyRow): Project {
  return { seq, id, name, created_at }
}

function known(path: KeyRow, git: Pick<GitCheckout, "commonDir" | "remote">): Omit<Located, "place"> {
  const project = projectOf(path)
  return path.announced ? { project, joined: "known", announce: null } : { project, joined: "remote", announce: announcement(path, git) }
}

function announcement({ name, key }: KeyRow, { commonDir, remote }: Pick<GitCheckout, "commonDir" | "remote">): string {
  const by = remote === null || key === `file:${commonDir}` ? "as the origin of its clones" : `by its remote ${remote.replace(/^file:/, "")}`
  return `nswrap: this checkout shares project ${JSON.stringify(name)} ${by}; if it should not: nswrap project unlink`
}

/** `device:inode:birth`. */
function identityKey(identity: FileIdentity | null): string | null {
  return identity === null ? null : `${identity.device}:${identity.inode}:${identity.birth}`
}

interface Checkout {
  project: Project
  git: GitCheckout
  via: ProjectKey["via"]
  announced: boolean
  now: number
}

function addCheckout(db: Database, { project, git, via, announced, now }: Checkout): void {
  putKey(db, { kind: "git-dir", key: git.commonDir, project, via, announced, now })
  const inode = identityKey(git.identity)
  if (inode !== null) putKey(db, { kind: "git-inode", key: inode, project, via, announced, now })
}

function putKey(db: Database, key: { kind: ProjectKey["kind"]; key: string; project: Project; via: ProjectKey["via"]; announced: boolean; now: number }): void {
  db.query(`insert into project_key (kind, key, project_id, via, announced, unlinked, created_at) values (?, ?, ?, ?, ?, 0, ?)
    on conflict (kind, key) do update set via = iif(project_id = excluded.project_id and unlinked = 0, via, excluded.via),
      project_id = excluded.project_id, announced = excluded.announced, unlinked = 0`)
    .run(key.kind, key.key, key.project.id, key.via, key.announced ? 1 : 0, key.now)
}

/** A repository that moved left its old path free: what is there now, if anything, must not pass for it by the path alone. */
function dropStalePaths(db: Database, { project, git }: { project: Project; git: GitCheckout }): void {
  const paths = db.query("select key from project_key where project_id = ? and kind = 'git-dir' and key <> ?").all(project.id, git.commonDir) as { key: string }[]
  const isOurs = db.query("select 1 from project_key where project_id = ? and kind = ? and key = ?")
  for (const { key } of paths) {
    const identity = fileIdentity(key)
    if (identity !== null && isOurs.get(project.id, "git-inode", identityKey(identity)) !== null) continue
    const remote = identity === null ? null : (findGit(key)?.remote ?? null)
    if (remote !== null && isOurs.get(project.id, "remote", remote) !== null) continue
    db.query("delete from project_key where kind = 'git-dir' and key = ?").run(key)
  }
}

function existing(directory: string): string {
  const real = realPath(directory)
  if (real === null || realPath(`${real}/.`) === null) throw new NswrapError("not-found", `there is no directory ${directory}`)
  return real
}

function named(db: Database, nameOrId: string): Project | null {
  return db.query("select seq, id, name, created_at from project where name = ?1 or id = ?1").get(nameOrId.trim()) as Project | null
}

function checkName(name: string): string {
  const trimmed = name.trim()
  if (trimmed === "" || trimmed.length > NAME_LENGTH_MAX || trimmed.startsWith("-") || /[\p{C}\p{Zl}\p{Zp}]/u.test(trimmed))
    throw new NswrapError("invalid", `a project cannot be named ${JSON.stringify(name)}: use 1 to ${NAME_LENGTH_MAX} visible characters, not beginning with a dash`)
  return trimmed
}

/** `shop`, else `acme-shop` by the remote's owner, else `shop-2`… */
function uniqueName(db: Database, { wanted, directory, git }: { wanted: string | undefined; directory: string; git: GitCheckout | null }): string {
  const remote = git?.remote?.startsWith("file:") ? [] : (git?.remote?.split("/").slice(1) ?? [])
  const base = readable(wanted ?? remote.at(-1) ?? directory.slice(directory.lastIndexOf("/") + 1).replace(/\.git$/, ""))
  const owner = remote.at(-2)
  const candidates = [base, ...(owner === undefined ? [] : [readable(`${owner}-${base}`)])]
  for (const name of candidates) if (named(db, name) === null) return name
  for (let number = 2; ; number++) if (named(db, `${base}-${number}`) === null) return `${base}-${number}`
}

function readable(name: string): string {
  const clean = name.replace(/[\p{C}\p{Z}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, NAME_LENGTH_MAX - 8)
  return clean === "" ? "project" : clean
}

/** Names that contain the word or are a few edits away, the nearest first. */
function nearest(word: string, names: string[]): string[] {
  const wanted = word.trim().toLowerCase()
  const most = Math.max(2, Math.floor(wanted.length / 3))
  return names
    .map((name) => ({ name, edits: wanted.length > 1 && name.toLowerCase().includes(wanted) ? 0 : editDistance(wanted, name.toLowerCase()) }))
    .filter(({ edits }) => edits <= most)
    .sort((a, b) => a.edits - b.edits)
    .slice(0, SUGGESTIONS_MAX)
    .map(({ name }) => name)
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}
