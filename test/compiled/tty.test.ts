import { beforeAll, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { binary, cleanEnvironment, run, temporaryHome } from "../helpers/binary.ts"

/*
 * A user at a real terminal (PTY): an interactive shell in which the same keys are typed with and without nswrap before the
 * command, and with a context to inject. What happens must be the same.
 */

let home = ""
beforeAll(() => {
  home = temporaryHome()
  const { status, stderr } = run(["remember", "--pin", "--scope", "global", "Answer in British English"], { home })
  if (status !== 0) throw new Error(stderr)
  mkdirSync(join(home, "bin"))
  symlinkSync(binary(), join(home, "bin/nswrap"))
  // Not in the environment: where python3 is started by a script, as pyenv does, the shell of that script drops PS1.
  writeFileSync(join(home, "bashrc"), "PS1='$ '; bind 'set enable-bracketed-paste off'\n")
  // Says what reaches it, and its window's size.
  writeFileSync(join(home, "listener.py"), `
import os, signal, sys, time
def say(text): os.write(1, (text + "\\n").encode())
for name in "INT QUIT TERM HUP USR1 WINCH TSTP CONT".split():
    def handler(number, frame, name=name):
        say("<" + name + (" %d %d" % tuple(os.get_terminal_size(0)) if name == "WINCH" else "") + ">")
        if name == "QUIT": sys.exit(3)
    signal.signal(getattr(signal, "SIG" + name), handler)
say("<ready>")
while True: time.sleep(0.05)
`)
})

type Step = ["type", string] | ["expect", string, number] | ["size", number, number] | ["kill", string] | ["modes"] | ["pause", number]
interface Session { screen: string; failed: Step | ["end"] | null; modes: unknown[]; status: number | null }

const WAYS = { direct: "", bypass: "nswrap --no-context -- ", context: "nswrap -- " }
const ways = Object.entries(WAYS).map(([way, prefix]) => [way, prefix] as const)

/** Plays the steps in front of a program; each `expect` looks behind the one before it. */
function atTerminal(steps: Step[], program = ["bash", "--rcfile", join(home, "bashrc"), "-i"]): Session {
  const path = `${join(home, "bin")}:${process.env["PATH"]}`
  const env = { ...cleanEnvironment(home), PATH: path, TERM: "xterm", TOOL_NAME: "claude-code", HISTFILE: "/dev/null" }
  const input = steps.map((step) => `${JSON.stringify(step)}\n`).join("")
  const { stdout, stderr } = spawnSync("python3", [resolve(import.meta.dir, "../fixtures/terminal.py"), ...program], { env, cwd: home, input, timeout: 50_000 })
  if (stdout.length === 0) throw new Error(stderr.toString())
  return JSON.parse(stdout.toString())
}

const type = (text: string): Step => ["type", text]
const see = (text: string, seconds = 8): Step => ["expect", text, seconds]
/** Typed as $((…)), so that the echo of the line is not taken for its result. */
const status = [type("echo status $((0+$?)).\r"), see("status ")] as const
const leave = [type("exit\r")] as const

describe.each(ways)("at a terminal, %s:", (_way, prefix) => {
  const plays = (name: string, steps: Step[]) => test(name, () => {
    const { failed, screen } = atTerminal([see("$ "), ...steps])
    if (failed !== null) throw new Error(`${JSON.stringify(failed)} was not fulfilled; the terminal showed:\n${screen}`)
  }, 60_000)

  plays("the command gets the terminal itself", [
    type(`${prefix}sh -c 'test -t 0 && test -t 1 && test -t 2 && echo all th''ree; tty; ps -o tty= -p $$'\r`), see("all three"), see("/dev/pts/"), see("pts/"), ...leave,
  ])
  plays("^C interrupts the command and the shell goes on with 130", [
    type(`${prefix}sleep 50\r`), see("sleep 50"), ["expect", "\n", 3], ...typeLater("\x03"), see("$ "), ...status, see("130."), ...leave,
  ])
  plays("^\\ quits it with 131", [
    type("ulimit -c 0\r"), see("$ "), type(`${prefix}sleep 50\r`), see("\n"), ...typeLater("\x1c"), see("$ "), ...status, see("131."), ...leave,
  ])
  plays("a command that catches ^C and ^\\ gets each once and ends as it likes", [
    type(`${prefix}python3 listener.py\r`), see("<ready>"), type("\x03"), see("<INT>"), type("\x03"), see("<INT>"), type("\x1c"), see("<QUIT>"), see("$ "), ...status, see("3."), ...leave,
  ])
  plays("^Z stops it, bg and fg go on with it, and jobs shows its name", [
    type(`${prefix}sh -c 'echo rea''dy; read x; echo got $x; exit 5'\r`), see("ready"), type("\x1a"), see("Stopped"), see("$ "), type("jobs\r"), see("Stopped"), see("sh -c"), see("$ "),
    type("fg\r"), see("sh -c"), type("word\r"), see("got word"), see("$ "), ...status, see("5."), ...leave,
  ])
  plays("a command that handles ^Z itself gets it", [
    type(`${prefix}python3 listener.py\r`), see("<ready>"), type("\x1a"), see("<TSTP>"), type("\x1c"), see("<QUIT>"), see("$ "), ...leave,
  ])
  plays("in the background it is a job that is stopped when it reads the terminal", [
    type("set -b\r"), see("$ "), type(`${prefix}cat &\r`), see("Stopped"), type("fg\r"), ...typeLater("line\r\x04"), see("line\r\nline"), see("$ "), ...status, see("0."), ...leave,
  ])
  plays("kill %1 ends it", [
    type(`${prefix}sleep 50 &\r`), see("$ "), type("sleep 0.3; kill %1; wait %1\r"), see("Terminated"), ...leave,
  ])
  plays("a resize reaches it once with the new size", [
    ["size", 24, 80], type(`${prefix}python3 listener.py\r`), see("<ready>"), ["size", 40, 120], see("<WINCH 120 40>"), ["size", 25, 90], see("<WINCH 90 25>"), type("\x1c"), see("<QUIT>"), ...leave,
  ])
  plays("^D ends its input, and typed bytes arrive as typed", [
    type(`${prefix}cat\r`), ...typeLater("grüße\r"), see("grüße\r\ngrüße"), type("\x04"), see("$ "), ...status, see("0."), ...leave,
  ])
  plays("raw mode set by the command works and is undone by it", [
    type(`${prefix}python3 -c 'import sys,termios,tty; old=termios.tcgetattr(0); tty.setraw(0); print("bare", end="", flush=True); c=sys.stdin.buffer.raw.read(1); termios.tcsetattr(0,termios.TCSANOW,old); print("byte", c[0])'\r`),
    see("bare\"", 8), see("bare"), type("\x03"), see("byte 3"), see("$ "), ...leave,
  ])
  plays("full-screen programs get their keys", [
    type(`${prefix}less -X /etc/passwd\r`), see("root:"), type("q"), see("$ "), ...status, see("0."), ...leave,
  ])
})

test("terminal modes during and after the command are those of a direct run", () => {
  const modes = (prefix: string) => {
    const { failed, modes } = atTerminal([
      see("$ "), type("stty -echoctl intr ^X\r"), see("$ "), type(`${prefix}sh -c 'echo run''ning; sleep 0.5; echo do''ne'\r`), see("running"), ["modes"], see("done"), see("$ "), type("stty -g > after\r"), see("$ "), ["modes"], ...leave,
    ])
    expect(failed).toBeNull()
    return modes
  }
  const direct = modes("")
  expect(direct).toHaveLength(2)
  expect(modes(WAYS.bypass)).toEqual(direct)
  expect(modes(WAYS.context)).toEqual(direct)
})

describe.each([
  ["process group, session and foreground group", "sh -c 'ps -o pid=,pgid=,sid=,tpgid= -p $$ | { read p g s t; echo leader $((p == g)) session $((s != p)) front $((t == g)); }'", "leader 1 session 1 front 1"],
  ["signals", "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status", "SigIgn:\t0000000000000000"],
])("at a terminal, %s", (_name, command, expected) => {
  const shown = (line: string) => {
    const { failed, screen } = atTerminal([see("$ "), type(`${line}; echo e''nd\r`), see("end\r\n"), ...leave])
    expect(failed).toBeNull()
    return screen.slice(screen.indexOf("\n"), screen.indexOf("end\r\n"))
  }
  test("are those of a direct run", () => {
    const direct = shown(command)
    expect(direct).toContain(expected)
    expect(shown(WAYS.bypass + command)).toBe(direct)
    expect(shown(WAYS.context + command)).toBe(direct)
  }, 60_000)

  test.each([["in the background of a script", "CMD & wait"], ["in a script that ignores some signals", "trap '' INT TERM HUP PIPE; CMD; true"], ["under nohup", "nohup CMD; cat nohup.out; rm nohup.out"]])("are those of a direct run %s", (_place, line) => {
    const script = (prefix: string) => {
      writeFileSync(join(home, "script"), line.replace("CMD", prefix + command))
      return shown("sh script")
    }
    const direct = script("")
    expect(script(WAYS.bypass)).toBe(direct)
    expect(script(WAYS.context)).toBe(direct)
  }, 60_000)
})

describe.each([["TERM", 15], ["HUP", 1], ["INT", 2], ["KILL", 9], ["USR1", 10], ["SEGV", 11]])("SIG%s sent to our process", (name, number) => {
  test.each(ways.slice(1))("ends the command that we became, %s", (way) => {
    const args = way === "bypass" ? ["--no-context", "--", "sh", "-c", "echo ready; exec sleep 50"] : ["--", "sh", "-c", "echo ready; exec sleep 50"]
    const { failed, status } = atTerminal([see("ready"), ...pause(0.2), ["kill", name]], [binary(), ...args])
    expect(failed).toBeNull()
    expect(status! & 0x7f).toBe(number)
  }, 60_000)
})

test("a terminal that is closed hangs the command up, and nothing is left", async () => {
  const mark = `${7_000_000 + process.pid}`
  for (const prefix of Object.values(WAYS)) {
    atTerminal([see("$ "), type(`${prefix}sleep ${mark}\r`), see("\n"), ...pause(0.3), ["kill", "HUP"]])
    for (let i = 0; i < 100 && running(mark); i++) await Bun.sleep(20)
    expect(running(mark)).toBe(false)
  }
}, 60_000)

test("in tmux: resize, ^C and the prompt afterwards", async () => {
  const socket = join(home, "tmux")
  const tmux = (...args: string[]) => spawnSync("tmux", ["-S", socket, "-f", "/dev/null", ...args], { env: { ...cleanEnvironment(home), TERM: "xterm" }, encoding: "utf8" }).stdout
  const shows = async (text: string) => {
    for (let i = 0; i < 200; i++) {
      if (tmux("capture-pane", "-p").includes(text)) return true
      await Bun.sleep(25)
    }
    return tmux("capture-pane", "-p")
  }
  try {
    tmux("new-session", "-d", "-x", "80", "-y", "24", `bash --rcfile ${home}/bashrc -i`)
    expect(await shows("$")).toBe(true)
    tmux("send-keys", `${binary()} -- python3 ${home}/listener.py`, "Enter")
    expect(await shows("<ready>")).toBe(true)
    tmux("resize-window", "-x", "101", "-y", "31")
    expect(await shows("<WINCH 101")).toBe(true)
    tmux("send-keys", "C-c")
    expect(await shows("<INT>")).toBe(true)
    tmux("send-keys", "C-\\")
    expect(await shows("<QUIT>")).toBe(true)
    tmux("send-keys", "echo back $((6*7))", "Enter")
    expect(await shows("back 42")).toBe(true)
  } finally {
    tmux("kill-server")
  }
}, 60_000)

function running(argument: string): boolean {
  return spawnSync("ps", ["-eo", "args="], { encoding: "utf8" }).stdout.split("\n").includes(`sleep ${argument}`)
}

/** A step that waits: nothing on the screen says that the command has started. */
function pause(seconds: number): Step[] {
  return [["pause", seconds]]
}

function typeLater(text: string): Step[] {
  return [...pause(0.4), type(text)]
}
