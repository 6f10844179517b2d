import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import fc from "fast-check"
import { findGit, localPath, normalizeRemote, parentOf, remoteUrl } from "../../src/system/git.ts"
import { realPath } from "../../src/system/libc.ts"
import { makeWorkshop } from "../helpers/git.ts"

describe("normalizeRemote()", () => {
  const shop = "github.com/acme/shop"
  test.each([
    ["git@github.com:acme/shop.git", shop],
    ["github.com:acme/shop", shop],
    ["https://github.com/acme/shop", shop],
    ["https://github.com/acme/shop.git/", shop],
    ["https://user:tok%40en@GitHub.com/Acme/Shop.git", shop],
    ["https://x:p@ss@github.com/acme/shop", shop],
    ["ssh://git@github.com:22/acme/shop.git", shop],
    ["ssh://git@ssh.github.com:443/acme/shop.git", shop],
    ["git://github.com/acme/shop.git?x=1#y", shop],
    ["git+ssh://git@github.com//acme//shop.git", shop],
    ["gcrypt::ssh://git@github.com/acme/shop", shop],
    ["  https://github.com./acme/shop  ", shop],
    ["git@git.example.com:/srv/Shop.git", "git.example.com/srv/Shop"],
    ["git@[git.example.com:2222]:srv/shop.git", "git.example.com/srv/shop"],
    ["ssh://git@[2001:DB8::1]:2222/srv/shop", "[2001:db8::1]/srv/shop"],
    ["git@[2001:db8::1]:srv/shop", "[2001:db8::1]/srv/shop"],
    ["ssh://host/~ann/shop", "host/~ann/shop"],
    ["work:acme/shop", "work/acme/shop"],
    ["https://acme@dev.azure.com/acme/My%20Shop/_git/shop", "dev.azure.com/acme/My%20Shop/_git/shop"],
    ["/srv/shop.git", null],
    ["../shop", null],
    ["./a:b", null],
    ["file:///srv/shop.git", null],
    ["file://host/srv/shop.git", null],
    ["C:/work/shop", null],
    ["C:\\work\\shop", null],
    ["https://github.com/", null],
    ["https:///acme/shop", null],
    ["https://github.com/a\u001b[31mcme/shop", null],
    ["https://github.com/acme/%1b[31mshop", null],
    ["", null],
      ])("%s is %p", (url, name) => expect(normalizeRemote(url)).toBe(name))

  test("gives nothing for what is too long to be a URL", () => expect(normalizeRemote(`https://github.com/${"a".repeat(2000)}`)).toBeNull())

  const word = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,8}$/)
  const host = fc.tuple(word, fc.constantFrom("com", "org", "internal")).map((parts) => parts.join("."))
  const parts = fc.record({ host, owner: word, name: word, user: word, password: fc.stringMatching(/^[a-zA-Z0-9%!:]{0,12}$/), port: fc.integer({ min: 1, max: 65535 }) })

  test("gives every spelling of one repository one name, without credentials", () => {
    fc.assert(
      fc.property(parts, fc.constantFrom("", ".git", "/", ".git/"), (p, end) => {
        const name = `${p.host}/${p.owner}/${p.name}`
        const path = `${p.owner}/${p.name}${end}`
        const spellings = [
          `https://${p.host}/${path}`, `http://${p.user}:${p.password}@${p.host.toUpperCase()}:${p.port}/${path}`, `ssh://${p.user}@${p.host}:${p.port}/${path}`,
          `git://${p.host}/${path}`, `${p.user}@${p.host}:${path}`, `${p.host}:/${path}`,
        ]
        for (const url of spellings) expect(normalizeRemote(url)).toBe(name)
      }),
    )
  })

  test("is idempotent for any text, never throws, and never shows control characters", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.webUrl({ withQueryParameters: true, withFragments: true }), fc.string().map((path) => `git@host:${path}`)), (url) => {
        const name = normalizeRemote(url)
        if (name === null) return
        expect(name).not.toMatch(/[\s\p{C}]/u)
        if (/[%?#]/.test(name)) return // a decoded % may be an escape again
        expect(normalizeRemote(`https://${name}`)).toBe(name)
      }),
      { numRuns: 2000 },
    )
  })

  test("keeps different repositories apart", () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const same = a.host === b.host && a.owner === b.owner && a.name === b.name
        expect(normalizeRemote(`git@${a.host}:${a.owner}/${a.name}.git`) === normalizeRemote(`https://${b.host}/${b.owner}/${b.name}`)).toBe(same)
      }),
    )
  })
})

