/**
 * Text to search terms, the same for memories and questions: NFKD without marks, lower case, possessives stripped, runs
 * of letters and digits, camelCase and snake_case parts and the whole, stop words out, Porter stems. Scripts written
 * without spaces (Chinese, Japanese, Thai …) become bigrams.
 */
export function analyse(text: string): string[] {
  const terms: string[] = []
  for (const word of words(text)) if (!STOP_WORDS.has(word)) terms.push(stem(word))
  return terms
}

/** The distinct terms of a question, each with the word it came from, to be shown to people. */
export function termWords(text: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const word of words(text)) {
    const term = STOP_WORDS.has(word) ? "" : stem(word)
    if (term !== "" && !found.has(term)) found.set(term, word)
  }
  return found
}

/** The distinct words of a text as written (lower case, stop words kept), to compare two texts by. */
export function tokenSet(text: string): Set<string> {
  return new Set(words(text))
}

/** Words that tell a tool what to do rather than what it is about: they match little and weigh little. */
export function isTaskWord(term: string): boolean {
  return TASK_STEMS.has(term)
}

/** Patterns of Unicode classes cost 1.5 ms to build, so they are made for the first text that is not ASCII. */
interface Patterns {
  word: RegExp
  caseChange: RegExp
  /** APIs, URLs, PRs: one word, though a capital stands before a small letter. */
  pluralAcronym: RegExp
}
const ASCII: Patterns = {
  word: /[A-Za-z0-9]+(?:[_'][A-Za-z0-9]+)*/g,
  caseChange: /(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/,
  pluralAcronym: /^[A-Z]{2,}s$/,
}
let anyScript: (Patterns & { marks: RegExp; unspaced: RegExp }) | null = null
const unicode = (): NonNullable<typeof anyScript> => ({
  word: /[\p{L}\p{N}]+(?:[_'’][\p{L}\p{N}]+)*/gu,
  caseChange: /(?<=\p{Ll}|\d)(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u,
  pluralAcronym: /^\p{Lu}{2,}s$/u,
  marks: /\p{M}+/gu,
  unspaced: /[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3400-\u9FFF\uF900-\uFAFF]/,
})
const WORD_LENGTH_MAX = 64

function* words(text: string): Generator<string> {
  if (isAscii(text)) return yield* wordsOf(text, ASCII)
  anyScript ??= unicode()
  const { marks, unspaced } = anyScript
  for (const word of wordsOf(text.normalize("NFKD").replace(marks, ""), anyScript)) {
    if (unspaced.test(word)) yield* bigrams(word)
    else yield word
  }
}

function* wordsOf(text: string, { word, caseChange, pluralAcronym }: Patterns): Generator<string> {
  for (const match of text.matchAll(word)) {
    const run = match[0].replace(/['’][sS]$/, "").replace(/['’]/g, "")
    if (run.length > WORD_LENGTH_MAX * 4) continue
    if ((run.includes("_") || caseChange.test(run)) && !pluralAcronym.test(run)) {
      for (const part of run.split("_").flatMap((piece) => piece.split(caseChange))) if (part !== "") yield part.toLowerCase().slice(0, WORD_LENGTH_MAX)
    }
    yield run.replaceAll("_", "").toLowerCase().slice(0, WORD_LENGTH_MAX)
  }
}

function* bigrams(run: string): Generator<string> {
  const characters = [...run]
  if (characters.length === 1) yield run
  for (let i = 0; i + 1 < characters.length; i++) yield characters[i]! + characters[i + 1]!
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}

const STOP_WORDS = new Set(
  ("a about above after again all also am an and any are aren as at be because been before being below between both but by can cannot could " +
    "couldn did didn do does doesn doing don down during each few for from further had hadn has hasn have haven having he her here hers herself him " +
    "himself his how i if in into is isn it its itself just let ll me more most my myself no nor not now of off on once only or other our ours " +
    "ourselves out over own please re s same she should shouldn so some such t than that the their theirs them themselves then there these they " +
    "this those through to too under until up us ve very was wasn we were weren what when where which while who whom why will with won would " +
    "wouldn you your yours yourself yourselves dont doesnt didnt cant wont isnt im ive id youre thats lets").split(" "),
)

/**
 * Porter's stemmer (M. F. Porter, An algorithm for suffix stripping, Program 14(3), 1980). Words with digits or outside
 * a-z are left as they are.
 */
export function stem(word: string): string {
  if (word.length < 3 || !/^[a-z]+$/.test(word)) return word
  const cached = stems.get(word)
  if (cached !== undefined) return cached
  const result = porter(word)
  if (stems.size < 20_000) stems.set(word, result)
  return result
}

const stems = new Map<string, string>()

const STEP2: [string, string][] = [
  ["ational", "ate"], ["tional", "tion"], ["enci", "ence"], ["anci", "ance"], ["izer", "ize"], ["abli", "able"], ["alli", "al"],
  ["entli", "ent"], ["eli", "e"], ["ousli", "ous"], ["ization", "ize"], ["ation", "ate"], ["ator", "ate"], ["alism", "al"],
  ["iveness", "ive"], ["fulness", "ful"], ["ousness", "ous"], ["aliti", "al"], ["iviti", "ive"], ["biliti", "ble"],
]
const STEP3: [string, string][] = [["icate", "ic"], ["ative", ""], ["alize", "al"], ["iciti", "ic"], ["ical", "ic"], ["ful", ""], ["ness", ""]]
const STEP4 = ["ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "ion", "al", "er", "ic", "ou"]

function porter(given: string): string {
  let w = given
  if (w.endsWith("sses") || w.endsWith("ies")) w = w.slice(0, -2)
  else if (w.endsWith("s") && !w.endsWith("ss")) w = w.slice(0, -1)

  if (w.endsWith("eed")) {
    if (measure(w.slice(0, -3)) > 0) w = w.slice(0, -1)
  } else {
    const cut = w.endsWith("ed") && hasVowel(w.slice(0, -2)) ? 2 : w.endsWith("ing") && hasVowel(w.slice(0, -3)) ? 3 : 0
    if (cut > 0) {
      w = w.slice(0, -cut)
      if (/(at|bl|iz)$/.test(w)) w += "e"
      else if (/([^aeiouylsz])\1$/.test(w)) w = w.slice(0, -1)
      else if (measure(w) === 1 && endsCvc(w)) w += "e"
    }
  }
  if (w.endsWith("y") && hasVowel(w.slice(0, -1))) w = `${w.slice(0, -1)}i`
  w = replaceSuffix(w, STEP2)
  w = replaceSuffix(w, STEP3)
  for (const suffix of STEP4) {
    if (!w.endsWith(suffix)) continue
    const base = w.slice(0, -suffix.length)
    if (measure(base) > 1 && (suffix !== "ion" || /[st]$/.test(base))) w = base
    break
  }
  if (w.endsWith("e")) {
    const base = w.slice(0, -1)
    const m = measure(base)
    if (m > 1 || (m === 1 && !endsCvc(base))) w = base
  }
  return w.endsWith("ll") && measure(w) > 1 ? w.slice(0, -1) : w
}

function replaceSuffix(w: string, table: [string, string][]): string {
  for (const [suffix, replacement] of table) {
    if (!w.endsWith(suffix)) continue
    const base = w.slice(0, -suffix.length)
    return measure(base) > 0 ? base + replacement : w
  }
  return w
}

/** Porter's m: how many vowel-consonant sequences; y is a vowel after a consonant. */
function measure(w: string): number {
  let m = 0
  let vowelBefore = false
  for (let i = 0; i < w.length; i++) {
    const vowel = isVowel(w, i)
    if (!vowel && vowelBefore) m++
    vowelBefore = vowel
  }
  return m
}

function isVowel(w: string, i: number): boolean {
  const c = w[i]!
  return "aeiou".includes(c) || (c === "y" && i > 0 && !isVowel(w, i - 1))
}

function hasVowel(w: string): boolean {
  for (let i = 0; i < w.length; i++) if (isVowel(w, i)) return true
  return false
}

function endsCvc(w: string): boolean {
  const n = w.length
  return n >= 3 && !isVowel(w, n - 1) && isVowel(w, n - 2) && !isVowel(w, n - 3) && !/[wxy]$/.test(w)
}

/** Stems, so that nothing has to be stemmed at start. */
const TASK_STEMS = new Set(
  ("fix bug issu problem error add creat make write implement build updat chang modifi improv refactor review explain show " +
    "tell find check help need want us run get set look try work doe file code function line thing wai question answer new " +
    "good best project task todai").split(" "),
)
