/** How much is loaded for a run, from nothing to everything. */
export const MODES = ["bypass", "minimal", "balanced", "complete", "adaptive"] as const
export type Mode = (typeof MODES)[number]
