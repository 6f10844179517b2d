import { beforeAll, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { binary, cleanEnvironment, run, temporaryHome } from "../helpers/binary.ts"

/*
 * Law 2: wrapping is invisible. Each line of bash below is run three times, with $W empty, `nswrap --no-context --` and
 * `nswrap --` with a memory to inject, and must come out the same.
 */

let home = ""
beforeAll(() => {
  home = temporaryHome()
  const { status, stderr } = run(["remember", "--pin", "--scope", "global", "Answer in British English"], { home })
  if (status !== 0) throw new Error(stderr)
  writeFileSync(join(home, "binary"), Buffer.concat(Array.from({ length: 16 }, () => crypto.getRandomValues(new Uint8Array(65536)))))
  script("no-interpreter-line", 'echo "script $# $1"')
  script("lost-interpreter", "#!/no/such/interpreter\n")
  writeFileSync(join(home, "not-executable"), "echo no\n")
  mkdirSync(join(home, "directory"))
})

function script(name: string, text: string) {
  writeFileSync(join(home, name), text)
  chmodSync(join(home, name), 0o755)
}

type Way = "direct" | "bypass" | "context"

function bash(line: string, way: Way) {
  const prefix = { direct: "", bypass: `${binary()} --no-context --`, context: `${binary()} --` }[way]
  const env = { ...cleanEnvironment(home), D: home, W: prefix, TOOL_NAME: "claude-code", XDG_RUNTIME_DIR: undefined }
  const { stdout, stderr, status, signal } = spawnSync("bash", ["-c", line], { env, cwd: home, timeout: 50_000, maxBuffer: 64 << 20 })
  // Added by us, and the name bash gives to the program it starts.
  const output = stdout.toString("latin1").replaceAll(/^(NS_CONTEXT_FILE|NSWRAP_TOOL|W|_|SHLVL)=.*\n/gm, "")
  return { output, errors: stderr.toString(), status, signal }
}

test("the command of these tests does get a context", () => {
  expect(bash("$W printenv NS_CONTEXT_FILE; $W sh -c 'cat $NS_CONTEXT_FILE'", "context").output).toContain("Answer in British English")
  expect(bash("$W printenv NS_CONTEXT_FILE || echo none", "bypass").output).toBe("none\n")
})

const LINES: Record<string, string[][]> = {
  "exit status": [
    ["every status from 0 to 255", 'for i in $(seq 0 255); do $W sh -c "exit $i"; echo $?; done'],
    ["death by each signal", `ulimit -c 0; for s in HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT XCPU XFSZ VTALRM PROF IO PWR SYS RTMIN+3; do
       $W sh -c 'kill -'$s' $$'; echo $s $?; done 2>/dev/null`],
    ["death by SIGPIPE before a closed reader", "$W yes | head -1; echo ${PIPESTATUS[@]}"],
    ["death by SIGXFSZ at a file size limit", "ulimit -c 0; (ulimit -f 1; $W head -c 100000 /dev/zero > $D/limited; echo $?) 2>/dev/null; stat -c %s $D/limited"],
  ],
  signals: [
    ["blocked, ignored and caught signals", "$W grep Sig[^Q] /proc/self/status"],
    ["nohup", "nohup $W grep Sig[^Q] /proc/self/status"],
    ["signals that a shell ignores, PIPE and SEGV among them", "trap '' HUP INT PIPE TERM SEGV XFSZ; $W grep Sig[^Q] /proc/self/status; true"],
    ["a background job of a script ignores INT and QUIT", "$W grep Sig[^Q] /proc/self/status & wait"],
    ["signals blocked by the parent", `python3 -c "
import os, signal, sys
for own in (signal.SIGPIPE, signal.SIGXFSZ): signal.signal(own, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM, signal.SIGWINCH])
os.execvp(sys.argv[1], sys.argv[1:])" $W grep Sig[^Q] /proc/self/status`],
  ],
  process: [
    ["limits", "$W cat /proc/self/limits"],
    ["a soft limit of open files below the hard one", "ulimit -Sn 256; $W sh -c 'ulimit -Sn; ulimit -Hn'; true"],
    ["other limits", "ulimit -c 0 -s 4096 -u 3000 -t 100; $W cat /proc/self/limits; true"],
    ["umask", "umask 0137; $W sh -c umask; $W touch $D/made; stat -c %a $D/made; rm $D/made"],
    ["niceness, processors, capabilities, groups, no new privileges", "nice -n 7 $W nice; taskset -c 0 $W grep -E 'Cpus_allowed:|Cap|Groups|Uid|Gid|NoNewPrivs|Seccomp:|Umask' /proc/self/status"],
    ["process group and session", "$W sh -c 'ps -o pgid=,sid= -p $$' | { read -r g s; [ $g = $$ ]; echo $?; }"],
    ["working directory", "cd directory; $W pwd; $W readlink /proc/self/cwd"],
    ["parent", '$W sh -c \'[ $PPID = \'$$\' ]; echo $?\'; true'],
    ["out of memory score, timer slack, name", "$W cat /proc/self/oom_score_adj /proc/self/timerslack_ns /proc/self/comm"],
    ["no child, no thread of ours", "$W sh -c 'grep Threads /proc/$$/status; ps -o comm= --ppid $$ | grep -v ps'; true"],
  ],
  arguments: [
    ["argv[0]", "$W cat /proc/self/cmdline; $W /bin/cat /proc/self/cmdline"],
    ["empty, blank and quoted ones", `$W printf '[%s]' '' ' ' "a b" "'" '"' '\\' '*' '$HOME' $'line\\nbreak' ''`],
    ["bytes that are no UTF-8", "$W printf '[%s]' $'\\xff\\xfe' $'a\\x80b' $'\\xed\\xa0\\x80' é '\u{1F600}' '\u{FFFD}' | xxd"],
    ["those that look like ours", "$W printf '%s\\n' -- --no-context --help --version -- --dry-run --tool x"],
    ["20,000", '$W sh -c \'echo $#; printf "%s " "$@" | md5sum\' x $(seq 20000)'],
    ["2 MB of them", '$W sh -c \'printf "%s " "$@" | md5sum\' x $(yes $(head -c 1000 /dev/zero | tr "\\0" x) | head -1900)'],
  ],
  environment: [
    ["all of it", "$W env | sort"],
    ["bytes that are no UTF-8", "export ODD=$'\\xff\\xfe=\\n' EMPTY=; $W printenv ODD EMPTY | xxd"],
    ["1,000 variables and a long one", 'for i in $(seq 1000); do export "V$i=$i"; done; export LONG=$(head -c 100000 /dev/zero | tr "\\0" y); $W env | sort | grep -E "^(V|LONG)" | md5sum'],
    ["an empty one", "env -i PATH=$PATH HOME=$HOME NS_HOME=$NS_HOME $W env | sort"],
    ["options for other runtimes", "export NODE_OPTIONS=--bad BUN_OPTIONS='--preload /no' BUN_BE_BUN=1 BUN_INSPECT=x BUN_INSPECT_CONNECT_TO=x BUN_INSPECT_PRELOAD=/no; $W env | sort"],
  ],
  descriptors: [
    ["none but the standard ones", "$W ls /proc/self/fd"],
    ["opened by the shell", "$W ls -l /proc/self/fd 3</etc/hosts 4<$D 9>>$D/nine 1023</dev/null 200<>/dev/zero | sed -E 's/.*:.. //; s/[0-9]{3,}//'"],
    ["process substitution", "$W cat <(echo from a pipe)"],
    ["300 of them", "for i in $(seq 10 309); do eval \"exec $i</dev/null\"; done; $W ls /proc/self/fd"],
    ["closed stdin", "$W ls /proc/self/fd <&-; $W cat <&- 2>/dev/null; echo $?"],
    ["closed stdout", "$W sh -c 'ls /proc/self/fd >&2' 2>&1 >&- | tr '\\n' ' '; $W echo x >&- 2>/dev/null; echo $?"],
    ["closed stderr", "$W ls /proc/self/fd 2>&-"],
    ["everything closed but 3", "{ $W sh -c 'ls /proc/self/fd >&3' <&- >&- 2>&- ; } 3>&1"],
    ["event, timer and poll descriptors", `python3 -c "
import ctypes, os, select, sys
libc = ctypes.CDLL(None)
for flags in (0, 0): os.set_inheritable(libc.eventfd(0, flags), True)
os.set_inheritable(libc.timerfd_create(0, 0), True)
os.execvp(sys.argv[1], sys.argv[1:])" $W ls -l /proc/self/fd | sed -E 's/.* -> //; s/[0-9]{3,}//'`],
  ],
  "standard streams": [
    ["1 MB of bytes from a file to a pipe", "$W cat < $D/binary | md5sum"],
    ["1 MB of bytes through pipes", "cat $D/binary | $W cat | md5sum"],
    ["50 MB through pipes", "head -c 50000000 /dev/zero | $W cat | md5sum"],
    ["stderr stays stderr", "$W sh -c 'echo out; echo err >&2' 2>/dev/null; $W sh -c 'echo out; echo err >&2' 2>&1 >/dev/null"],
    ["a shared stdin is left where the command leaves it", "{ $W head -c 5; echo; cat | md5sum; } < $D/binary; printf 'a\\nb\\nc\\n' | { $W sh -c 'read x; echo $x'; cat; }"],
    ["late and slow stdin", "{ sleep 0.2; printf a; sleep 0.2; printf b; } | $W cat"],
    ["offset of a shared stdout", "{ echo before; $W echo wrapped; echo after; } > $D/order; cat $D/order"],
    ["blocking modes", "echo x | $W grep flags /proc/self/fdinfo/0 /proc/self/fdinfo/1 /proc/self/fdinfo/2 | cat"],
  ],
  programs: [
    ["a script without #!", "$W $D/no-interpreter-line one two; PATH=$PATH:$D; $W no-interpreter-line one"],
    ["PATH as the command sees it", "PATH=$D:$PATH; $W sh -c 'echo $PATH'; $W ./no-interpreter-line"],
    ["start again by the command", "$W sh -c 'exec $W sh -c \"exec echo deep\"'; $W sh -c '$W env | grep -c NS_CONTEXT_FILE; true' >/dev/null"],
  ],
}

describe.each(Object.entries(LINES))("%s:", (_, lines) => {
  test.each(lines)("%s", (_name, line) => {
    const direct = bash(line!, "direct")
    expect(direct.output).not.toBe("")
    expect(bash(line!, "bypass")).toEqual(direct)
    expect(bash(line!, "context")).toEqual(direct)
  }, 60_000)
})

describe("a command that cannot be started", () => {
  test.each([
    ["nope-nope", 127, "nope-nope: command not found"],
    ["''", 127, ": command not found"],
    ["directory", 127, "directory: command not found"],
    ["./nope", 127, "./nope: No such file or directory"],
    ["./directory", 126, "./directory: Is a directory"],
    ["./not-executable", 126, "./not-executable: Permission denied"],
    ["not-executable", 126, "not-executable: Permission denied"],
    ["./not-executable/below", 126, "./not-executable/below: Not a directory"],
    ["./lost-interpreter", 127, "./lost-interpreter: cannot execute: required file not found"],
  ])("%s ends with %d and the words of bash", (command, status, words) => {
    const line = `PATH=$PATH:$D; $W ${command}`
    const direct = bash(line, "direct")
    expect(direct.status).toBe(status)
    for (const way of ["bypass", "context"] as const) {
      const wrapped = bash(line, way)
      expect(wrapped.status).toBe(status)
      expect(wrapped.errors).toStartWith(`nswrap: ${words}`)
    }
  })
})

test("where no code may be made at run time, and so libc not be called, the command still runs", () => {
  const line = "export BUN_JSC_useJIT=0; $W sh -c 'echo \"$1\"; cat; exit 7' x 'a b' <<< stdin; echo $?; $W ./not-executable 2>/dev/null; echo $?; $W nope 2>/dev/null; echo $?"
  const direct = bash(line, "direct")
  expect(direct.output).toBe("a b\nstdin\n7\n126\n127\n")
  expect(bash(line, "bypass")).toEqual(direct)
  expect(bash(line, "context")).toEqual(direct)
})

describe("nothing of ours stays", () => {
  const started = (signal: string) => `
    $W sleep 30 & pid=$!
    for i in $(seq 200); do [ "$(cat /proc/$pid/comm)" = sleep ] && break; sleep 0.01; done
    readlink /proc/$pid/exe; grep -c nswrap /proc/$pid/maps; ps -o comm= --ppid $$ > $D/children; cat $D/children
    kill -${signal} $pid; wait $pid; echo $?; ps -o comm= --ppid $$ > $D/children; cat $D/children; test -e /proc/$pid; echo $?`

  test.each(["TERM", "KILL", "HUP", "USR1", "SEGV"])("the process is the command itself, and %s ends it without orphan or zombie", (signal) => {
    const line = `ulimit -c 0; ${started(signal)}`
    const direct = bash(line, "direct")
    expect(direct.output).toContain("/sleep\n0\n")
    expect(bash(line, "bypass").output).toBe(direct.output)
    expect(bash(line, "context").output).toBe(direct.output)
  })
})
