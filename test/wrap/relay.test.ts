import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { buildRelayDriver } from "../helpers/relay-driver.ts"

const directory = mkdtempSync(join(tmpdir(), "nswrap-relay-"))
let relayed = ""
beforeAll(() => {
  relayed = buildRelayDriver(directory)
})
afterAll(() => rmSync(directory, { recursive: true }))

/** Runs a line of bash in which $R is the relay. */
function bash(line: string, options: { stdin?: Uint8Array; cwd?: string } = {}) {
  const start = performance.now()
  const done = Bun.spawnSync(["bash", "-c", line], {
    env: { ...process.env, R: relayed }, stdin: options.stdin ?? "ignore", cwd: options.cwd ?? directory, timeout: 20_000, maxBuffer: 1 << 28,
  })
  return { out: done.stdout.toString(), bytes: done.stdout, err: done.stderr.toString(), status: done.exitCode, ms: performance.now() - start }
}

async function eventually<T>(what: () => T | Promise<T>, good: (value: T) => boolean = Boolean): Promise<T> {
  for (let i = 0; i < 400; i++) {
    const value = await what()
    if (good(value)) return value
    await Bun.sleep(10)
  }
  throw new Error(`still ${JSON.stringify(await what())}`)
}

describe("relay() passes bytes", () => {
  const random = crypto.getRandomValues(new Uint8Array(65536))
  const megabyte = Buffer.concat(Array.from({ length: 16 }, (_, i) => random.map((byte) => byte ^ i)))

  test("1 MB of binary stdin behind a binary prefix, and back through a captured stdout", () => {
    writeFileSync(join(directory, "prefix"), megabyte)
    const both = bash("$R --capture --prefix-file prefix -- cat | cat", { stdin: megabyte })
    expect(Buffer.compare(both.bytes, Buffer.concat([megabyte, megabyte]))).toBe(0)
  })

  test("from a file, into a file, appending", () => {
    writeFileSync(join(directory, "in"), megabyte)
    bash("echo first > out; $R --capture --prefix X -- cat < in >> out")
    const out = readFileSync(join(directory, "out"))
    expect(Buffer.compare(out, Buffer.concat([Buffer.from("first\nX"), megabyte]))).toBe(0)
  })

  test("into a socket", async () => {
    const received: Uint8Array[] = []
    let ended = false
    const server = Bun.listen({
      hostname: "127.0.0.1", port: 0,
      socket: { data: (_, bytes) => void received.push(new Uint8Array(bytes)), close: () => void (ended = true) },
    })
    writeFileSync(join(directory, "in"), megabyte)
    const child = Bun.spawn(["bash", "-c", `exec 5<>/dev/tcp/127.0.0.1/${server.port}; $R --capture -- cat in >&5`], {
      env: { ...process.env, R: relayed }, cwd: directory,
    })
    await child.exited
    await eventually(() => ended)
    server.stop()
    expect(Buffer.compare(Buffer.concat(received), megabyte)).toBe(0)
  })

  test("into a pipe of someone else's", () => {
    if (process.getuid?.() !== 0 || !Bun.which("setpriv")) return
    writeFileSync(join(directory, "in"), megabyte)
    chmodSync(directory, 0o755)
    const out = bash("setpriv --reuid 65534 --clear-groups $R --capture -- cat in | (sleep 0.2; cat)")
    expect(Buffer.compare(out.bytes, megabyte)).toBe(0)
  })

  test("stdout and stderr apart", () => {
    expect(bash("$R --capture -- sh -c 'echo out; echo err >&2'")).toMatchObject({ out: "out\n", err: "err\n", status: 0 })
  })

  test("stdin that comes late", () => {
    expect(bash("(sleep 0.4; echo late) | $R --prefix 'early ' -- cat").out).toBe("early late\n")
  })

  test("the prefix before stdin has anything", async () => {
    const child = Bun.spawn([relayed, "--prefix", "now", "--", "head", "-c", "3"], { stdin: "pipe", stdout: "pipe" })
    expect(await new Response(child.stdout).text()).toBe("now")
    expect(await child.exited).toBe(0)
  })

  test("the end of stdin", () => {
    expect(bash("$R --prefix X -- cat < /dev/null").out).toBe("X")
    expect(bash("$R --prefix X -- cat <&-").out).toBe("X")
    expect(bash("$R --prefix '' -- wc -c < /dev/null").out.trim()).toBe("0")
  })

  test("a stdin that splice(2) refuses", () => {
    expect(bash("$R --prefix X -- head -c 5 < /dev/zero").out).toBe("X\0\0\0\0")
  })

  test("and finds the lines that ask to be remembered, still printing them", () => {
    const { out } = bash(`$R --capture --lines lines -- printf '%s\\n' '@remember: a' 'not @remember: b' '@remember: c' | cat`)
    expect(out).toBe("@remember: a\nnot @remember: b\n@remember: c\n")
    expect(readFileSync(join(directory, "lines"), "utf8")).toBe("@remember: a\n@remember: c\n")
  })
})

