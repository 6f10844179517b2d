import { NswrapError } from "../errors.ts"

export type Environment = Record<string, string | undefined>

/** Every file nswrap reads or writes. `data` holds what must never be lost, `config` what the user edits. */
export interface Paths {
  data: string
  config: string
  /** Memories: synced on every commit. */
  database: string
  /** Samples and other things that can be rebuilt: not synced. */
  activity: string
  /** One JSON line per wrapped run, appended; folded into `activity` when somebody asks. */
  runs: string
  /** Rendered contexts, one file per content, 0600. */
  contexts: string
  /** A copy of the database before each migration. */
  backups: string
  configFile: string
}

/**
 * NS_HOME puts everything in one directory. Otherwise memories live in XDG_DATA_HOME and settings where NeuralSync
 * kept them (~/.neuralsync), because its uninstaller deletes that directory: settings can be written again, memories not.
 * @throws usage when neither NS_HOME nor HOME says where home is
 */
export function resolvePaths(env: Environment): Paths {
  const home = absolute(env["HOME"])
  const single = absolute(env["NS_HOME"])
  const share = absolute(env["XDG_DATA_HOME"]) ?? (home === null ? null : `${home}/.local/share`)
  const data = single ?? (share === null ? null : `${share}/nswrap`)
  const config = single ?? absolute(env["NS_CONFIG_DIR"]) ?? (home === null ? null : `${home}/.neuralsync`)
  if (data === null || config === null) throw new NswrapError("usage", "HOME is not set, so there is no place for memories; set HOME or NS_HOME")
  return {
    data,
    config,
    database: `${data}/memory.db`,
    activity: `${data}/activity.db`,
    runs: `${data}/runs.jsonl`,
    contexts: `${data}/context`,
    backups: `${data}/backups`,
    configFile: `${config}/config.yaml`,
  }
}

/** XDG says relative paths are to be ignored; so do we for HOME and NS_HOME, which would follow the working directory. */
function absolute(path: string | undefined): string | null {
  if (path === undefined || !path.startsWith("/")) return null
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path
}
