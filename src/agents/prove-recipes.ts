import { join } from "node:path"

/** What one proof looks for. All are random words, so that nothing but our own text can hold them. */
export interface Proof {
  /** Base URL of the capture server, without a path. */
  url: string
  scratch: string
  home: string
  /** In the persona, in the memory, and in the text that the user gives through the tool's own door. */
  persona: string
  memory: string
  own: string
  prompt: string
}

/** How to make one tool show its first request without an account: a fake key and a base URL on loopback. */
export interface Recipe {
  args(proof: Proof): string[]
  env(proof: Proof): Record<string, string>
  /** Files to write before the run, by absolute path. */
  files?(proof: Proof): Record<string, string>
  stdin?(proof: Proof): string
  /** How the user's own text is given: through the same door as ours, where the two could collide. */
  ownBy: string
}

const MODEL = "m1"

/** Qwen would send what goes to loopback through a proxy too. */
const DIRECT = { HTTPS_PROXY: "", https_proxy: "" }

/** By the tool's name in the table of tools. Run with the versions that `bun run prove` pins. */
export const RECIPES: Record<string, Recipe> = {
  claude: {
    ownBy: "--append-system-prompt",
    args: ({ own, prompt }) => ["--append-system-prompt", own, "-p", prompt],
    env: ({ url }) => ({
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: "none",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      CLAUDE_CODE_MAX_RETRIES: "0",
      DISABLE_TELEMETRY: "1",
      DISABLE_ERROR_REPORTING: "1",
      DISABLE_AUTOUPDATER: "1",
    }),
  },
  codex: {
    ownBy: "-c developer_instructions",
    args: ({ url, own, prompt }) => [
      "exec",
      "--skip-git-repo-check",
      "-c", `developer_instructions=${JSON.stringify(own)}`,
      "-c", `model_providers.proof={name="proof",base_url="${url}/v1",env_key="PROOF_KEY",wire_api="responses",request_max_retries=0,stream_max_retries=0}`,
      "-c", "model_provider=proof",
      "-c", "analytics.enabled=false",
      "-c", "check_for_update_on_startup=false",
      // These fetch their catalogues from github.com and chatgpt.com.
      "-c", "features={plugins=false,remote_plugin=false,apps=false}",
      "-m", MODEL,
      prompt,
    ],
    env: () => ({ PROOF_KEY: "none" }),
  },
  gemini: {
    ownBy: "stdin",
    args: ({ prompt }) => ["--skip-trust", "-p", prompt],
    stdin: ({ own }) => `${own}\n`,
    // With a base URL it takes itself for behind a gateway and refuses to start, unless the way to log in is chosen.
    files: ({ home }) => ({
      [join(home, ".gemini/settings.json")]: JSON.stringify({
        security: { auth: { selectedType: "gemini-api-key" } },
        general: { enableAutoUpdate: false, enableAutoUpdateNotification: false },
        privacy: { usageStatisticsEnabled: false },
        telemetry: { enabled: false },
      }),
    }),
    env: ({ url }) => ({ GEMINI_API_KEY: "none", GOOGLE_GEMINI_BASE_URL: url }),
  },
  opencode: {
    ownBy: "OPENCODE_CONFIG_CONTENT",
    args: ({ prompt }) => ["run", "-m", `proof/${MODEL}`, prompt],
    files: ({ scratch, own }) => ({ [join(scratch, "own.md")]: own }),
    env: ({ url, scratch }) => ({
      OPENCODE_CONFIG_CONTENT: JSON.stringify({
        instructions: [join(scratch, "own.md")],
        autoupdate: false,
        share: "disabled",
        provider: {
          proof: { npm: "@ai-sdk/openai-compatible", options: { baseURL: `${url}/v1`, apiKey: "none" }, models: { [MODEL]: { name: MODEL } } },
        },
      }),
      OPENCODE_DISABLE_MODELS_FETCH: "1",
      OPENCODE_DISABLE_AUTOUPDATE: "1",
      OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
      OPENCODE_DISABLE_DEFAULT_PLUGINS: "1",
      // It installs the types of its plugins from npm at every first start.
      npm_config_registry: `${url}/npm/`,
      npm_config_fetch_retries: "0",
    }),
  },
  qwen: {
    ownBy: "--append-system-prompt",
    args: ({ own, prompt }) => ["--append-system-prompt", own, "--auth-type", "openai", "-p", prompt],
    files: ({ home }) => ({
      [join(home, ".qwen/settings.json")]: JSON.stringify({
        general: { enableAutoUpdate: false },
        privacy: { usageStatisticsEnabled: false },
        telemetry: { enabled: false },
      }),
    }),
    env: ({ url }) => ({ OPENAI_API_KEY: "none", OPENAI_BASE_URL: `${url}/v1`, OPENAI_MODEL: MODEL, ...DIRECT }),
  },
  copilot: {
    ownBy: "--plugin-dir",
    args: ({ scratch, prompt }) => ["--plugin-dir", join(scratch, "own-plugin"), "-p", prompt, "--allow-all-tools", "--no-auto-update", "--disable-builtin-mcps"],
    files: ({ scratch, own }) => ({
      [join(scratch, "own-plugin/plugin.json")]: JSON.stringify({ name: "own", version: "0.0.1", hooks: "hooks.json" }),
      [join(scratch, "own-plugin/hooks.json")]: JSON.stringify({
        version: 1,
        hooks: { sessionStart: [{ type: "command", bash: `printf %s '${JSON.stringify({ additionalContext: own })}'`, timeoutSec: 5 }] },
      }),
    }),
    env: ({ url }) => ({ COPILOT_PROVIDER_BASE_URL: `${url}/v1`, COPILOT_PROVIDER_API_KEY: "none", COPILOT_MODEL: MODEL, COPILOT_OFFLINE: "true" }),
  },
}
