/**
 * Secrets never reach the disk. What is recognised is replaced by a mark that names its kind, `[redacted: aws-key]`,
 * and what stands between `<private>` and `</private>` is dropped.
 *
 * A token with a prefix of its own is always a secret. Anything else is one only where it is given to a name that looks
 * secret, or where it is given to any name and is random; prose, code that refers to a secret, placeholders, paths,
 * hashes and ids stay as they are. Every pattern takes linear time: what may repeat without end is never followed by
 * something that must come.
 */
export interface Redaction {
  /** The word in the mark: `private-key`, `github-token`, `bearer`, `url-password`, `assignment`, `private`, … */
  kind: string
  count: number
}

/** A replaced secret may stand where it makes another one visible; texts settle in two or three passes. */
const PASSES_MAX = 8

/** The text without its secrets, and how many of each kind were found. Redacting twice changes nothing more. */
export function redact(text: string): { text: string; redactions: Redaction[] } {
  const counts = new Map<string, number>()
  const found: Found = (kind) => {
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
    return `[redacted: ${kind}]`
  }
  let result = dropPrivate(text, found)
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    const before = result
    result = redactWebTokens(result, found)
    result = redactPrivateKeys(result, found)
    result = redactTokens(result, found)
    result = redactHeaders(result, found)
    result = redactUrls(result, found)
    result = redactAssignments(result, found)
    if (result === before) break
  }
  return { text: result, redactions: [...counts].map(([kind, count]) => ({ kind, count })) }
}

/** Counts a secret and gives the mark that replaces it. */
type Found = (kind: string) => string

/** Nested blocks end with the outermost; an open one ends with the text. What is left may not join to a new tag. */
function dropPrivate(text: string, found: Found): string {
  let kept = ""
  let keptTo = 0
  let depth = 0
  for (const tag of text.matchAll(/<(\/?)private>/gi)) {
    const opens = tag[1] === ""
    if (depth === 0 && !opens) continue
    if (depth === 0) {
      kept += apart(kept, text.slice(keptTo, tag.index))
      found("private")
    }
    depth += opens ? 1 : -1
    keptTo = tag.index + tag[0].length
  }
  if (keptTo === 0) return text
  return depth > 0 ? kept : kept + apart(kept, text.slice(keptTo))
}

function apart(before: string, after: string): string {
  return before === "" || after === "" || /\s/.test(before.at(-1) ?? "") || /^\s/.test(after) ? after : ` ${after}`
}

/** The frames of PEM, OpenSSH, SSH2 and PGP keys, and the line of a PuTTY file that its private part follows. */
const KEY_FRAME =
  /-{4,5} ?(BEGIN|END) (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)? ?-{4,5}|(Private-Lines): ?\d{1,4}(?=[\r\n\\])/g

/** What a key without an end has: its headers, long runs of base64, and a short run at the end of a line. */
const KEY_BODY = new RegExp(
  [
    String.raw`(?:(?:\s|\\[rn])*(?:`,
    String.raw`(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|MessageID):[^\n\\]*`,
    String.raw`|[A-Za-z0-9+/=]{16,}`,
    String.raw`|[A-Za-z0-9+/=]{1,15}(?=\r?\n|$|["'\\])`,
    String.raw`))*`,
  ].join(""),
  "y",
)

function redactPrivateKeys(text: string, found: Found): string {
  const frames = [...text.matchAll(KEY_FRAME)]
  let result = ""
  let keptTo = 0
  for (const [index, frame] of frames.entries()) {
    if (frame[1] === "END") continue
    const bodyStart = frame.index + frame[0].length
    const next = frames[index + 1]
    let end: number
    if (frame[1] === "BEGIN" && next?.[1] === "END") {
      end = next.index + next[0].length
    } else {
      KEY_BODY.lastIndex = bodyStart
      end = bodyStart + (KEY_BODY.exec(text)?.[0].length ?? 0)
    }
    // A sentence about such a line holds no key.
    if (!/[A-Za-z0-9+/]{16}/.test(text.slice(bodyStart, end).replace(KEY_FRAME, ""))) continue
    result += text.slice(keptTo, frame.index) + found("private-key")
    keptTo = end
  }
  return result + text.slice(keptTo)
}