describe("relay() does not get in the way", () => {
  test("an endless stdin ends with the child", () => {
    const { out, ms } = bash("yes | $R --prefix X -- head -c 5; yes | $R --prefix X -- true")
    expect(out).toBe("Xy\ny\n")
    expect(ms).toBeLessThan(3000)
  })

  test("an idle stdin does not hold the end up, and what comes later is not eaten", () => {
    const { out, ms } = bash("{ sleep 0.5; echo later; } | { $R --prefix X -- true; echo ended; cat; }")
    expect(out).toBe("ended\nlater\n")
    expect(ms).toBeLessThan(2000)
  })

  test("a child that closes stdin goes on", () => {
    expect(bash("yes | $R --prefix X -- sh -c 'exec <&-; sleep 0.3; echo done; exit 5'")).toMatchObject({ out: "done\n", status: 5 })
  })

  test("a child that closes stdin leaves us asleep", () => {
    const { out } = bash(`sleep 1 | $R --prefix X -- sh -c 'exec <&-; sleep 0.7; cut -d" " -f14,15 /proc/$PPID/stat'`)
    const [user = 99, system = 99] = out.split(" ").map(Number)
    expect(user + system).toBeLessThan(10)
  })

  for (const as of ["", "setpriv --reuid 65534 --clear-groups"]) {
    test(`a reader that does not read does not keep signals from the child${as && ", in a pipe of someone else's"}`, () => {
      if (as !== "" && (process.getuid?.() !== 0 || !Bun.which("setpriv"))) return
      chmodSync(directory, 0o755)
      const tool = `sh -c 'trap "echo told >&2; exit" TERM; head -c 9000000 /dev/zero & wait; wait'`
      expect(bash(`{ ${as} $R --capture -- ${tool} & sleep 0.3; kill -TERM $!; sleep 0.3; echo after >&2; wait; } | sleep 1`).err).toBe("told\nafter\n")
    })
  }

  test("a reader that goes away is told to the child by SIGPIPE, and to our parent", () => {
    const { out, ms } = bash("$R --capture -- yes | head -1; echo ${PIPESTATUS[0]}")
    expect(out).toBe("y\n141\n")
    expect(ms).toBeLessThan(2000)
  })

  test("a reader that goes away does not end a child that does not write", () => {
    expect(bash("($R --capture -- sh -c 'sleep 0.4; exit 3'; echo $? >&2) | true").err).toBe("3\n")
  })

  test("a child that ignores SIGPIPE keeps its own status", () => {
    expect(bash("($R --capture -- sh -c 'trap \"\" PIPE; sleep 0.2; echo x 2>/dev/null || exit 9'; echo $? >&2) | true").err).toBe("9\n")
  })

  test("a full disk is said, once, and is a failure", () => {
    expect(bash("$R --capture -- yes > /dev/full")).toMatchObject({
      status: 1, err: "nswrap: cannot pass on the output: No space left on device\n",
    })
  })

  test("a slow reader holds the child back, and our memory stays small", async () => {
    const run = Bun.spawn(["bash", "-c", "{ $R --capture -- head -c 50000000 /dev/zero & echo $! > pid; wait; } | { sleep 1; wc -c; }"], {
      env: { ...process.env, R: relayed }, cwd: directory, stdout: "pipe",
    })
    await Bun.sleep(300)
    const pid = readFileSync(join(directory, "pid"), "utf8").trim()
    const residentKb = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])
    const ticks = () => Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[13])
    const before = { residentKb: residentKb(), ticks: ticks() }
    expect(before.residentKb).toBeWithin(1024, 64 * 1024)
    await Bun.sleep(500)
    expect(residentKb() - before.residentKb).toBeLessThan(1024)
    // It sleeps while it waits.
    expect(ticks() - before.ticks).toBeLessThan(3)
    expect((await new Response(run.stdout).text()).trim()).toBe("50000000")
  })

  test("what the child left running writes on, without us", () => {
    const { out, ms } = bash("$R --capture -- sh -c '(sleep 0.6; echo late) & echo now' > out; cat out; sleep 1; cat out")
    expect(out).toBe("now\nnow\nlate\n")
    expect(ms).toBeLessThan(2500)
    expect(bash("$R --capture -- sh -c 'yes & sleep 0.1' | head -c 1000000 | wc -c").out.trim()).toBe("1000000")
  })
})

