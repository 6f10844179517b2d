import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "bun:test"
import { newShop } from "./shop.ts"

function withClone() {
  const shop = newShop()
  const clone = join(shop.home, "clone")
  const git = (...args: string[]) => Bun.spawnSync(["git", ...args], { env: { PATH: process.env["PATH"], HOME: shop.home } })
  git("-C", shop.shop, "remote", "add", "origin", "https://github.com/acme/shop")
  git("init", "-q", clone)
  git("-C", clone, "remote", "add", "origin", "git@github.com:acme/shop.git")
  return { ...shop, clone, inClone: (...args: string[]) => shop.nswrap(args, { cwd: clone }) }
}

test("a clone that joins by its remote is announced, and unlink takes it out for good", () => {
  const { remember, inClone, clone } = withClone()
  remember("We deploy on Fridays")
  const listed = inClone("list")
  expect(listed.stderr).toBe('nswrap: this checkout shares project "shop" by its remote github.com/acme/shop; if it should not: nswrap project unlink\n')
  expect(listed.stdout).toContain("We deploy on Fridays")
  expect(inClone("project", "unlink").stdout).toBe(`${clone} no longer belongs to shop; undo: nswrap project bind shop ${clone}\n`)
  expect(inClone("list")).toMatchObject({ status: 0, stdout: "" })
  expect(inClone("remember", "Ours").stdout).toContain("in project acme-shop")
  expect(inClone("list").stdout).not.toContain("Fridays")
})

test("project list, show, rename and bind", () => {
  const { nswrap, remember, shop, home } = withClone()
  expect(nswrap(["project"])).toMatchObject({ status: 0, stdout: "", stderr: expect.stringContaining("there are no projects yet") })
  expect(nswrap(["project", "show"])).toMatchObject({ status: 1, stderr: expect.stringContaining("is in no project yet") })
  remember("one")
  expect(nswrap(["project", "list"]).stdout).toMatch(/^\*\s+shop\s+1\s+github\.com\/acme\/shop\s+\S+\/shop$/m)
  expect(nswrap(["project", "rename", "shop", "webshop"]).stdout).toBe("shop is now webshop\n")
  expect(nswrap(["project", "show"]).stdout).toContain(`repository ${shop}/.git\n`)
  const packageDirectory = join(shop, "packages", "web app")
  mkdirSync(packageDirectory, { recursive: true })
  expect(nswrap(["project", "bind", "web", "packages/web app"])).toMatchObject({ stdout: `${packageDirectory} belongs to web (0 memories)\n`, stderr: "nswrap: 1 memory stays with webshop; nswrap list --project webshop shows them\n" })
  expect(nswrap(["project", "show"], { cwd: packageDirectory }).stdout).toMatch(/^name +web$/m)
  expect(nswrap(["project", "show", "wbe"])).toMatchObject({ status: 1, stderr: 'nswrap: no project "wbe"; did you mean web?\n' })
  expect(nswrap(["project", "bind", "x", join(home, "nowhere")])).toMatchObject({ status: 1, stderr: expect.stringContaining("there is no directory") })
  expect(nswrap(["project", "list", "--json"]).stdout).toContain('"here": true')
})
