import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { buildRelayDriver } from "../helpers/relay-driver.ts"

// At a real terminal, under real shells: what is typed there reaches the command once, and stops and continues both.

const directory = mkdtempSync(join(tmpdir(), "nswrap-relay-tty-"))
const listener = join(import.meta.dir, "../fixtures/signal-log.ts")
let relayed = ""
let count = 0
beforeAll(() => {
  relayed = buildRelayDriver(directory)
})
afterAll(() => rmSync(directory, { recursive: true }))

async function eventually<T>(what: () => T, good: (value: T) => boolean = Boolean, saying: () => string = () => ""): Promise<T> {
  for (let i = 0; i < 500; i++) {
    const value = what()
    if (good(value)) return value
    await Bun.sleep(10)
  }
  throw new Error(`still ${JSON.stringify(what())} ${saying()}`)
}

/** A program at a terminal of its own; `shown` is what it put there. */
function atTerminal(command: string[], env: Record<string, string> = {}) {
  let shown = ""
  const child = Bun.spawn(command, {
    cwd: directory,
    env: { ...process.env, R: relayed, HOME: directory, PS1: "$ ", TERM: "dumb", ...env },
    terminal: { cols: 80, rows: 24, data: (_, bytes) => void (shown += new TextDecoder().decode(bytes)) },
  })
  const terminal = child.terminal
  if (!terminal) throw new Error("no terminal")
  return { child, terminal, type: (text: string) => void terminal.write(text), shown: () => shown }
}

function listening() {
  const log = join(directory, `log-${count++}`)
  const lines = () => (existsSync(log) ? readFileSync(log, "utf8").split("\n").slice(0, -1) : [])
  const pid = () => Number(lines()[0]?.split(" ")[1])
  const signals = () => lines().slice(1)
  return {
    command: `'${process.execPath}' '${listener}' '${log}'`, pid, signals,
    relay: () => parentOf(pid()),
    ready: (shown: () => string) => eventually(() => lines().length > 0, Boolean, shown),
    end: () => writeFileSync(`${log}.end`, ""),
    /** Waits for a number of signals, and a little longer, so that a second copy would show. */
    async got(...expected: string[]) {
      await eventually(signals, (value) => value.length >= expected.length)
      await Bun.sleep(80)
      expect(signals()).toEqual(expected)
    },
  }
}

/** A field of /proc/PID/stat, counted from the state; null when the process is gone. */
function field(pid: number, index: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").replace(/.*\) /s, "").split(" ")[index] ?? null
  } catch {
    return null
  }
}
const stateOf = (pid: number) => field(pid, 0) ?? "gone"
const parentOf = (pid: number) => Number(field(pid, 1))

const shells: Record<string, string[]> = {
  bash: ["bash", "--norc", "-i"], zsh: ["zsh", "-f", "-i"], dash: ["dash", "-i"], fish: ["fish", "--no-config", "-i"], busybox: ["busybox", "sh", "-i"],
}