describe("relay() ends as the child ends", () => {
  test("with every exit status", () => {
    const { out } = bash("for i in $(seq 0 5 255) 1 2 126 127 128 130 137; do $R --capture -- sh -c \"exit $i\" > /dev/null; [ $? = $i ] || echo $i; done")
    expect(out).toBe("")
  })

  for (const name of ["KILL", "TERM", "INT", "HUP", "SEGV", "ABRT", "QUIT", "USR1", "PIPE", "BUS", "PWR", "RTMIN+3"]) {
    test(`killed by SIG${name}`, () => {
      const direct = Number(bash(`kill -l ${name}`).out.trim())
      // The child's own core is not asked for, ours would be.
      const program = `import os,subprocess; r=subprocess.run([os.environ["R"],"--capture","--","sh","-c","ulimit -c 0; kill -${direct} $$"],stdout=-1); print(r.returncode)`
      expect(bash(`ulimit -c unlimited; python3 -c '${program.replaceAll("'", "'\\''")}'`).out.trim()).toBe(`${-direct}`)
      expect(readdirSync(directory).filter((name) => name.startsWith("core") && existsSync(join(directory, name)))).toEqual([])
    })
  }

  test("not found, not executable, and a script without #!", () => {
    expect(bash("$R --capture -- no-such-command")).toMatchObject({ status: 127, err: "nswrap: no-such-command: command not found\n" })
    writeFileSync(join(directory, "plain"), "echo by sh $1\n")
    expect(bash("$R --capture -- ./plain").status).toBe(126)
    chmodSync(join(directory, "plain"), 0o755)
    expect(bash("$R --capture -- ./plain x")).toMatchObject({ status: 0, out: "by sh x\n" })
    expect(bash("PATH=$PWD:$PATH; $R --capture -- plain x")).toMatchObject({ status: 0, out: "by sh x\n" })
  })
})

describe("relay() leaves the child what it would have", () => {
  const same: Record<string, string> = {
    "signal dispositions and mask": "COMMAND grep -E '^Sig(Blk|Ign)' /proc/self/status",
    "ignored signals": "trap '' INT HUP TERM PIPE; COMMAND grep -E '^Sig(Blk|Ign)' /proc/self/status; true",
    "signals ignored by nohup": "nohup COMMAND grep -E '^Sig(Blk|Ign)' /proc/self/status",
    "signals of a background job": "COMMAND grep -E '^Sig(Blk|Ign)' /proc/self/status & wait",
    "limits": "ulimit -Sn 256; COMMAND cat /proc/self/limits; true",
    "descriptors": "exec 7</dev/null 9>/dev/null; COMMAND bash -c 'cd /proc/self/fd; for f in [3-9] [1-9]?*; do [ -e $f ] && [ $f != 255 ] && echo $f $(readlink $f); done; true'",
    "process substitution": "COMMAND cat <(echo inside)",
    "arguments that are not UTF-8": "COMMAND printf '%s|' $'\\xff\\xfe' '' 'a b' é",
    "its own name": "COMMAND sh -c 'echo $0'",
    "umask and directory": "umask 027; cd /; COMMAND sh -c 'umask; pwd'",
    "the environment": "export ODD=$'\\xff'; COMMAND env | grep -vE '^(_|RELAYED)='",
    "the process group": "COMMAND sh -c 'ps -o pgid= -p $$' | tr -d ' '; ps -o pgid= -p $$ | tr -d ' '",
    "stdin": "echo x | COMMAND readlink /proc/self/fd/0 | sed 's/[0-9]*//g'",
  }
  for (const [what, line] of Object.entries(same)) {
    test(what, () => {
      const direct = bash(line.replace("COMMAND", "")).out.replace(/pgrp.*/, "")
      expect(direct).not.toBe("")
      const [first, ...rest] = bash(line.replace("COMMAND", "$R --capture --")).out.split("\n")
      if (what === "the process group") expect(first).toBe(rest[0] ?? "none")
      else expect([first, ...rest].join("\n")).toBe(direct)
    })
  }

  test("an added variable", () => {
    expect(bash("$R --capture -- sh -c 'echo $RELAYED'").out).toBe("1\n")
  })

  test("no other children of ours, no zombie", async () => {
    const child = Bun.spawn([relayed, "--capture", "--", "sleep", "1"], { stdout: "pipe" })
    await Bun.sleep(300)
    const processes = bash(`ps -o stat=,comm= --ppid ${child.pid}`).out.trim().split("\n")
    expect(processes).toEqual([expect.stringMatching(/^S\S* +sleep$/)])
    expect(await child.exited).toBe(0)
  })
})

