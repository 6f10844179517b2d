import type { Database } from "bun:sqlite"
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { cpSync, renameSync, rmSync, symlinkSync } from "node:fs"
import fc from "fast-check"
import { resolvePaths } from "../../src/config/paths.ts"
import { openForWriting } from "../../src/store/create.ts"
import { remember } from "../../src/store/memories.ts"
import {
  bindDirectory, createProject, ensureProject, findProject, type KeyRow, listProjects, locateProject, recognise, recordJoin, renameProject, unlinkDirectory,
} from "../../src/store/projects.ts"
import { makeWorkshop } from "../helpers/git.ts"

const at = { now: 1_800_000_000_000 }
const URL = "git@github.com:acme/shop.git"
let shop: ReturnType<typeof makeWorkshop>
let db: Database
beforeEach(async () => {
  shop = makeWorkshop()
  db = await openForWriting(resolvePaths({ NS_HOME: shop.path("home") }))
})
afterEach(() => {
  db.close()
  shop.remove()
})

const found = (name: string) => {
  const { project, joined } = locateProject(db, shop.path(name), shop.path("user"))
  return [project?.name ?? null, joined]
}
const visit = (name: string) => {
  const located = locateProject(db, shop.path(name), shop.path("user"))
  recordJoin(db, located, at)
  return [located.project?.name ?? null, located.joined]
}

describe("one repository is one project", () => {
  test("in subdirectories, worktrees, and through symbolic links", () => {
    shop.repository("shop")
    shop.directory("shop/src/deep")
    shop.git("shop", "worktree", "add", "-q", "../elsewhere")
    symlinkSync(shop.path("shop/src"), shop.path("link"))
    const project = ensureProject(db, shop.path("elsewhere"), at)
    expect(project.name).toBe("elsewhere")
    for (const place of ["shop", "shop/src/deep", "elsewhere", "link/deep", "shop/.git"]) expect([place, ...found(place)]).toEqual([place, "elsewhere", "known"])
    expect(ensureProject(db, shop.path("link"), at).id).toBe(project.id)
  })

  test("after a move, without any remote, and after moving its parent", () => {
    shop.repository("work/shop")
    ensureProject(db, shop.path("work/shop"), at)
    renameSync(shop.path("work/shop"), shop.path("renamed"))
    expect(visit("renamed")).toEqual(["shop", "moved"])
    expect(found("renamed")).toEqual(["shop", "known"])
    shop.directory("new")
    renameSync(shop.path("renamed"), shop.path("new/renamed"))
    expect(visit("new/renamed")).toEqual(["shop", "moved"])
    expect(listProjects(db)[0]!.keys.filter(({ kind }) => kind === "git-dir").map(({ key }) => key)).toEqual([shop.path("new/renamed/.git")])
  })

  test("and what comes to lie at the old path of a moved one is another", () => {
    shop.repository("shop")
    ensureProject(db, shop.path("shop"), at)
    renameSync(shop.path("shop"), shop.path("old"))
    shop.repository("shop")
    expect(visit("old")).toEqual(["shop", "moved"])
    expect(found("shop")).toEqual([null, null])
    expect(ensureProject(db, shop.path("shop"), at).name).toBe("shop-2")
  })

  test("when two repositories swap places", () => {
    shop.repository("a")
    shop.repository("b")
    ensureProject(db, shop.path("a"), at)
    ensureProject(db, shop.path("b"), at)
    renameSync(shop.path("a"), shop.path("c"))
    renameSync(shop.path("b"), shop.path("a"))
    renameSync(shop.path("c"), shop.path("b"))
    expect(visit("a")).toEqual(["b", "moved"])
    expect(visit("b")).toEqual(["a", "moved"])
    expect([found("a"), found("b")]).toEqual([["b", "known"], ["a", "known"]])
  })

  test("removed and cloned again at the same path, also when its remote came later", () => {
    shop.repository("shop", URL)
    const project = ensureProject(db, shop.path("shop"), at)
    rmSync(shop.path("shop"), { recursive: true })
    shop.repository("shop", "https://github.com/acme/shop")
    expect(found("shop")).toEqual(["shop", "known"])
    expect(ensureProject(db, shop.path("shop"), at).id).toBe(project.id)
    renameSync(shop.path("shop"), shop.path("moved"))
    expect(found("moved")).toEqual(["shop", "moved"])
  })

  test("with a new remote, which is learned at the next memory", () => {
    shop.repository("shop", URL)
    ensureProject(db, shop.path("shop"), at)
    shop.git("shop", "remote", "set-url", "origin", "https://gitlab.com/acme/shop")
    expect(found("shop")).toEqual(["shop", "known"])
    ensureProject(db, shop.path("shop"), at)
    shop.repository("other", "git@gitlab.com:acme/shop")
    shop.repository("another", URL)
    expect([found("other"), found("another")]).toEqual([["shop", "remote"], ["shop", "remote"]])
  })

  test("and its clones by a local path, whichever was known first", () => {
    shop.repository("origin")
    shop.git(".", "clone", "-q", "origin", "clone")
    shop.git(".", "clone", "-q", "--bare", "origin", "origin2.git")
    for (const name of ["x", "y"]) shop.git(".", "clone", "-q", "origin2.git", name)
    ensureProject(db, shop.path("origin"), at)
    expect(visit("clone")).toEqual(["origin", "remote"])
    shop.git("origin2.git", "remote", "remove", "origin")
    ensureProject(db, shop.path("x"), at)
    expect(visit("y")).toEqual(["x", "remote"])
    expect(locateProject(db, shop.path("origin2.git")).announce).toBe('nswrap: this checkout shares project "x" as the origin of its clones; if it should not: nswrap project unlink')
  })
})

