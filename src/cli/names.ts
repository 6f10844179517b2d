/**
 * The words that are nswrap's own: `nswrap NAME` never runs a program of that name, `nswrap -- NAME` always does.
 * The list is fixed, the ones for later included, so that a new version never takes a word away from its users.
 * No imports: the hot path asks this before anything else is loaded.
 */
const NOW = [
  "remember", "recall", "list", "show", "edit", "forget", "supersede", "pin", "unpin", "last", "persona", "context",
  "export", "import", "config", "inbox", "doctor", "shell-init", "project", "uninstall", "help", "version",
] as const

const LATER = [
  "serve", "daemon", "cache", "embed", "tidy", "setup", "undo", "mcp", "hook", "sync", "stats", "bench", "learn",
  "remote", "token", "server", "page", "health",
] as const

export const RESERVED: ReadonlySet<string> = new Set<string>([...NOW, ...LATER])

/** The reserved names that are commands in this version. */
export const AVAILABLE: ReadonlySet<string> = new Set<string>(NOW)
