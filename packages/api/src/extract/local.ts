import { type Extraction, type Extractor, tidy } from './extractor.ts';

// What keeps a graph of a long text readable, and its transaction short.
const MAX_CONCEPTS = 200;
const MAX_RELATIONS = 400;
/** More words than this between two names seldom say how they relate. */
const MAX_BETWEEN = 6;
const MAX_QUOTE = 240;

/** Words that a sentence may begin with, and therefore with a capital, without being a name. */
const FUNCTION_WORDS = new Set(
  `a about above after again all also although among an and another any are as at because been before being below between both but by can
  certainly could did do does during each either even every few first for from had has have he hence her here hers his how however i if in
  indeed instead into is it its just last later less like many may me meanwhile might more moreover most much must my near neither never
  next no nor not nothing now of off often on once one only or other our out over own perhaps people rather several shall she should since
  so some soon still such than that the their them then there therefore these they this those though through thus to today together too
  two under until up upon us very was we were what when where whether which while who whom whose why will with within without would yes
  yet you your`.split(/\s+/),
);
/** Lower-case words that stand inside a name: "Bank of England", "Ludwig van Beethoven". */
const INSIDE_NAMES =
  '(?:of(?: the)?|de(?: la)?|del|della|di|da|du|des|van(?: der| den)?|von(?: der)?|zu|al|bin|ibn)';
const CAPITALISED = String.raw`\p{Lu}[\p{L}\p{M}\p{N}]*(?:['’.&-][\p{Lu}\p{Ll}][\p{L}\p{M}\p{N}]*)*`;
const NAME = new RegExp(
  String.raw`(?<![\p{L}\p{N}])(?:(?:Mr|Mrs|Ms|Dr|St|Prof)\.\s+)?${CAPITALISED}(?:\s+(?:${INSIDE_NAMES}\s+)?${CAPITALISED}){0,7}`,
  'gu',
);
/** Dropped from both ends of the words between two names. */
const EDGE_WORDS = new Set([
  'a',
  'an',
  'and',
  'but',
  'he',
  'her',
  'his',
  'it',
  'its',
  'or',
  'she',
  'the',
  'their',
  'they',
  'who',
]);

/**
 * Extraction by rules, without a provider or a key: a concept is a capitalised name, described by the sentence it first appears in; a
 * relation is the few words between two names of one sentence. The same text always gives the same graph. It understands nothing, and
 * knows no language well but English; it serves to try the platform out, and to test it.
 */
export function localExtractor(): Extractor {
  return { extract: async (text) => extractByRules(text) };
}

/** The rules themselves. Pure. */
export function extractByRules(text: string): Extraction {
  const sentences = splitSentences(text.normalize('NFC'));
  const inside = namesInsideSentences(sentences);
  const concepts = new Map<string, string>();
  const relations: Extraction['relations'] = [];
  for (const sentence of sentences) {
    const names = namesOf(sentence, inside);
    let last: { from: string; type: string } | undefined;
    for (const [index, { name, end }] of names.entries()) {
      if (concepts.size < MAX_CONCEPTS && !concepts.has(name)) concepts.set(name, quote(sentence));
      const next = names[index + 1];
      if (!next || next.name === name) continue;
      const between = sentence.slice(end, next.start);
      // A list goes on: "wrote Emma, Persuasion and Sanditon" relates the author to all three.
      const isList = /^\s*(?:,|(?:,\s*)?(?:and|or)(?:\s+the)?)\s*$/.test(between);
      const type = isList ? last?.type : relationType(between);
      const from = isList ? last?.from : name;
      last = from && type ? { from, type } : undefined;
      if (from && type && from !== next.name) relations.push({ from, to: next.name, type });
    }
  }
  const known = relations.filter(({ from, to }) => concepts.has(from) && concepts.has(to));
  return tidy({
    concepts: [...concepts].map(([name, description]) => ({ name, description })),
    relations: known.slice(0, MAX_RELATIONS),
  });
}

/** Sentences end at a full stop, question or exclamation mark before a capital (not after a title or an initial), a semicolon, or an empty line. */
function splitSentences(text: string): string[] {
  return text
    .split(/(?<=[.!?]["”’)]?)(?<!\b(?:Mr|Mrs|Ms|Dr|St|Prof|No|\p{Lu})\.)\s+(?=["“‘(]?\p{Lu})|;\s+|\n\s*\n/u)
    .map((sentence) => sentence.replace(/\s+/g, ' ').trim())
    .filter((sentence) => sentence !== '');
}

interface Found {
  name: string;
  start: number;
  end: number;
}

/** Names that stand somewhere else than at the beginning: there a capital means something. */
function namesInsideSentences(sentences: string[]): Set<string> {
  const names = sentences.flatMap((sentence) =>
    capitalised(sentence)
      .filter(({ start }) => !/^["“‘(]*$/.test(sentence.slice(0, start)))
      .map(({ name }) => name),
  );
  return new Set(names);
}

function namesOf(sentence: string, inside: Set<string>): Found[] {
  return capitalised(sentence).filter(({ name, start }) => {
    const isFirst = /^["“‘(]*$/.test(sentence.slice(0, start));
    return !isFirst || name.includes(' ') || inside.has(name) || /^\p{Lu}{2}/u.test(name);
  });
}

/** Runs of capitalised words, function words cut off their beginning ("The Reform Club" is "Reform Club"). */
function capitalised(sentence: string): Found[] {
  return [...sentence.matchAll(NAME)].flatMap(({ 0: run, index }) => {
    const title = /^(?:Mr|Mrs|Ms|Dr|Prof)\.\s+/.exec(run)?.[0] ?? '';
    let name = run.slice(title.length);
    let start = index + title.length;
    for (;;) {
      const [first = ''] = name.split(' ');
      if (!FUNCTION_WORDS.has(first.toLowerCase())) break;
      start += first.length + 1;
      name = name.slice(first.length + 1);
    }
    name = name.replace(/['’]s$/, '');
    return name.length > 1 ? [{ name, start, end: start + name.length }] : [];
  });
}

/** The words between two names as a relation's type, or nothing when they are too many or break off. */
function relationType(between: string): string | undefined {
  if (/[.;:!?—–()[\]"“”]|--/.test(between)) return undefined;
  const words = between
    .replace(/^['’]s\b/, 'of')
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  while (words.length > 0 && EDGE_WORDS.has(words[0] as string)) words.shift();
  while (words.length > 0 && EDGE_WORDS.has(words.at(-1) as string)) words.pop();
  if (words.length === 0 || words.length > MAX_BETWEEN) return undefined;
  return words.some((word) => /\p{L}/u.test(word)) ? words.join(' ') : undefined;
}

function quote(sentence: string): string {
  return sentence.length <= MAX_QUOTE ? sentence : `${sentence.slice(0, MAX_QUOTE - 1).trimEnd()}…`;
}