describe("different repositories never mix", () => {
  test("with the same directory name", () => {
    shop.repository("one/api", "https://github.com/acme/api")
    shop.repository("two/api", "https://github.com/other/api")
    shop.repository("three/api")
    const names = ["one/api", "two/api", "three/api"].map((place) => ensureProject(db, shop.path(place), at).name)
    expect(names).toEqual(["api", "other-api", "api-2"])
    expect(["one/api", "two/api", "three/api"].map((place) => found(place)[0])).toEqual(names)
  })

  test("when another one, with another remote, is put at a known path", () => {
    shop.repository("shop", URL)
    ensureProject(db, shop.path("shop"), at)
    rmSync(shop.path("shop"), { recursive: true })
    shop.repository("shop", "https://github.com/evil/shop")
    expect(found("shop")).toEqual([null, null])
    expect(ensureProject(db, shop.path("shop"), at).name).toBe("evil-shop")
    expect(found("shop")).toEqual(["evil-shop", "known"])
    shop.repository("clone", URL)
    expect(found("clone")).toEqual(["shop", "remote"])
  })

  test("nested, as submodules, or copied", () => {
    shop.repository("lib")
    shop.repository("shop")
    shop.repository("shop/nested")
    shop.git("shop", "submodule", "add", "-q", "https://github.com/acme/lib".replace(/.*/, shop.path("lib")), "vendor")
    shop.git("shop/vendor", "remote", "set-url", "origin", "https://github.com/acme/lib")
    ensureProject(db, shop.path("shop"), at)
    expect([found("shop/nested"), found("shop/vendor")]).toEqual([[null, null], [null, null]])
    cpSync(shop.path("shop"), shop.path("copy"), { recursive: true })
    expect(found("copy")).toEqual([null, null])
    expect([ensureProject(db, shop.path("shop/vendor"), at).name, ensureProject(db, shop.path("shop/nested"), at).name]).toEqual(["lib", "nested"])
    expect(found("shop")[0]).toBe("shop")
  })
})

