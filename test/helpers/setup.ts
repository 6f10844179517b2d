// Every test gets its own home, so that none can touch the developer's memories.
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
process.env.NS_HOME = mkdtempSync(join(tmpdir(), "nswrap-test-"))
for (const name of Object.keys(process.env)) if (/^(NS_|TOOL_NAME$|NSWRAP_)/.test(name) && !["NS_HOME", "NSWRAP_BINARY"].includes(name)) delete process.env[name]