describe("remoteUrl()", () => {
  test.each([
    ["origin before others", '[remote "upstream"]\n\turl = up\n[remote "origin"]\n\turl = mine\n', "mine"],
    ["the first when there is no origin", '[remote "b"]\nurl = b\n[remote "a"]\nurl = a\n', "b"],
    ["the first URL of a remote", '[remote "origin"]\nurl = one\nurl = two\n', "one"],
    ["on the header's line, any case, no blanks", '[Remote "origin"]URL=x', "x"],
    ["quotes and comments", '[remote "origin"]\n url = "a;b" ; why\n', "a;b"],
    ["escapes and continued lines", '[remote "origin"]\r\n url = a\\\\b\\\r\nc  # d\r\n', "a\\bc"],
    ["a quoted name with a bracket", '[remote "a]\\"b"]\nurl = x', "x"],
    ["a push URL is none", '[remote "origin"]\npushurl = x\n', null],
    ["an empty URL is none", '[remote "origin"]\nurl =\n', null],
    ["a branch is no remote", '[branch "main"]\nurl = x\n[core]\nurl = y', null],
    ["a commented section", '#[remote "origin"]\n;url = x', null],
    ["nothing", "", null],
  ])("%s", (_, config, url) => expect(remoteUrl(config)).toBe(url))

  test("reads what git writes, and git agrees", () => {
    const shop = makeWorkshop()
    shop.repository("a")
    const awkward = ['a"b', "a\\b", "a;b #c", " lead and trail ", "tab\there"]
    for (const [at, url] of awkward.entries()) {
      shop.git("a", "config", "remote.origin.url", url)
      const config = readFileSync(shop.path("a/.git/config"), "utf8")
      expect([at, remoteUrl(config)]).toEqual([at, url])
    }
    shop.remove()
  })

  test("never throws", () => fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void remoteUrl(`[remote "origin"]\n${text}`))))
})

test("localPath() tells directories from URLs", () => {
  for (const path of ["/srv/a", "../a", "a", "./a:b", "a/b:c"]) expect(localPath(path)).toBe(path)
  expect(localPath("file:///srv/a%20b")).toBe("/srv/a b")
  expect(localPath("file://localhost/srv/a")).toBe("/srv/a")
  for (const url of ["host:a", "git@host:a/b", "https://h/a", "ssh://h/a"]) expect(localPath(url)).toBeNull()
})

test("parentOf() ends at the root, whatever it is given", () => {
  expect(parentOf("/a/b")).toBe("/a")
  expect(parentOf("/a")).toBe("/")
  expect(parentOf("/")).toBe("/")
  expect(parentOf("")).toBe("/")
  expect(parentOf("a")).toBe("/")
})

