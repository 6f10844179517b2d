import type { CommandDef } from "citty"

export const GROUPS = ["Memories", "What tools are told", "In and out", "This machine"] as const

export interface Entry {
  group: (typeof GROUPS)[number]
  summary: string
  load: () => Promise<CommandDef>
}

const entry = (group: Entry["group"], summary: string, load: () => Promise<{ default: unknown }>): Entry =>
  ({ group, summary, load: async () => (await load()).default as CommandDef })

/** Every command, loaded when it is called. A name that is added here is in names.ts as well. */
export const COMMANDS: Record<string, Entry> = {
  remember: entry("Memories", "store a text", () => import("./remember.ts")),
  recall: entry("Memories", "find what is remembered about something", () => import("./recall.ts")),
  list: entry("Memories", "the memories of this project and the global ones", () => import("./list.ts")),
  show: entry("Memories", "one memory with its history", () => import("./show.ts")),
  edit: entry("Memories", "change a memory in your editor", () => import("./edit.ts")),
  forget: entry("Memories", "take a memory out of sight, undo that, or purge it for ever", () => import("./forget.ts")),
  supersede: entry("Memories", "put a newer memory in the place of an older", () => import("./supersede.ts")),
  pin: entry("Memories", "inject a memory always", () => import("./pin.ts")),
  unpin: entry("Memories", "inject it only when it is relevant", () => import("./unpin.ts")),
  inbox: entry("Memories", "accept, edit or reject what tools proposed", () => import("./inbox.ts")),
  persona: entry("What tools are told", "who you are: get, set, edit, history", () => import("./persona.ts")),
  context: entry("What tools are told", "exactly what would be injected for a tool and a prompt", () => import("./context.ts")),
  last: entry("What tools are told", "what the last runs injected, and why", () => import("./last.ts")),
  export: entry("In and out", "memories as JSON Lines", () => import("./export.ts")),
  import: entry("In and out", "memories from JSON Lines or NeuralSync v2", () => import("./import.ts")),
  doctor: entry("This machine", "check the installation and each tool", () => import("./doctor.ts")),
  project: entry("What tools are told", "which directories are one project: list, show, rename, bind, unlink", () => import("./project.ts")),
  config: entry("This machine", "settings with their values and where they come from", () => import("./config.ts")),
  "shell-init": entry("This machine", "wrap plain `claude` and complete commands in bash, zsh, fish", () => import("./shell-init.ts")),
  uninstall: entry("This machine", "remove nswrap and keep the memories", () => import("./uninstall.ts")),
}
