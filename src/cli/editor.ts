import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { NswrapError } from "../errors.ts"
import type { Home } from "./home.ts"

/**
 * The text as the user left it in $VISUAL or $EDITOR (else vi). The file is ours, 0600 in our own directory, and is
 * removed whatever happens. Null when it was not changed.
 * @throws unavailable when the editor cannot be run or ends with an error: nothing is to be changed then
 */
export function editText(home: Home, { text, name }: { text: string; name: string }): string | null {
  const editor = home.env["VISUAL"] || home.env["EDITOR"] || "vi"
  const directory = `${home.paths.data}/editing`
  const file = `${directory}/${name}-${process.pid}.md`
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  try {
    writeFileSync(file, `${text}\n`, { mode: 0o600, flag: "wx" })
    // By the shell, because "code --wait" is a usual value; the file comes as an argument and is not looked at by it.
    const { status, signal, error } = spawnSync("/bin/sh", ["-c", `${editor} "$1"`, "sh", file], { stdio: "inherit" })
    if (error !== undefined) throw new NswrapError("unavailable", `the editor ${editor} could not be started (${error.message}); set EDITOR, or use --text`)
    if (status !== 0) throw new NswrapError("unavailable", `the editor ${editor} ended with ${signal ?? `status ${status}`}; nothing was changed`)
    const bytes = readFileSync(file)
    let edited: string
    try {
      edited = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    } catch {
      throw new NswrapError("invalid", "what the editor wrote is not valid UTF-8; nothing was changed")
    }
    edited = edited.replace(/\r?\n$/, "")
    return edited === text ? null : edited
  } finally {
    // The whole directory, for the editor's swap and backup files.
    rmSync(directory, { recursive: true, force: true })
  }
}
