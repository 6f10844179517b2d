import { openForWriting } from "../../src/store/create.ts"
import { rememberMany } from "../../src/store/memories.ts"
import { resolvePaths } from "../../src/config/paths.ts"
import { setPersona } from "../../src/store/set-persona.ts"
import type { NewMemory } from "../../src/memory/memory.ts"

const SUBJECTS = ["login endpoint", "checkout service", "invoice job", "search index", "release workflow", "staging cluster", "payment webhook", "session cache", "feature flags",
  "mobile client", "email sender", "rate limiter", "audit log", "backup drill", "design system", "type checker", "linter", "test runner", "message queue", "image pipeline"]
const VERBS = ["uses", "requires", "stores", "signs", "retries", "rejects", "rotates", "caches", "replaces", "validates", "logs", "streams", "compresses", "migrates", "exports"]
const OBJECTS = ["JWT tokens", "Postgres rows", "Redis keys", "S3 objects", "Kafka events", "HTTP cookies", "feature toggles", "signed URLs", "gzip archives", "protobuf messages",
  "cron schedules", "OAuth scopes", "TLS certificates", "SQL migrations", "GraphQL queries", "webhook payloads", "stack traces", "metrics", "Docker images", "config files"]
const REASONS = ["because the vendor SDK breaks otherwise", "since the incident in March", "as agreed with the platform team", "until the legacy panel is gone", "to stay under the latency target",
  "for every customer in the EU", "when the clock crosses midnight UTC", "after three failed attempts", "unless the flag is off", "so that restarts lose nothing"]
const KINDS = ["fact", "fact", "fact", "decision", "note", "episode", "procedure"]

/** Fills a home with `count` developer memories in 20 projects and the global scope, the same ones every time. */
export async function seed(home: string, count: number): Promise<void> {
  const random = lehmer(20261103)
  const pick = <T>(list: T[]): T => list[Math.floor(random() * list.length)]!
  const db = await openForWriting(resolvePaths({ NS_HOME: home }))
  const projects = Array.from({ length: 20 }, (_, i) => {
    const id = Bun.randomUUIDv7()
    db.query("insert into project (id, name, created_at) values (?, ?, 0)").run(id, `project-${i}`)
    return id
  })
  setPersona(db, { text: "Senior engineer; answers with code first, then the reason. Prefers small changes with tests.", project: null, actor: "user" }, { now: 0 })
  const memories: NewMemory[] = Array.from({ length: count }, (_, i) => ({
    text: `The ${pick(SUBJECTS)} of module ${Math.floor(random() * count)} ${pick(VERBS)} ${pick(OBJECTS)} ${pick(REASONS)} (${pick(SUBJECTS)} ticket ${i})`,
    kind: pick(KINDS),
    project: random() < 0.1 ? null : pick(projects),
    created_at: Date.UTC(2026, 0, 1) + i * 60_000,
  }))
  for (let i = 0; i < memories.length; i += 5000) rememberMany(db, memories.slice(i, i + 5000), { now: Date.now() })
  const rules = ["Never commit .env files", "Write commit messages in Conventional Commits format", "Run the linter before every commit", "Prefer pnpm over npm"]
  rememberMany(db, rules.map((text) => ({ text, kind: "rule" })), { now: Date.now() })
  db.run("pragma wal_checkpoint(truncate)")
  db.close()
}

/** Park-Miller: the same numbers on every machine. */
function lehmer(seed: number): () => number {
  let state = seed % 2147483647
  return () => (state = (state * 48271) % 2147483647) / 2147483647
}
