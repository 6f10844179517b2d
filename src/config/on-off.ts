/** 0, false, no, off and empty mean off; 1, true, yes and on mean on. */
export function onOff(value: unknown): boolean | undefined {
  if (typeof value === "boolean") return value
  const word = String(value ?? "?").trim().toLowerCase()
  if (["0", "false", "no", "off", ""].includes(word)) return false
  if (["1", "true", "yes", "on"].includes(word)) return true
  return undefined
}