for (const [name, shell] of Object.entries(shells)) {
  describe.if(Bun.which(shell[0] ?? "") !== null)(`under ${name}`, () => {
    const status = name === "fish" ? "$status" : "$?"

    for (const how of ["--capture", "--prefix X"]) {
      test(`${how}: typed and sent signals arrive once, ^Z and fg work`, async () => {
        const { terminal, type, shown, child } = atTerminal(shell)
        const tool = listening()
        const redirected = how === "--capture" ? "> captured" : "< /dev/null"
        type(`$R ${how} -- ${tool.command} ${redirected}\n`)
        await tool.ready(shown)
        const relay = tool.relay()
        type("\x03")
        await tool.got("SIGINT")
        type("\x1c")
        await tool.got("SIGINT", "SIGQUIT")
        terminal.resize(90, 30)
        await tool.got("SIGINT", "SIGQUIT", "SIGWINCH")
        process.kill(relay, "SIGINT")
        await tool.got("SIGINT", "SIGQUIT", "SIGWINCH", "SIGINT")
        for (let round = 0; round < 2; round++) {
          const seen = tool.signals()
          type("\x1a")
          await eventually(() => [stateOf(tool.pid()), stateOf(relay)].join(), (value) => value === "T,T", shown)
          type("fg\n")
          await tool.got(...seen, "SIGCONT")
          expect([stateOf(tool.pid()), stateOf(relay)]).not.toContain("T")
        }
        const seen = tool.signals()
        type("\x03")
        await tool.got(...seen, "SIGINT")
        tool.end()
        await eventually(() => stateOf(relay), (value) => value === "gone", shown)
        type(`echo after=${status}.\n`)
        // fish answers the status of `fg`, not of the job.
        expect(await eventually(shown, (value) => /after=\d+\./.test(value))).toContain(name === "fish" ? "after=0." : "after=42.")
        child.kill("SIGKILL")
        await child.exited
      })
    }

    test("a job in the background is told by kill %1 once", async () => {
      const { type, shown, child } = atTerminal(shell)
      const tool = listening()
      type(`$R --capture -- ${tool.command} > captured &\n`)
      await tool.ready(shown)
      type(name === "fish" ? `kill -TERM -- -${field(tool.pid(), 2)}\n` : "kill %1\n")
      await tool.got("SIGTERM")
      tool.end()
      type("fg\n")
      await eventually(() => stateOf(tool.pid()), (value) => value === "gone")
      child.kill("SIGKILL")
      await child.exited
    })

    test("a reader in the background stops as one that wants the terminal, and goes on by fg", async () => {
      const { type, shown, child } = atTerminal(shell)
      type("$R --capture -- sh -c 'echo $$ > reader; head -n 1 < /dev/tty' > captured-line &\n")
      const reader = Number(await eventually(() => (existsSync(join(directory, "reader")) ? readFileSync(join(directory, "reader"), "utf8").trim() : ""), Boolean, shown))
      rmSync(join(directory, "reader"))
      const relay = parentOf(reader)
      await eventually(() => stateOf(relay), (value) => value === "T", shown)
      type("fg\n")
      await eventually(() => stateOf(relay), (value) => value !== "T", shown)
      await Bun.sleep(50)
      type("typed\n")
      await eventually(() => stateOf(relay), (value) => value === "gone" || value === "Z", shown)
      expect(readFileSync(join(directory, "captured-line"), "utf8")).toBe("typed\n")
      child.kill("SIGKILL")
      await child.exited
    })
  })
}

describe("without a shell that controls jobs", () => {
  test("as leader of the terminal's session: typed and sent signals arrive once", async () => {
    const tool = listening()
    const { child, type, shown } = atTerminal(["bash", "-c", `exec $R --prefix X -- ${tool.command} < /dev/null`])
    await tool.ready(shown)
    type("\x03")
    await tool.got("SIGINT")
    process.kill(child.pid, "SIGTERM")
    await tool.got("SIGINT", "SIGTERM")
    child.terminal?.close()
    // The kernel sends both to a session's leader.
    await eventually(() => tool.signals().slice(2).sort().join(), (value) => value === "SIGCONT,SIGHUP")
    tool.end()
    expect(await child.exited).toBe(42)
  })

  test("a prefix before a terminal ends with the prefix", async () => {
    const { child, shown } = atTerminal(["bash", "-c", "$R --prefix X -- wc -c; echo status=$?."])
    await eventually(shown, (value) => value.includes("status=0."))
    expect(shown().trim().split(/\s+/)).toEqual(["1", "status=0."])
    await child.exited
  })

  test("in a script: ^C ends the tool, us and the script", async () => {
    const { child, type } = atTerminal(["bash", "-c", "$R --capture -- sleep 20 > captured; echo not here; sleep 20"])
    await eventually(() => Bun.spawnSync(["pgrep", "-P", `${child.pid}`]).stdout.toString().trim())
    await Bun.sleep(200)
    type("\x03")
    await child.exited
    expect(child.signalCode).toBe("SIGINT")
  })

  test("timeout(1) ends it", () => {
    const ended = Bun.spawnSync(["timeout", "0.3", relayed, "--capture", "--", "sleep", "20"], { stdout: "pipe" })
    expect(ended.exitCode).toBe(124)
    expect(Bun.spawnSync(["pgrep", "-f", "sleep 20$"]).stdout.toString()).toBe("")
  })
})
