import { argumentsOf } from "./channel.ts"
import type { Plan } from "./plan.ts"
import type { WrapRequest } from "./arguments.ts"

/** Prints the exact command line, the variables added, what comes before stdin, and the context with the file that holds it. */
export function printDryRun(request: WrapRequest, { injection, context, file, run, bypass, toolMark }: Plan): number {
  const argv = injection === null ? request.argv : argumentsOf(injection.argv, request.argv)
  const lines = [
    `command      ${argv.map(quote).join(" ")}`,
    ...Object.entries(injection?.environment ?? {}).map(([name, value]) => `environment  ${name}=${quote(value)}`),
    ...(toolMark === null ? [] : [`environment  NSWRAP_TOOL=${quote(toolMark)}`]),
    `directory    ${request.cwd}`,
    `tool         ${run.tool ?? `none known (${run.program})`}`,
    `mode         ${run.mode}${bypass === null ? "" : ` (${bypass})`}`,
    `project      ${run.project ?? "none"}`,
    `channel      ${injection?.channel ?? "none"}${injection?.usesArgv ? " (the text shows in the process list)" : ""}`,
    ...(injection?.stdinPrefix ? [`stdin        begins with the context (${injection.stdinPrefix.length} bytes)`] : []),
    ...(injection?.notice ? [`notice       ${injection.notice}`] : []),
    ...(run.reason === null ? [] : [`no context   ${run.reason}`]),
    ...(injection?.files ?? []).map(({ path }) => `file         ${path}`),
    ...(file === null ? [] : [`context      ${file} (${run.stable_tokens} + ${run.recalled_tokens} tokens)`]),
  ]
  const text = context?.text ?? ""
  console.log(lines.join("\n") + (text === "" || file === null ? "" : `\n\n${text.trimEnd()}`))
  return 0
}

function quote(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`
}
