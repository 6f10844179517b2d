import { defineCommand } from "citty"
import { pin } from "./pin.ts"

export default defineCommand({
  meta: { name: "unpin", description: "Injects a memory only when it is relevant again.\n\n  nswrap unpin 3f2a9c1e" },
  args: {
    id: { type: "positional", required: true, valueHint: "ID…" },
    json: { type: "boolean", description: "print JSON" },
  },
  async run({ args }) {
    await pin(args._, { pinned: false, json: args.json === true })
  },
})