describe("findGit()", () => {
  let shop: ReturnType<typeof makeWorkshop>
  beforeEach(() => void (shop = makeWorkshop()))
  afterEach(() => shop.remove())

  test("finds the repository from its root, a subdirectory, and inside .git", () => {
    const root = shop.repository("a", "git@github.com:acme/a.git")
    shop.directory("a/deep/er")
    for (const from of [root, `${root}/deep/er`, `${root}/.git`, `${root}/.git/refs`])
      expect(findGit(from)).toMatchObject({ root, commonDir: `${root}/.git`, remote: "github.com/acme/a" })
    expect(findGit(shop.root)).toBeNull()
  })

  test("gives a worktree the common directory, identity and remote of its repository, and its own root", () => {
    const root = shop.repository("a", "https://github.com/acme/a")
    shop.git("a", "worktree", "add", "-q", "../elsewhere/w")
    const main = findGit(root)!
    expect(findGit(shop.path("elsewhere/w"))).toEqual({ ...main, root: shop.path("elsewhere/w") })
    expect(main.identity!.inode).toMatch(/^\d+$/)
  })

  test("follows a relative gitdir file to a submodule, which is a repository of its own", () => {
    shop.repository("lib", "https://github.com/acme/lib")
    const root = shop.repository("a")
    shop.git("a", "submodule", "add", "-q", shop.path("lib"), "vendor/lib")
    expect(findGit(`${root}/vendor/lib`)).toMatchObject({ commonDir: `${root}/.git/modules/vendor/lib`, root: `${root}/vendor/lib`, remote: `file:${shop.path("lib/.git")}` })
    expect(findGit(`${root}/vendor`)!.root).toBe(root)
  })

  test("finds bare repositories, worktrees of bare ones, and separate git directories", () => {
    shop.repository("a")
    shop.git(".", "clone", "-q", "--bare", "a", "bare.git")
    expect(findGit(shop.path("bare.git/objects"))).toMatchObject({ root: shop.path("bare.git"), commonDir: shop.path("bare.git"), remote: `file:${shop.path("a/.git")}` })
    shop.git("bare.git", "worktree", "add", "-q", "../w")
    expect(findGit(shop.path("w"))).toMatchObject({ root: shop.path("w"), commonDir: shop.path("bare.git") })
    shop.git(".", "init", "-q", "--separate-git-dir", "hidden", "b")
    expect(findGit(shop.path("b"))).toMatchObject({ root: shop.path("b"), commonDir: shop.path("hidden") })
  })

  test("passes by a .git that is no repository: a file, an empty directory, a dangling pointer, a loop", () => {
    const root = shop.repository("a")
    for (const name of ["empty", "file", "dangling", "loop"]) shop.directory(`a/${name}/sub`)
    mkdirSync(`${root}/empty/.git`)
    writeFileSync(`${root}/file/.git`, "hello")
    writeFileSync(`${root}/dangling/.git`, "gitdir: ../nowhere\n")
    symlinkSync(".git", `${root}/loop/.git`)
    for (const name of ["empty", "file", "dangling", "loop"]) expect(findGit(`${root}/${name}/sub`)!.root).toBe(root)
  })

  test("finds what git itself finds", () => {
    shop.repository("a/nested/b")
    shop.repository("a")
    shop.directory("a/nested/c")
    shop.git("a", "worktree", "add", "-q", "../a-w")
    shop.directory("a-w/x")
    for (const name of ["a", "a/nested", "a/nested/b", "a/nested/c", "a-w", "a-w/x"]) {
      const { stdout } = Bun.spawnSync(["git", "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir"], { cwd: shop.path(name) })
      const found = findGit(shop.path(name))!
      expect([found.root, found.commonDir]).toEqual(stdout.toString().trim().split("\n"))
    }
  })

  test("a remote that is a directory means the repository there; one that is gone means nothing", () => {
    shop.repository("a")
    shop.git(".", "clone", "-q", "a", "b")
    expect(findGit(shop.path("b"))!.remote).toBe(`file:${shop.path("a/.git")}`)
    shop.git("b", "remote", "set-url", "origin", "../a")
    expect(findGit(shop.path("b"))!.remote).toBe(`file:${shop.path("a/.git")}`)
    shop.git("b", "remote", "set-url", "origin", "file:///nowhere/at/all")
    expect(findGit(shop.path("b"))!.remote).toBeNull()
  })

  test("survives a configuration that is missing, huge or binary", () => {
    const root = shop.repository("a")
    for (const bytes of [new Uint8Array(600_000).fill(65), new Uint8Array(5000).map((_, at) => at % 256)]) {
      writeFileSync(`${root}/.git/config`, bytes)
      expect(findGit(root)).toMatchObject({ root, remote: null })
    }
    rmSync(`${root}/.git/config`)
    expect(findGit(realPath(root)!)).toMatchObject({ root, remote: null })
  })
})
