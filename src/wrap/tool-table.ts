import type { Command, Tool } from "./tools.ts"

/**
 * How each command-line AI tool is called and takes a context: one row per tool, from its own `--help` where it could
 * be run (claude 2.1.330, codex 0.169.0, gemini 0.61.0, opencode 1.18.33, qwen 0.15.10, copilot 1.0.102) and from its
 * source elsewhere.
 *
 * `minimum` is the lowest version in which the channel was seen to work (qwen: to exist); an older one may know it too.
 */
export const TOOLS: Tool[] = [
  row({
    name: "claude",
    names: ["claude", "claude-code", "claudecode"],
    packages: ["@anthropic-ai/claude-code"],
    channel: {
      kind: "flag", flag: "--append-system-prompt-file", value: "file", repeats: false,
      // In the order in which claude itself joins the two.
      merges: [
        { flag: "--append-system-prompt-file", value: "file" },
        { flag: "--append-system-prompt", value: "text" },
      ],
    },
    minimum: "2.0.34",
    root: () => ({
      promptFrom: 0,
      others: words(`agents attach auth auto-mode config doctor gateway help import install logs mcp
        migrate-installer plugin plugins purge remote-control respawn rm setup-token stop kill ultrareview update
        upgrade`),
    }),
    flags: () => ({
      one: words(`--ablation --advisor --agent --agent-color --agent-id --agent-name --agent-type --agents
        --append-subagent-system-prompt --append-subagent-system-prompt-file --append-system-prompt
        --append-system-prompt-file --autocompact --client-data-url --correlation-id --debug-file --effort
        --environment --fallback-model --fast-mode --inherit-permission-mode --input-format --json-schema
        --managed-settings --max-budget-usd --max-thinking-tokens --max-turns --metadata --model -m --name -n
        --output-format --parent-session-id --permission-mode --permission-prompt-tool --permission-prompts
        --plan-mode-instructions --plugin-dir --plugin-dir-no-mcp --plugin-url --pool --prefill --prefill-b64
        --proactivity --ref --remote-control-session-name-prefix --resume-session-at --rewind-files --routine
        --sdk-url --session-id --setting-sources --settings --system-prompt --system-prompt-file
        --system-prompt-snapshot --task-budget --team-name --teammate-mode --thinking --thinking-display --transport
        --watch-artifact --workload`),
      optional: words(`--cloud -d --debug --from-pr --prompt-suggestions --rc --remote --remote-control -r --resume
        --teleport -w --worktree`),
      many: words(`--add-dir --allowedTools --allowed-tools --betas --channels
        --dangerously-load-development-channels --disallowedTools --disallowed-tools --file --mcp-config --tools`),
      resume: words("-c --continue -r --resume --from-pr --teleport"),
      oneShot: ["-p", "--print"],
      leave: ["-h", "--help", "-v", "--version"],
    }),
    insert: "program",
    promptIsOneShot: false,
    readsStdin: true,
    bareWord: "prompt",
  }),
  row({
    name: "codex",
    names: ["codex", "codexcli", "codex-cli"],
    packages: ["@openai/codex"],
    channel: { kind: "codex" },
    minimum: "0.58.0",
    root: () => ({
      promptFrom: 0,
      commands: {
        ...both(["exec", "e"], {
          promptFrom: 0, oneShot: true,
          commands: {
            resume: { promptFrom: 1, resumes: true, oneShot: true },
            fork: { promptFrom: 1, resumes: true, oneShot: true },
            review: { promptFrom: 0, oneShot: true },
          },
          others: ["help"],
        }),
        review: { promptFrom: 0, oneShot: true },
        resume: { promptFrom: 1, resumes: true },
        fork: { promptFrom: 1, resumes: true },
        // Prints the prompt that the model would see: with the context, or it would not be true.
        debug: { needsCommand: true, commands: { "prompt-input": { promptFrom: 0, oneShot: true } }, others: "any" },
      },
      others: words(`a agents app app-server apply archive cloud cloud-tasks completion delete doctor exec-server
        execpolicy features help login logout mcp mcp-server migrate-nfs-db migrate-rollouts plugin proto queue
        remote-control responses-api-proxy sandbox unarchive update`),
    }),
    flags: () => ({
      one: words(`-c --config --enable --disable --remote --remote-auth-token-env -m --model --local-provider -p
        --profile -s --sandbox -C --cd --add-dir -a --ask-for-approval --thread-source --cyber-access-program
        --output-schema --color -o --output-last-message --base --commit --title`),
      many: ["-i", "--image"],
      leave: ["-h", "--help", "-V", "--version"],
    }),
    insert: "program",
    promptIsOneShot: false,
    readsStdin: true,
    bareWord: "prompt",
  }),
  row({
    name: "gemini",
    names: ["gemini", "gemini-cli"],
    packages: ["@google/gemini-cli"],
    channel: { kind: "stdin" },
    minimum: null,
    root: () => ({ promptFrom: 0, others: words("mcp extensions extension skills skill hooks hook gemma") }),
    flags: () => ({
      // All of its lists take one value at a time (`nargs: 1`).
      one: words(`-m --model -p --prompt -i --prompt-interactive --approval-mode --policy --admin-policy
        --allowed-mcp-server-names --allowed-tools -e --extensions --session-file --session-id --delete-session
        --include-directories -o --output-format`),
      optional: words("-r --resume -w --worktree"),
      prompt: words("-p --prompt -i --prompt-interactive"),
      resume: words("-r --resume --session-file"),
      oneShot: ["-p", "--prompt"],
      // --acp speaks a protocol on stdin.
      leave: words(`-h --help -v --version -l --list-extensions --list-sessions --delete-session --acp
        --experimental-acp`),
    }),
    insert: "program",
    promptIsOneShot: false,
    readsStdin: true,
    bareWord: "prompt",
  }),
  row({
    name: "opencode",
    names: ["opencode", "opencode-ai"],
    packages: ["opencode-ai", "opencode"],
    channel: { kind: "opencode" },
    minimum: "1.1.11",
    root: () => ({
      // Its positional is a directory.
      commands: { run: { promptFrom: 0, oneShot: true } },
      others: words(`acp agent attach auth completion db debug export github import mcp models plug plugin pr
        providers serve session stats uninstall upgrade web`),
    }),
    flags: () => ({
      one: words(`--log-level --port --hostname --mdns-domain -m --model -s --session --prompt --agent
        --replay-limit --command --format --title --attach -p --password -u --username --dir --variant`),
      many: words("--cors -f --file"),
      prompt: ["--prompt"],
      resume: words("-c --continue -s --session"),
      leave: ["-h", "--help", "-v", "--version"],
    }),
    insert: "program",
    promptIsOneShot: false,
    readsStdin: true,
    bareWord: "prompt",
  }),
  row({
    name: "qwen",
    names: ["qwen", "qwen-code"],
    packages: ["@qwen-code/qwen-code"],
    channel: {
      kind: "flag", flag: "--append-system-prompt", value: "text", repeats: false,
      merges: [{ flag: "--append-system-prompt", value: "text" }],
    },
    minimum: "0.15.6",
    root: () => ({ promptFrom: 0, others: words("auth channel extensions hook hooks mcp review serve sessions") }),
    flags: () => ({
      one: words(`--append-system-prompt --approval-mode --auth-type --channel --input-file --input-format --json-fd
        --json-file --json-schema --max-session-turns --mcp-config -m --model --openai-api-key --openai-base-url
        --openai-logging-dir -o --output-format -p --prompt -i --prompt-interactive --proxy --sandbox-image
        --session-id --system-prompt --telemetry-otlp-endpoint --telemetry-otlp-protocol --telemetry-outfile
        --telemetry-target`),
      optional: ["-r", "--resume"],
      many: words(`--add-dir --allowed-mcp-server-names --allowed-tools --core-tools --disabled-slash-commands
        --exclude-tools -e --extensions --include-directories`),
      prompt: words("-p --prompt -i --prompt-interactive"),
      resume: words("-c --continue -r --resume"),
      oneShot: ["-p", "--prompt"],
      leave: words("-h --help -v --version -l --list-extensions"),
    }),
    insert: "program",
    promptIsOneShot: true,
    readsStdin: true,
    bareWord: "command",
  }),
  row({
    name: "copilot",
    names: ["copilot", "copilot-cli"],
    packages: ["@github/copilot"],
    channel: { kind: "copilot" },
    minimum: "1.0.20",
    root: () => ({ others: "any" }),
    flags: () => ({
      one: words(`--add-dir --add-github-mcp-tool --add-github-mcp-toolset --additional-mcp-config --agent
        --attachment --auto-tier -C --context --disable-mcp-server --dynamic-retrieval --effort --enable-mcp-server
        --environment-compute-id --environment-host --extension-sdk-path -i --interactive --log-dir --log-level
        --max-ai-credits --max-autopilot-continues --mcp-github-auth --mode --model -n --name --output-format -p
        --prompt --plugin-dir --reasoning-effort --session-id --stream --usage-output-file`),
      optional: words("--bash-env --connect --mouse -r --resume --share"),
      many: words(`--allow-tool --allow-url --available-tools --deny-tool --deny-url --excluded-tools
        --secret-env-vars`),
      prompt: words("-p --prompt -i --interactive"),
      resume: words("-r --resume --continue --connect"),
      oneShot: ["-p", "--prompt"],
      leave: words("-h --help -v --version --acp"),
    }),
    insert: "program",
    promptIsOneShot: false,
    readsStdin: false,
    bareWord: "prompt",
  }),
  row({
    name: "aider",
    names: ["aider"],
    packages: ["aider-chat"],
    channel: { kind: "aider" },
    minimum: null,
    root: () => ({}),
    flags: () => ({
      one: words(`--aiderignore --alias --analytics-log --analytics-posthog-host --analytics-posthog-project-api-key
        --anthropic-api-key --api-key --apply --assistant-output-color --cache-keepalive-pings --chat-history-file
        --chat-language --chat-mode --code-theme --commit-language --commit-prompt --completion-menu-bg-color
        --completion-menu-color --completion-menu-current-bg-color --completion-menu-current-color -c --config
        --edit-format --editor --editor-edit-format --editor-model --encoding --env-file -f --file
        --input-history-file --line-endings --lint-cmd --list-models --llm-history-file --load
        --map-multiplier-no-files --map-refresh --map-tokens --max-chat-history-tokens -m --message --message-file
        --model --model-metadata-file --model-settings-file --models --msg --notifications-command --openai-api-base
        --openai-api-deployment-id --openai-api-key --openai-api-type --openai-api-version --openai-organization-id
        --read --reasoning-effort --set-env --shell-completions --test-cmd --thinking-tokens --timeout
        --tool-error-color --tool-output-color --tool-warning-color --user-input-color --voice-format
        --voice-input-device --voice-language --weak-model`),
      prompt: words("-m --message --msg"),
      promptFile: ["-f", "--message-file"],
      resume: ["--restore-chat-history"],
      oneShot: words("-m --message --msg -f --message-file"),
      leave: words(`-h --help --version --list-models --models --just-check-update --install-main-branch --upgrade
        --update --shell-completions --exit`),
    }),
    insert: "program",
    promptIsOneShot: false,
    readsStdin: false,
    bareWord: "prompt",
  }),
  row({
    // Not the database migration tool of the same name: all of its subcommands (`goose up`) are left alone.
    name: "goose",
    names: ["goose", "goose-cli"],
    packages: [],
    channel: { kind: "goose" },
    minimum: null,
    root: () => ({
      commands: { run: { oneShot: true }, ...both(["session", "s"], { others: words("list remove export diagnostics import") }) },
      others: "any",
    }),
    flags: () => ({
      one: words(`-t --text -i --instructions --system --recipe --params --sub-recipe -n --name --path --session-id
        --max-tool-repetitions --max-turns --with-extension --with-remote-extension --with-streamable-http-extension
        --with-builtin --provider --model --output-format --profile --scheduled-job-id`),
      prompt: ["-t", "--text"],
      promptFile: ["-i", "--instructions"],
      resume: ["-r", "--resume"],
      leave: words("-h --help -V --version --explain --render-recipe"),
    }),
    insert: "program",
    promptIsOneShot: false,
    readsStdin: true,
    bareWord: "prompt",
  }),
  row({
    name: "llm",
    names: ["llm"],
    packages: ["llm"],
    channel: { kind: "flag", flag: "--sf", value: "file", repeats: true, merges: [] },
    minimum: null,
    root: () => ({
      promptFrom: 0, oneShot: true,
      commands: { prompt: { promptFrom: 0, oneShot: true } },
      // `llm chat` takes --sf only in newer versions, whose number cannot be read beside the program: left alone.
      others: words(`aliases chat collections embed embed-models embed-multi fragments install keys logs models
        openai plugins schemas similar templates tools uninstall`),
    }),
    flags: () => ({
      one: words(`-a --attachment --cid --conversation --cl --chain-limit -d --database -f --fragment --functions
        --key -m --model -q --query -s --system --save --schema --schema-multi --sf --system-fragment -t --template
        -T --tool`),
      two: words("--at --attachment-type -o --option -p --param"),
      resume: words("-c --continue --cid --conversation"),
      // --save would keep our file in the user's template.
      leave: words("--help --version --save"),
    }),
    insert: "command",
    promptIsOneShot: true,
    readsStdin: true,
    // Plugins add commands.
    bareWord: "command",
  }),
  row({
    // Its configuration overlay is unproved: the file alone.
    name: "crush",
    names: ["crush"],
    packages: ["@charmland/crush"],
    channel: { kind: "file" },
    minimum: null,
    root: () => ({ commands: both(["run", "r"], { promptFrom: 0, oneShot: true }), others: "any" }),
    flags: () => ({
      one: words("-m --model --small-model -s --session -c --cwd -D --data-dir"),
      resume: words("-s --session -C --continue"),
      leave: words("-h --help --version"),
    }),
    insert: "program",
    promptIsOneShot: false,
    readsStdin: true,
    bareWord: "prompt",
  }),
  row({
    name: "ollama",
    names: ["ollama"],
    packages: [],
    channel: { kind: "prompt" },
    minimum: null,
    root: () => ({ needsCommand: true, commands: { run: { promptFrom: 1 } }, others: "any" }),
    flags: () => ({
      one: words("--format --keepalive --dimensions"),
      leave: words("-h --help -v --version"),
    }),
    insert: "program",
    promptIsOneShot: true,
    readsStdin: true,
    bareWord: "prompt",
  }),
  row({
    name: "fabric",
    names: ["fabric", "fabric-ai"],
    packages: [],
    channel: { kind: "stdin" },
    minimum: null,
    root: () => ({ promptFrom: 0, oneShot: true }),
    flags: () => ({
      one: words(`-p --pattern -v --variable -C --context --session -a --attachment -t --temperature -T --topp -P
        --presencepenalty -F --frequencypenalty -m --model -V --vendor --modelContextLength -o --output -n --latest
        -y --youtube -g --language -u --scrape_url -q --scrape_question -e --seed --thinking -w --wipecontext -W
        --wipesession --printcontext --printsession --address --api-key --config --addextension --rmextension
        --strategy --search-location --image-file --image-size --image-quality --image-compression
        --image-background --think-start-tag --think-end-tag`),
      resume: ["--session"],
      leave: words(`-h --help --version -S --setup -l --listpatterns -L --listmodels -x --listcontexts -X
        --listsessions -U --updatepatterns -d --changeDefaultModel -w --wipecontext -W --wipesession --printcontext
        --printsession --serve --serveOllama --listextensions --addextension --rmextension --liststrategies
        --listvendors --shell-complete-list -n --latest -y --youtube -u --scrape_url`),
    }),
    insert: "program",
    promptIsOneShot: true,
    readsStdin: true,
    bareWord: "prompt",
  }),
]

/** Most runs read one row, so a row's long lists are made when they are first asked for. */
function row({ root, flags, ...rest }: Omit<Tool, "root" | "flags"> & { root: () => Tool["root"]; flags: () => Tool["flags"] }): Tool {
  let ownRoot: Tool["root"] | null = null
  let ownFlags: Tool["flags"] | null = null
  return {
    ...rest,
    get root() {
      return (ownRoot ??= root())
    },
    get flags() {
      return (ownFlags ??= flags())
    },
  }
}

function words(text: string): string[] {
  return text.trim().split(/\s+/)
}

function both(names: string[], command: Command): Record<string, Command> {
  return Object.fromEntries(names.map(name => [name, command]))
}