describe("a checkout that claims a known remote", () => {
  const announcement = 'nswrap: this checkout shares project "shop" by its remote github.com/acme/shop; if it should not: nswrap project unlink'
  beforeEach(() => {
    shop.repository("shop", URL)
    ensureProject(db, shop.path("shop"), at)
    shop.repository("hostile/shop", "https://GitHub.com/acme/shop/")
  })

  test("is announced until that was recorded, then no more", () => {
    for (let time = 0; time < 2; time++) expect(locateProject(db, shop.path("hostile/shop")).announce).toBe(announcement)
    expect(visit("hostile/shop")).toEqual(["shop", "remote"])
    expect(locateProject(db, shop.path("hostile/shop"))).toMatchObject({ joined: "known", announce: null })
  })

  test("is still announced when a memory was written there first", () => {
    ensureProject(db, shop.path("hostile/shop"), at)
    expect(locateProject(db, shop.path("hostile/shop")).announce).toBe(announcement)
    visit("hostile/shop")
    ensureProject(db, shop.path("hostile/shop"), at)
    expect(locateProject(db, shop.path("hostile/shop")).announce).toBeNull()
  })

  test("can be unlinked, before or after it joined, for good: moved, and with a project of its own", () => {
    visit("hostile/shop")
    expect(unlinkDirectory(db, shop.path("hostile/shop"), at).name).toBe("shop")
    expect(found("hostile/shop")).toEqual([null, null])
    renameSync(shop.path("hostile/shop"), shop.path("hostile/moved"))
    expect(found("hostile/moved")).toEqual([null, null])
    expect(ensureProject(db, shop.path("hostile/moved"), at).name).toBe("acme-shop")
    expect([found("hostile/moved"), found("shop")]).toEqual([["acme-shop", "known"], ["shop", "known"]])
    shop.repository("clone", URL)
    expect(found("clone")).toEqual(["shop", "remote"])
    unlinkDirectory(db, shop.path("clone"), at)
    expect(found("clone")).toEqual([null, null])
    expect(() => unlinkDirectory(db, shop.path("clone"), at)).toThrow("belongs to no project")
  })

  test("joins again when the user binds it", () => {
    unlinkDirectory(db, shop.path("hostile/shop"), at)
    bindDirectory(db, "shop", shop.path("hostile/shop"), at)
    expect(found("hostile/shop")).toEqual(["shop", "known"])
  })
})

describe("directories without git", () => {
  test("are found from below, the nearest first, and not from a repository in them", () => {
    shop.directory("notes/a/b")
    shop.repository("notes/repo")
    expect(ensureProject(db, shop.path("notes"), at).name).toBe("notes")
    expect([found("notes/a/b"), found("notes/repo")]).toEqual([["notes", "known"], [null, null]])
    bindDirectory(db, "inner", shop.path("notes/a"), at)
    expect([found("notes/a/b"), found("notes")]).toEqual([["inner", "known"], ["notes", "known"]])
    expect(() => unlinkDirectory(db, shop.path("notes/a/b"), at)).toThrow(`nswrap project unlink ${shop.path("notes/a")}`)
    unlinkDirectory(db, shop.path("notes/a"), at)
    expect(found("notes/a/b")).toEqual(["notes", "known"])
  })

  test("bound inside a repository win over it (packages of one repository)", () => {
    shop.repository("mono")
    shop.directory("mono/packages/web/src")
    ensureProject(db, shop.path("mono"), at)
    bindDirectory(db, "web", shop.path("mono/packages/web"), at)
    expect([found("mono/packages/web/src"), found("mono/packages"), found("mono")].map(([name]) => name)).toEqual(["web", "mono", "mono"])
  })

  test("home and / are no project, also as a repository of dot files, unless bound", () => {
    shop.repository("user", "https://github.com/ann/dotfiles")
    shop.directory("user/downloads")
    const home = process.env["HOME"]
    process.env["HOME"] = shop.path("user")
    try {
      expect(() => ensureProject(db, shop.path("user"), at)).toThrow("--scope global")
      expect(() => ensureProject(db, "/", at)).toThrow("/ is no project")
      expect(ensureProject(db, shop.path("user/downloads"), at).name).toBe("downloads")
      bindDirectory(db, "me", shop.path("user"), at)
      expect([found("user"), found("user/downloads"), found("elsewhere")].map(([name]) => name)).toEqual(["me", "downloads", null])
    } finally {
      process.env["HOME"] = home
    }
  })

  test("a directory that does not exist is in no project and cannot be bound", () => {
    expect(locateProject(db, "/nowhere/at/all")).toMatchObject({ project: null, joined: null, announce: null })
    expect(() => bindDirectory(db, "x", shop.path("nowhere"), at)).toThrow("there is no directory")
    expect(listProjects(db)).toEqual([])
  })
})

describe("bindDirectory()", () => {
  test("gives a project without a directory (an imported one) a repository, its worktrees and its clones", () => {
    const imported = createProject(db, "shop", at)
    shop.repository("store", URL)
    shop.directory("store/sub")
    shop.git("store", "worktree", "add", "-q", "../w")
    expect(bindDirectory(db, "SHOP", shop.path("store"), at).id).toBe(imported.id)
    shop.repository("clone", URL)
    expect([found("store/sub"), found("w"), found("clone")]).toEqual([["shop", "known"], ["shop", "known"], ["shop", "remote"]])
  })

  test("takes the remote along from a project it leaves without a checkout, not from one that others use", () => {
    shop.repository("a", URL)
    shop.repository("b", URL)
    ensureProject(db, shop.path("a"), at)
    visit("b")
    bindDirectory(db, "mine", shop.path("b"), at)
    shop.repository("c", URL)
    expect([found("a"), found("b"), found("c")].map(([name]) => name)).toEqual(["shop", "mine", "shop"])
    bindDirectory(db, "mine", shop.path("a"), at)
    expect(found("c")).toEqual(["mine", "remote"])
  })
})

