import type { Database } from "bun:sqlite"
import { defineCommand } from "citty"
import { NswrapError } from "../errors.ts"
import { bindDirectory, findProject, listProjects, locateProject, type ProjectKey, renameProject, unlinkDirectory } from "../store/projects.ts"
import { placeOf, readHome, reading, writing } from "./home.ts"
import { date, oneLine, print, printJson, table, tell } from "./output.ts"

const json = { type: "boolean", description: "print JSON" } as const
const directory = { type: "positional", required: false, valueHint: "DIR", description: "default: this directory" } as const

const list = defineCommand({
  meta: { name: "list", description: "Every project with its live memories and where it lies. * marks the one of this directory." },
  args: { json },
  async run({ args }) {
    const home = readHome()
    await reading(home, (db) => {
      const projects = listProjects(db)
      const here = locateProject(db, home.cwd).project?.id
      if (args.json) return printJson(projects.map((project) => ({ ...project, here: project.id === here })))
      if (projects.length === 0) return tell("nswrap: there are no projects yet; the first memory in a git repository or directory makes one")
      const columns = [{ title: "" }, { title: "project" }, { title: "memories", align: "right" as const }, { title: "remote" }, { title: "directory", flexible: true }]
      print(table(columns, projects.map(({ id, name, memories, keys }) => [id === here ? "*" : "", name, String(memories), keysOf(keys, "remote").join(" "), placesOf(keys).join(" ") || `none: nswrap project bind ${quote(name)} DIR`])))
    })
  },
})

const show = defineCommand({
  meta: { name: "show", description: "How a project is recognised; without NAME the one of this directory.\n\n  nswrap project show shop" },
  args: { name: { type: "positional", required: false, valueHint: "NAME" }, json },
  async run({ args }) {
    const home = readHome()
    await reading(home, (db) => {
      const { project } = placeOf(db, home, { project: args.name })
      if (project === null) throw new NswrapError("not-found", `${home.cwd} is in no project yet; the first memory makes one, or nswrap project bind NAME puts it into one`)
      const shown = listProjects(db).find(({ id }) => id === project.id)!
      if (args.json) return printJson(shown)
      const lines = [["name", shown.name], ["id", shown.id], ["made", date(shown.created_at)], ["memories", String(shown.memories)]]
      for (const { kind, key, via, unlinked } of shown.keys) if (kind !== "git-inode") lines.push([LABELS[kind], `${key}${note(via, unlinked)}`])
      if (placesOf(shown.keys).length === 0) lines.push(["directory", `none: nswrap project bind ${quote(shown.name)} DIR`])
      print(lines.map(([label, value]) => `${label!.padEnd(11)}${oneLine(value!)}`).join("\n"))
    })
  },
})

const rename = defineCommand({
  meta: { name: "rename", description: "Gives a project another name. Its memories and directories stay.\n\n  nswrap project rename shop webshop" },
  args: { name: { type: "positional", required: true, valueHint: "NAME" }, to: { type: "positional", required: true, valueHint: "NEW" }, json },
  async run({ args }) {
    await writing(readHome(), (db) => {
      const { name: before } = findProject(db, args.name)
      const project = renameProject(db, args.name, args.to)
      if (args.json) printJson(project)
      else print(`${before} is now ${project.name}`)
    })
  },
})

const bind = defineCommand({
  meta: {
    name: "bind",
    description: `Makes a directory belong to the project of that name, which is made when there is none. The root of a git
checkout brings its worktrees and clones along; a directory inside one (a package) is a project of its own.

  nswrap project bind shop ~/work/shop
  nswrap project bind web packages/web`,
  },
  args: { name: { type: "positional", required: true, valueHint: "NAME" }, directory, json },
  async run({ args }) {
    const home = readHome()
    await writing(home, (db) => {
      const where = args.directory ?? home.cwd
      const before = locateProject(db, where).project
      const project = bindDirectory(db, args.name, where, { now: home.now })
      const { place } = locateProject(db, where)
      const memories = memoriesOf(db, project.id)
      if (args.json) return printJson({ ...project, directory: place.directory, memories })
      print(`${place.directory} belongs to ${project.name} (${count(memories)})`)
      const left = before === null || before.id === project.id ? 0 : memoriesOf(db, before.id)
      if (left > 0) tell(`nswrap: ${count(left)} ${left === 1 ? "stays" : "stay"} with ${before!.name}; nswrap list --project ${quote(before!.name)} shows them`)
    })
  },
})

const unlink = defineCommand({
  meta: { name: "unlink", description: "Takes a directory or checkout out of its project. The memories stay with the project; the checkout does not\njoin it by its remote again." },
  args: { directory, json },
  async run({ args }) {
    const home = readHome()
    await writing(home, (db) => {
      const where = args.directory ?? home.cwd
      const { place } = locateProject(db, where)
      const project = unlinkDirectory(db, where, { now: home.now })
      if (args.json) return printJson({ ...project, directory: place.directory })
      print(`${place.directory} no longer belongs to ${project.name}; undo: nswrap project bind ${quote(project.name)} ${quote(place.directory)}`)
    })
  },
})

export default defineCommand({
  meta: {
    name: "project",
    description: `Which directories are one project: git repositories by their common directory and remote, wherever they lie, never by
their name; other directories by their path.`,
  },
  default: "list",
  subCommands: { list, show, rename, bind, unlink },
})

const LABELS: Record<ProjectKey["kind"], string> = { "git-dir": "repository", "git-inode": "inode", remote: "remote", dir: "directory" }

function note(via: ProjectKey["via"], unlinked: boolean): string {
  if (unlinked) return " (unlinked)"
  return { made: "", moved: " (moved here)", remote: " (joined by its remote)", bound: " (bound)" }[via]
}

function keysOf(keys: ProjectKey[], kind: ProjectKey["kind"]): string[] {
  return keys.filter((key) => key.kind === kind && !key.unlinked).map(({ key }) => key)
}

/** Where it lies, as the user says it: the checkout, not its `.git`. */
function placesOf(keys: ProjectKey[]): string[] {
  return [...keysOf(keys, "git-dir").map((path) => path.replace(/\/\.git$/, "")), ...keysOf(keys, "dir")]
}

function memoriesOf(db: Database, id: string): number {
  return listProjects(db).find((project) => project.id === id)?.memories ?? 0
}

function count(memories: number): string {
  return memories === 1 ? "1 memory" : `${memories} memories`
}

/** A name or path as a shell takes it. */
export function quote(word: string): string {
  return /^[\p{L}\p{N}_./:@%+=-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
