import memories from "./migrations/0001-memories.sql" with { type: "text" }

/** In order; only ever added to. Migration n brings schema n to n + 1. */
export const migrations: readonly string[] = [memories]