describe("names", () => {
  test("findProject() takes any case and ids, and says what was meant", () => {
    const project = createProject(db, "Webshop", at)
    createProject(db, "infra", at)
    for (const name of ["Webshop", "webshop", " webshop ", project.id]) expect(findProject(db, name)).toEqual(project)
    expect(() => findProject(db, "wbeshop")).toThrow('no project "wbeshop"; did you mean Webshop?')
    expect(() => findProject(db, "shop")).toThrow("did you mean Webshop?")
    expect(() => findProject(db, "zzzzzz")).toThrow("nswrap project list")
  })

  test("renameProject() keeps names unique, visible and itself the same project", () => {
    const project = createProject(db, "shop", at)
    createProject(db, "infra", at)
    expect(() => renameProject(db, "shop", "INFRA")).toThrow("there is a project")
    for (const bad of ["", "  ", "-x", "a\nb", "a\u001b[31m", "x".repeat(100)]) expect(() => renameProject(db, "shop", bad)).toThrow("cannot be named")
    expect(renameProject(db, "shop", "Shop")).toEqual({ ...project, name: "Shop" })
    expect(findProject(db, project.id).name).toBe("Shop")
  })

  test("ensureProject() makes a name that can be typed and shown from any directory", () => {
    for (const name of ["-x", "a\u001b[31mb", "…", "x".repeat(200), "- -"]) {
      const project = ensureProject(db, shop.directory(`odd/${name}`), at)
      expect(findProject(db, project.name).id).toBe(project.id)
    }
  })
})

test("listProjects() counts live memories and tells the keys", () => {
  shop.repository("shop", URL)
  const project = ensureProject(db, shop.path("shop"), at)
  remember(db, { text: "we deploy on fridays", scope: "project", project: project.id }, at)
  const [listed] = listProjects(db)
  expect(listed).toMatchObject({ name: "shop", memories: 1 })
  expect(listed!.keys.map(({ kind }) => kind).sort()).toEqual(["git-dir", "git-inode", "remote"])
  expect(listed!.keys.find(({ kind }) => kind === "remote")).toMatchObject({ key: "github.com/acme/shop", via: "made", unlinked: false })
})

test("recordJoin() leaves a locked database alone at once", async () => {
  shop.repository("shop", URL)
  ensureProject(db, shop.path("shop"), at)
  shop.repository("clone", URL)
  const located = locateProject(db, shop.path("clone"))
  const other = await openForWriting(resolvePaths({ NS_HOME: shop.path("home") }))
  other.run("begin immediate")
  db.run("pragma busy_timeout = 20")
  const began = performance.now()
  recordJoin(db, located, at)
  expect(performance.now() - began).toBeLessThan(1000)
  other.run("rollback")
  other.close()
  expect(found("clone")).toEqual(["shop", "remote"])
})

test("16 first memories at once make one project", async () => {
  shop.repository("shop", URL)
  const script = `import { ensureProject } from "${import.meta.dir}/../../src/store/projects.ts"
    import { openForWriting } from "${import.meta.dir}/../../src/store/create.ts"
    import { resolvePaths } from "${import.meta.dir}/../../src/config/paths.ts"
    const db = await openForWriting(resolvePaths(process.env))
    console.log(ensureProject(db, process.cwd(), { now: Date.now() }).id)`
  const children = Array.from({ length: 16 }, () =>
    Bun.spawn([process.execPath, "-e", script], { cwd: shop.path("shop"), env: { ...process.env, NS_HOME: shop.path("home") }, stdout: "pipe", stderr: "pipe" }))
  const ids = await Promise.all(children.map((child) => new Response(child.stdout).text()))
  expect(new Set(ids).size).toBe(1)
  expect(listProjects(db)).toHaveLength(1)
})