describe("relay() passes on what is sent to its process id", () => {
  const listener = join(import.meta.dir, "../fixtures/signal-log.ts")
  let count = 0
  async function started(before: string[] = []) {
    const log = join(directory, `signals-${count++}`)
    const child = Bun.spawn([...before, relayed, "--capture", "--", process.execPath, listener, log, "TSTP"], { stdout: "pipe" })
    const lines = () => (existsSync(log) ? readFileSync(log, "utf8").split("\n").slice(0, -1) : [])
    await eventually(() => lines().length > 0)
    return { child, lines, end: () => writeFileSync(`${log}.end`, "") }
  }

  for (const before of [[], ["setsid", "--wait"]]) {
    test(`each signal once${before.length > 0 ? ", as leader of a session" : ""}`, async () => {
      const { child, lines, end } = await started(before)
      const pid = before.length === 0 ? child.pid : Number(bash(`pgrep -P ${child.pid}`).out)
      const names = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH", "SIGTSTP", "SIGCONT"] as const
      for (const [i, name] of names.entries()) {
        process.kill(pid, name)
        await eventually(() => lines().length === i + 2)
      }
      await Bun.sleep(100)
      expect(lines().slice(1)).toEqual([...names])
      // The child decided to stay: so did we.
      end()
      expect(await child.exited).toBe(42)
    })
  }

  test("killing the group of a session leader leaves nobody", async () => {
    const { child, lines } = await started(["setsid"])
    const tool = Number(lines()[0]?.split(" ")[1])
    process.kill(-child.pid, "SIGKILL")
    await child.exited
    await eventually(() => !existsSync(`/proc/${tool}/stat`) || readFileSync(`/proc/${tool}/stat`, "utf8").includes(") Z "))
  })

  test("SIGTERM that the child does not handle ends both by it", async () => {
    const child = Bun.spawn([relayed, "--capture", "--", "sleep", "20"], { stdout: "pipe" })
    await Bun.sleep(200)
    child.kill("SIGTERM")
    await child.exited
    expect(child.signalCode).toBe("SIGTERM")
  })

  test("SIGTSTP stops both, SIGCONT continues both", async () => {
    const child = Bun.spawn([relayed, "--capture", "--", "sh", "-c", "sleep 0.5; echo done"], { stdout: "pipe" })
    const states = () => bash(`ps -o stat= -p ${child.pid}; ps -o stat= --ppid ${child.pid}`).out.replace(/[^TS\n]/g, "")
    await Bun.sleep(150)
    process.kill(child.pid, "SIGTSTP")
    await eventually(states, (value) => value === "T\nT\n")
    process.kill(child.pid, "SIGCONT")
    expect(await new Response(child.stdout).text()).toBe("done\n")
    expect(await child.exited).toBe(0)
  })
})

describe("relayPortable(), what other systems get", () => {
  test("passes bytes, status, signals and broken pipes", () => {
    writeFileSync(join(directory, "in"), crypto.getRandomValues(new Uint8Array(65536)))
    expect(bash("cat in in in | $R --portable --capture --prefix '' -- cat | cmp - <(cat in in in) && echo same").out).toBe("same\n")
    expect(bash("$R --portable --capture -- sh -c 'echo a; exit 7'")).toMatchObject({ out: "a\n", status: 7 })
    expect(bash("$R --portable --capture -- sh -c 'kill -9 $$'; echo $?").out).toBe("137\n")
    // Bun gives the child a socket for its stdout, which may tell a reader's end as an error instead of SIGPIPE.
    expect(bash("$R --portable --capture -- yes 2>/dev/null | head -1; echo ${PIPESTATUS[0]}").out).toMatch(/^y\n(141|1)\n$/)
    expect(bash("yes | $R --portable --prefix X -- head -c 3").out).toBe("Xy\n")
    expect(bash("$R --portable --capture -- sleep 20 & sleep 0.3; kill $!; wait $!; echo $?").out).toBe("143\n")
    expect(bash("$R --portable --capture -- no-such-command").status).toBe(127)
  })
})
