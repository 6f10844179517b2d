/** What went wrong, in the words the edge needs: `usage` exits 2, everything else exits 1. */
export type ErrorCode = "usage" | "not-found" | "ambiguous" | "conflict" | "invalid" | "unavailable" | "outdated" | "internal"

/** The one error type of nswrap. `message` names the thing and the remedy, without the `nswrap: ` prefix. */
export class NswrapError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** Exit status of an error at the edge: 2 for wrong usage, 1 for the rest. */
export function exitStatus(error: unknown): 1 | 2 {
  return error instanceof NswrapError && error.code === "usage" ? 2 : 1
}

/** One line for stderr, prefixed, for any thrown value. */
export function errorLine(error: unknown): string {
  if (error instanceof NswrapError) return `nswrap: ${error.message}`
  const message = error instanceof Error ? error.message : String(error)
  return `nswrap: internal error: ${message}. Please report it; NS_DEBUG_PERF=1 shows where it happened`
}