describe("recognise()", () => {
  const key = (kind: KeyRow["kind"], key: string, unlinked = 0): KeyRow => ({ kind, key, id: "p", unlinked, announced: 1, seq: 1, name: "p", created_at: 0 })
  const place = (birth: string, remote: string | null = null) => ({ commonDir: "/a/.git", identity: { device: "1", inode: "7", birth }, remote })
  const always = () => true

  test("keeps a repository whose remote changed, also where no birth time is known", () => {
    const keys = [key("git-dir", "/a/.git"), key("git-inode", "1:7:")]
    expect(recognise(place("", "h/new"), keys, always).joined).toBe("known")
    expect(recognise({ ...place("", "h/new"), identity: { device: "1", inode: "8", birth: "" } }, keys, always).joined).toBeNull()
  })

  test("without a birth time a moved repository must have the remote too, and an unlinked one stays unlinked", () => {
    expect(recognise(place("", "h/x"), [key("git-inode", "1:7:"), key("remote", "h/x")], always).joined).toBe("moved")
    expect(recognise(place("", "h/y"), [key("git-inode", "1:7:"), key("remote", "h/x")], always).joined).toBeNull()
    expect(recognise(place("", "h/x"), [key("git-inode", "1:7:", 1), key("remote", "h/x")], always).joined).toBeNull()
  })

  test("links an unlinked path again when a repository of the project is moved there", () => {
    expect(recognise(place("5"), [key("git-dir", "/a/.git", 1), key("git-inode", "1:7:5")], always).joined).toBe("moved")
  })
})

describe("recognise(), for any keys", () => {
  const identity = fc.option(fc.record({ device: fc.constant("1"), inode: fc.constantFrom("7", "8"), birth: fc.constantFrom("", "100", "200") }))
  const git = fc.record({ commonDir: fc.constantFrom("/a/.git", "/b/.git"), identity, remote: fc.option(fc.constantFrom("h/x", "h/y", "file:/a/.git")) })
  const row = fc.record({
    key: fc.constantFrom<[KeyRow["kind"], string]>(
      ["git-dir", "/a/.git"], ["git-dir", "/b/.git"], ["git-inode", "1:7:100"], ["git-inode", "1:7:"], ["git-inode", "1:8:200"], ["remote", "h/x"], ["remote", "h/y"], ["remote", "file:/b/.git"]),
    id: fc.constantFrom("p", "q"),
    unlinked: fc.constantFrom(0, 0, 0, 1),
  }).map(({ key: [kind, key], id, unlinked }): KeyRow => ({ kind, key, id, unlinked, announced: 1, seq: 1, name: id, created_at: 0 }))
  const rows = fc.uniqueArray(row, { selector: ({ kind, key }) => kind + key })
  const decide = (place: Parameters<typeof recognise>[0], keys: KeyRow[]) =>
    recognise(place, keys, (project, kind) => keys.some((key) => key.id === project && key.kind === kind && !key.unlinked))

  test("an unlinked path or inode never joins by its remote", () =>
    fc.assert(fc.property(git, rows, (place, keys) => {
      const { joined } = decide(place, keys)
      const inode = place.identity && `1:${place.identity.inode}:${place.identity.birth}`
      if (keys.some(({ kind, key, unlinked }) => unlinked && ((kind === "git-dir" && key === place.commonDir) || (kind === "git-inode" && key === inode && place.identity!.birth !== ""))))
        expect(joined).not.toBe("remote")
    })))

  test("every answer rests on a live key of this very place", () =>
    fc.assert(fc.property(git, rows, (place, keys) => {
      const { project } = decide(place, keys)
      if (project === null) return
      const inode = place.identity && `1:${place.identity.inode}:${place.identity.birth}`
      const own = [place.commonDir, inode, place.remote, place.remote?.replace("file:", ""), `file:${place.commonDir}`]
      expect(keys.some(({ id, key, unlinked }) => id === project.id && !unlinked && own.includes(key))).toBe(true)
    })))

  test("is told exactly when it joins by remote", () =>
    fc.assert(fc.property(git, rows, (place, keys) => {
      const { joined, announce } = decide(place, keys)
      expect(announce !== null).toBe(joined === "remote")
    })))

  test("an inode without a birth time alone decides nothing", () =>
    fc.assert(fc.property(git, rows, (place, keys) => {
      if (place.identity === null || place.identity.birth !== "") return
      const others = keys.filter(({ kind }) => kind === "git-inode")
      expect(decide(place, others).project).toBeNull()
    })))

  test("without any live key there is no project", () =>
    fc.assert(fc.property(git, rows, (place, keys) => expect(decide(place, keys.map((key) => ({ ...key, unlinked: 1 }))).project).toBeNull())))
})