/** Tokens known by their own form. A left border is asked for only where the prefix is short enough to end a word. */
const TOKENS: [kind: string, pattern: RegExp][] = [
  ["age-key", /AGE-SECRET-KEY-1[A-Z0-9]{40,}/gi],
  // Not within base64 of something else, where these four letters come up by chance.
  ["aws-key", /(?<![A-Za-z0-9+/]{16})(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16,}/g],
  ["aws-key", /(?<=secret_?access_?key["'\s:=]{1,8})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])/gi],
  ["anthropic-key", /sk-ant-[A-Za-z0-9_-]{16,}/g],
  ["openai-key", /sk-(?:proj|svcacct|admin|None|or-v1|lf)-[A-Za-z0-9_-]{16,}/g],
  ["openai-key", /(?<![A-Za-z])sk-(?=[A-Za-z]{0,40}\d)[A-Za-z0-9]{20,}/g],
  ["github-token", /gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}/g],
  ["gitlab-token", /gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct|oas)-[A-Za-z0-9_=-]{20,}(?:\.[A-Za-z0-9_.=-]+)?/g],
  ["slack-token", /xox[a-z][-.](?=[A-Za-z.-]{0,20}\d)[A-Za-z0-9.-]{10,}|xapp-\d-[A-Za-z0-9-]{10,}/g],
  ["slack-webhook", /(?<=hooks\.slack\.com\/(?:services|workflows|triggers)\/)[A-Za-z0-9+/_-]{20,}/g],
  ["discord-webhook", /(?<=discord(?:app)?\.com\/api\/webhooks\/)\d{5,}\/[A-Za-z0-9_-]{20,}/g],
  ["stripe-key", /(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}/g],
  ["google-key", /AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}/g],
  ["google-key", /(?<![A-Za-z0-9/])1\/\/0[A-Za-z0-9_-]{30,}/g],
  ["npm-token", /npm_[A-Za-z0-9]{30,}/g],
  ["pypi-token", /pypi-Ag[A-Za-z0-9_-]{30,}/g],
  ["huggingface-token", /hf_[A-Za-z0-9]{30,}|api_org_[A-Za-z0-9]{30,}/g],
  ["digitalocean-token", /do[opr]_v1_[a-f0-9]{40,}/g],
  ["sendgrid-key", /SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}/g],
  ["twilio-key", /(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![A-Za-z0-9])/g],
  ["telegram-token", /(?<!\d)\d{8,10}:AA[A-Za-z0-9_-]{33,}/g],
  ["azure-key", /(?<=(?:AccountKey|SharedAccessKey|SharedSecretValue)=)[A-Za-z0-9+/]{20,}={0,2}/gi],
  ["azure-key", /(?<=[?&;]sig=)[A-Za-z0-9%+/]{30,}={0,2}/g],
  ["azure-key", /[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{30,}/g],
  ["vault-token", /(?<![A-Za-z0-9])hv[sbr]\.[A-Za-z0-9_-]{20,}/g],
  ["doppler-token", /(?<![A-Za-z0-9])dp\.(?:pt|ct|sa|st|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{20,}/g],
  ["linear-key", /lin_(?:api|oauth)_[A-Za-z0-9]{20,}/g],
  [
    "token",
    new RegExp(
      `(?:${[
        "dckr_[op]at_|gsk_|pplx-|xai-|r8_|ntn_|figd_|gls?[ac]_|sbp_|sb_secret_|nfp_|sntrys_|sntryu_|rubygems_",
        "shp(?:at|ca|pa|ss)_|pscale_(?:tkn|pw|oauth)_|tskey-[a-z]{2,12}-|NRAK-|PMAK-|HRKU-|A[TC][AC]TT3|fo1_|fm[12]_",
        "sq0[a-z]{3}-|shippo_live_|cfut_|cfat_",
      ].join("|")})[A-Za-z0-9_-]{20,}`,
      "g",
    ),
  ],
  [
    "token",
    /(?<![A-Za-z0-9])(?:(?:dapi|key-)[0-9a-f]{32}|[0-9a-f]{32}-us\d{1,2}|oy2[a-z0-9]{43})(?![A-Za-z0-9])/g,
  ],
]

function redactTokens(text: string, found: Found): string {
  return TOKENS.reduce((result, [kind, pattern]) => result.replace(pattern, () => found(kind)), text)
}

/** JWT (header and claims both begin with `{"`) and JWE (header and four more parts). */
function redactWebTokens(text: string, found: Found): string {
  if (!text.includes("eyJ")) return text
  return text.replace(/(?<![A-Za-z0-9_-])[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)+/g, (dotted) => {
    const parts = dotted.split(".")
    const header = parts.findIndex(
      (part, index) =>
        /eyJ[A-Za-z0-9_-]{8}/.test(part) &&
        (/^eyJ[A-Za-z0-9_-]{5}/.test(parts[index + 1] ?? "") || parts.length >= index + 5),
    )
    if (header === -1) return dotted
    const before = parts.slice(0, header).map((part) => `${part}.`)
    const glued = parts[header]?.split("eyJ", 1)[0] ?? ""
    return before.join("") + glued + found("jwt")
  })
}

/** `Authorization: Bearer …` and what else says by its form that a credential follows; the first group stays. */
const AUTHORIZATION =
  /(authorization\\{0,3}["']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,3}["']?(?:bearer|basic|token|digest|apikey|negotiate|bot|key)[ \t]{1,4})([^\s"'`\\,;<>()]+)/gi
const BEARER = /(\bbearer[ \t]{1,4})([A-Za-z0-9._~+/=-]{16,})/gi
const CURL_USER = /((?<=\s)(?:-u|--user|--proxy-user)[ =]?["']?[^\s:"']{1,64}:)([^\s"']{3,})/g
const SSHPASS = /(\bsshpass[ \t]{1,4}-p[ \t]{0,4}["']?)([^\s"']{3,})/g
const NETRC =
  /(\b(?:machine\s{1,4}[^\s]{1,253}|default)\s{1,4}login\s{1,4}[^\s]{1,64}\s{1,4}password\s{1,4})([^\s"']{3,})/g
const LOGIN = /(\blogin(?:[ \t][^\s;|&]{1,60}){0,6}?[ \t]-p[ =]["']?)([^\s"';|&]{3,})/g
const MYSQL = /(\bmysql(?:dump|admin)?\b[^\n]{0,80}?[ \t]-p["']?)([^\s"']{3,})/g
const SQL = /(\b(?:identified by|password)[ \t]{1,4}')([^'\s]{3,128})(?=')/gi

function redactHeaders(text: string, found: Found): string {
  const replace = (kind: string, isSecret: (value: string) => boolean) => (all: string, head: string, value: string) =>
    isSecret(value) ? head + found(kind) : all
  const given = replace("assignment", (value) => !isPlaceholder(value))
  return text
    .replace(AUTHORIZATION, replace("bearer", (value) => isCredential(value, 6)))
    .replace(BEARER, replace("bearer", (value) => isCredential(value, 16)))
    .replace(CURL_USER, (all: string, head: string, value: string, offset: number, whole: string) =>
      /\bcurl\b[^\n]*$/.test(whole.slice(Math.max(0, offset - 200), offset)) ? given(all, head, value) : all,
    )
    .replace(SSHPASS, given)
    .replace(NETRC, given)
    .replace(LOGIN, replace("assignment", (value) => !isPlaceholder(value) && !NUMBER.test(value)))
    .replace(MYSQL, replace("assignment", (value) => !isPlaceholder(value) && isUnlikeWords(value, 4)))
    .replace(SQL, given)
}

/** What follows `Bearer`: letters with digits or of both cases, and neither a word of a sentence nor a stand-in. */
function isCredential(value: string, lengthMin: number): boolean {
  if (value.length < lengthMin || isPlaceholder(value)) return false
  if (WORDS.test(value)) return value.includes(".", 1) && !/[.!?:]$|token|key|secret/i.test(value)
  return /\d/.test(value) ? /[A-Za-z]/.test(value) || value.length >= 16 : /[a-z]/.test(value) && /[A-Z]/.test(value)
}

const URL_PASSWORD = /(:\/\/[^\s:@/?#"'`<>]{0,256}:)([^\s/?#"'`<>]{1,256})(?=@)/g
/** A password that nobody escaped holds `/`, `?` or `#`; then a host must follow, or it is a path with an `@`. */
const URL_RAW_PASSWORD =
  /(:\/\/[^\s:@/?#"'`<>]{1,256}:)([^\s@"'`<>]{1,256})(?=@[A-Za-z0-9][A-Za-z0-9.-]{0,100}(?::\d|[/\s?]|$))/g
const URL_TOKEN = /(:\/\/)([A-Za-z0-9_-]{20,256})(?=@)/g

function redactUrls(text: string, found: Found): string {
  const password = (all: string, head: string, value: string): string =>
    isTemplate(value) || /^\d{1,5}(?:[/?#]|$)/.test(value) ? all : head + found("url-password")
  return text
    .replace(URL_PASSWORD, password)
    .replace(URL_RAW_PASSWORD, password)
    .replace(URL_TOKEN, (all, head: string, value: string) =>
      isRandom(value) || /^[0-9a-f]{32,}$/.test(value) ? head + found("url-password") : all,
    )
}

/**
 * `NAME=value`, `name: "value"`, `"name": "value"`, `name := value`, `--name value`, `the password is value`, and the
 * pair `name: NAME` / `value: …`. A name is read from its border so that a long run is looked at once.
 */
const ASSIGNMENT = new RegExp(
  [
    String.raw`(?<![A-Za-z0-9_.-])(?<name>(?:(?:api|access|secret|private|auth)[ \t])?[A-Za-z0-9_.-]+)`,
    String.raw`(?:`,
    // The quote, bracket or emphasis that closes the name, a type, and the sign.
    String.raw`["'\x60\]\\*)]{0,5}(?::[ \t]{0,4}[A-Za-z_<>\[\]&]{1,24}[ \t]{0,4}(?==))?`,
    String.raw`(?<sign>[ \t]{0,4}(?::=|=>|={1,3}|:)\*{0,2}[ \t]{0,4})`,
    String.raw`|(?<pair>["'\x60\\]{0,4}[\s,]{1,20}["'\\]{0,4}value["'\\]{0,4}[ \t]{0,4}[:=][ \t]{0,4})`,
    // What it is for, in up to four words.
    String.raw`|(?<verb>(?:[ \t]{1,2}(?:for|of|on|to|in)(?:[ \t]{1,2}[^\s]{1,40}){1,4}?)?`,
    String.raw`[ \t]{1,2}(?:is|was|changed to|set to)(?: now)?:?[ \t]{1,2})`,
    String.raw`|(?<flag>[ \t]{1,4})`,
    String.raw`)`,
  ].join(""),
  "gi",
)

/** How much of a value is looked at to judge it; all of it is replaced. */
const JUDGED_CHARACTERS_MAX = 512

function redactAssignments(text: string, found: Found): string {
  const valueAt = valueReader(text)
  let result = ""
  let keptTo = 0
  ASSIGNMENT.lastIndex = 0
  for (let match = ASSIGNMENT.exec(text); match !== null; match = ASSIGNMENT.exec(text)) {
    const { name = "", sign, pair, verb, flag } = match.groups ?? {}
    // Names follow each other (`env: TOKEN=x`, `run --token x`), so the next search begins right after this name.
    ASSIGNMENT.lastIndex = match.index + name.length
    if (flag !== undefined && !name.startsWith("--")) continue
    const nature = natureOf(name)
    if (nature === "plain" && sign === undefined) continue
    const inQuery = sign === "=" && "?&#;".includes(text.charAt(match.index - 1) || " ")
    const value = valueAt(match.index + match[0].length, inQuery)
    if (verb !== undefined && !value.quoted) value.end = sentenceEnd(text, value)
    const judged = text.slice(value.start, Math.min(value.end, value.start + JUDGED_CHARACTERS_MAX))
    const isSecret =
      nature === "plain"
        ? isRandomAssignment(name, judged)
        : isSecretValue(nature, judged, {
            written: pair !== undefined ? "pair" : verb !== undefined ? "verb" : flag !== undefined ? "flag" : "sign",
            tight: sign === "=",
            colon: sign?.startsWith(":") ?? false,
            capitals: /[A-Z]/.test(name) && !/[a-z]/.test(name),
            quoted: value.quoted,
            alone: isAlone(text, match.index, value.end),
          })
    if (!isSecret) continue
    result += text.slice(keptTo, value.start) + found(inQuery ? "url-parameter" : "assignment")
    keptTo = value.end
    ASSIGNMENT.lastIndex = value.end
  }
  return keptTo === 0 ? text : result + text.slice(keptTo)
}

interface Value {
  start: number
  end: number
  quoted: boolean
}

const OPENING_QUOTE = /[bru]?(\\{0,3}["'`])/y
const QUERY_VALUE = /[^\s&#"'`<>)\\]*/y
const BARE_VALUE = /(?:[^\s"'`\\]|\\(?![nrt"'`]))*/y

/** A quoted value ends at its quote (also an escaped one), a query parameter at `&`, any other at white space. */
function valueReader(text: string): (start: number, inQuery: boolean) => Value {
  // In `a=b=c=…` every value ends where the first does, which is looked for once.
  const queryEnd = runEnds(text, QUERY_VALUE)
  const bareEnd = runEnds(text, BARE_VALUE)
  return (start, inQuery) => {
    OPENING_QUOTE.lastIndex = start
    const open = OPENING_QUOTE.exec(text)
    const from = start + (open?.[0].length ?? 0)
    const close = open === null ? -1 : closingQuote(text, open[1] ?? "", from)
    if (close > from) return { start: from, end: close, quoted: true }
    return { start: from, end: inQuery ? queryEnd(from) : bareEnd(from), quoted: false }
  }
}

/** Where the run of the pattern ends that begins at `start`, without the brackets and commas that close the code around it. */
function runEnds(text: string, pattern: RegExp): (start: number) => number {
  let from = 0
  let end = 0
  let trimmed = 0
  return (start) => {
    if (start < from || start >= end) {
      pattern.lastIndex = start
      from = start
      end = start + (pattern.exec(text)?.[0].length ?? 0)
      trimmed = end
      while (trimmed > from && "),;]}>*".includes(text.charAt(trimmed - 1))) trimmed--
    }
    return Math.max(start, trimmed)
  }
}

function sentenceEnd(text: string, { start, end }: Value): number {
  while (end > start && ".,;:!?".includes(text.charAt(end - 1))) end--
  return end
}

/** Where the quote closes on this line, or -1. A plain quote may be escaped within. */
function closingQuote(text: string, quote: string, from: number): number {
  let at = text.indexOf(quote, from)
  while (quote.length === 1 && at > from && text.charAt(at - 1) === "\\") at = text.indexOf(quote, at + 1)
  return at !== -1 && text.slice(from, at).includes("\n") ? -1 : at
}

/** Whether the assignment has a line to itself, as in YAML. */
function isAlone(text: string, nameStart: number, valueEnd: number): boolean {
  const before = text.slice(Math.max(0, nameStart - 40), nameStart)
  const after = text.slice(valueEnd, valueEnd + 40)
  return /(?:^|\n)[ \t]*(?:- |export |"|')?$/.test(before) && /^["']?[ \t]*(?:[,;][ \t]*)?(?:#|\r?\n|$)/.test(after)
}

/** What the name says about its value. */
type Nature = "password" | "secret" | "token" | "plain"

const words = (list: string): Set<string> => new Set(list.split(" "))
/** Whose key is secret; a primary, foreign or cache key is not. */
const KEY_OWNERS = words(
  "api access private secret encryption signing auth service master account deploy ssh session shared license admin storage webhook hmac",
)
const NEUTRAL_ENDINGS = words(
  "prod production dev development test testing staging live local default value string str plain plaintext raw base b64 base64 old new current primary secondary root main backup env",
)
/** Whose tokens and passes are counted or drawn, not kept. */
const COUNTED = words(
  "max min num count total next page continuation design color css theme bos eos pad stop unk sep cls mask",
)

/** By the last word that says something: `DB_PASSWORD_PROD` is a password, `PASSWORD_MIN_LENGTH` is not. */
function natureOf(name: string): Nature {
  const tail = name.slice(-64)
  if (!/pass|pwd|psk|secret|token|key|cred|mnemonic/i.test(tail)) return "plain"
  const parts = tail
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "")
  while (parts.length > 1 && (NEUTRAL_ENDINGS.has(parts.at(-1) ?? "") || /^\d+$/.test(parts.at(-1) ?? ""))) parts.pop()
  const last = (parts.at(-1) ?? "").replace(/(?<=[a-z])\d+$/, "")
  const owner = parts.at(-2) ?? ""
  if (/(?:password|passwd|passphrase|passwort|passcode)$|^(?:pwd|psk|mnemonic)$/.test(last)) return "password"
  if (last === "pass" && parts.length > 1 && !COUNTED.has(owner)) return "password"
  if (last.endsWith("secret")) return "secret"
  if (last === "key" && KEY_OWNERS.has(owner)) return "token"
  if (/(?:api|access|private|secret|auth)key$/.test(last) || /^(?:credentials?|creds)$/.test(last)) return "token"
  if (last.endsWith("token") && !COUNTED.has(owner)) return "token"
  return "plain"
}

interface Style {
  written: "sign" | "pair" | "verb" | "flag"
  /** `=` without spaces. */
  tight: boolean
  colon: boolean
  capitals: boolean
  quoted: boolean
  alone: boolean
}

/** Words joined by dots, dashes or underscores: prose, a name, a reference in code. */
const WORDS = /^[A-Za-z]+(?:[-_./][A-Za-z]+)*[.!?:]?$/
const NUMBER =
  /^[~<>=#v+-]{0,2}\d[\d.,:_]*[-+]?(?:ms|s|m|h|d|k|kb|mb|gb|b|bits?|bytes?|chars?|characters?|min|x|px|%|r?em)?$/i
const TYPE =
  /^(?:string|str|text|number|int|integer|bool|boolean|null|none|nil|undefined|true|false|optional|required|any|object|bytes|varchar|unknown|void|never|secret|bearer|basic|hidden|disabled|enabled|empty|missing|invalid|expired)$/i
const ALGORITHM =
  /^(?:argon2|sha-?\d|md5|base\d|bcrypt|scrypt|pbkdf|[hrep]s(?:256|384|512)|utf|oauth|aes|ed25519|rsa|x509|http|1password|[a-z]+2fa)/i

/** Whether what a secret-looking name is given is the secret itself. */
function isSecretValue(nature: Nature, value: string, style: Style): boolean {
  if (value.length < 4 || isPlaceholder(value) || TYPE.test(value)) return false
  if (isRandom(value)) return true
  if (isPath(value) || /^[a-z][a-z0-9+.-]*:\/\//i.test(value)) return false
  const environment = style.capitals && (style.tight || style.written === "pair")
  if (NUMBER.test(value)) return nature === "password" && (style.tight || style.quoted) && /^\d{4,}$/.test(value)
  if (style.written === "verb") return isUnlikeWords(value, 6)
  if (!style.quoted && isCode(value)) return false
  if (/\s/.test(value)) return environment || isPassphrase(value)
  if (WORDS.test(value)) {
    if (environment) return true
    if (!style.quoted && /[a-z][A-Z]|\w\.\w/.test(value)) return false
    if (nature === "token" || value.length < 6) return false
    if (/pass|pwd|secret|token|key|string|env|config/i.test(value)) return false
    return style.quoted || style.tight || (nature === "password" && style.alone && style.colon)
  }
  if (style.quoted || style.tight || style.alone || style.written === "pair") return true
  return isUnlikeWords(value, 6)
}

/** In the middle of a sentence only what has letters and digits (or signs no word has) is taken for a secret. */
function isUnlikeWords(value: string, lengthMin: number): boolean {
  if (value.length < lengthMin || ALGORITHM.test(value) || isCode(value) || NUMBER.test(value)) return false
  return /[A-Za-z]/.test(value) && (/\d/.test(value) || /[!@#$%^&*=+~]/.test(value))
}

/** A quoted text of several words: a message about passwords is a sentence, a passphrase has digits or signs. */
function isPassphrase(value: string): boolean {
  return /[0-9!@#$%^&*]/.test(value) && value.split(/\s+/).length <= 4
}

/** A call, an index, a negation, a reference: code that has the secret from elsewhere. */
function isCode(value: string): boolean {
  const head = /^[A-Za-z_$][\w$.]*(?=[([{]|[?!][.[(]|::|->|=>)|^!+(?:\(|[A-Za-z_$][A-Za-z_$.]*$)/.exec(value)?.[0]
  return head !== undefined ? !isRandom(head) : REFERENCE.test(value)
}

const OWNERS = "process|os|env|self|this|config|settings|request|req|args|options|opts|params|props|state|ctx|secrets|vars"
const REFERENCE = new RegExp(String.raw`^(?:${OWNERS}|var|inputs|import|Deno|Bun|ENV|data)\.[\w.]*$`)

function isPath(value: string): boolean {
  return /^(?:\.{0,2}\/|~\/|[A-Za-z]:\\|@[\w./-]*\/)[\w.@~+\\/ -]*$/.test(value)
}

/** What stands for a value that is not there: `<your-token>`, `$TOKEN`, `${X}`, `{{ x }}`, `xxxx`, `changeme`. */
function isPlaceholder(value: string): boolean {
  return isTemplate(value) || STOCK_WORDS.test(value) || STOCK_PHRASE.test(value)
}

const STOCK_WORDS =
  /^(?:change[-_]?(?:me|it|this)|placeholder|example|dummy|todo|fixme|redacted|tbd|n\/a|foo|bar|baz|foobar|none|not[-_]set)!?$/i
const STOCK_PHRASE = /^(?:your|my|some|insert|enter|put|replace|add)[-_ ][A-Za-z_ -]*$/i

/** Our own mark, a variable, a template of any language, or one character again and again. */
function isTemplate(value: string): boolean {
  return VARIABLE.test(value) || /^(.)\1*$/su.test(value) || MASKED.test(value)
}

const VARIABLE =
  /^(?:\[redacted:|\$[A-Z_][A-Z0-9_]*$|\$[a-z_]+$|\$\{|\$\(|\$\$|<|\{|%[A-Za-z({]|#\{|!\w+$|&\w+$|\*\w+$|@\w+@$|\[[A-Za-z_ -]+\]$)/
const MASKED = /^(?:[xX*•.…_-]{3,}|\S{0,12}(?:x{4,}|X{4,}|\*{3,}|•{3,}|\.{3,}|…)\S{0,4})$/

/** Names whose random values are public: hashes, ids, places, public keys. */
const PUBLIC_NAME = new RegExp(
  [
    "(?:(?:sha|md)\\d*|hash|digest|checksum|fingerprint|integrity|etag|commit|rev|revision|version|ids?|u?uid|guid",
    "url|uri|href|src|path|file|cursor|cid|address|data|d|class|name)$",
    "pub(?:lic)?[-_.]?key",
  ].join("|"),
  "i",
)

function isRandomAssignment(name: string, value: string): boolean {
  return value.length >= 20 && !value.startsWith("//") && !PUBLIC_NAME.test(name) && isRandom(value)
}

/**
 * At least 20 characters of base64 or base64url with both cases and digits, in pieces too short for words, and with at
 * least 3.5 bits of entropy a character (random base62 of this length has about 4). Hex, UUIDs and ULIDs have one case.
 */
function isRandom(value: string): boolean {
  if (value.length < 20 || !/^[A-Za-z0-9+/_=.~%-]+$/.test(value)) return false
  if (!/[a-z]/.test(value) || !/[A-Z]/.test(value) || !/\d/.test(value)) return false
  if (/^sha\d{1,3}-|\.[a-z]{1,5}$/.test(value)) return false
  return piecesPerCharacter(value) >= 0.32 && entropyBits(value) >= 3.5
}

/** Words and numbers per character: random base62 has 0.55 (99 in 100 above 0.32), camelCase 0.2 to 0.3. */
function piecesPerCharacter(value: string): number {
  return (value.match(/[A-Z]?[a-z]+|[A-Z]+|\d+/g)?.length ?? 0) / value.length
}

/** Shannon's entropy in bits per character. */
function entropyBits(value: string): number {
  const counts = new Map<string, number>()
  for (const character of value) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / value.length) * Math.log2(count / value.length)
  return bits
}
