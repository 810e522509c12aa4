import { expect, test } from '@jest/globals';
import { extractByRules } from '../../src/extract/local.ts';

const relations = (text: string) =>
  extractByRules(text).relations.map(({ from, type, to }) => `${from} | ${type} | ${to}`);
const names = (text: string) => extractByRules(text).concepts.map(({ name }) => name);

test('names become concepts, the words between two of them a relation', () => {
  expect(relations('Grace Hopper built the first Compiler for Univac.')).toEqual([
    'Grace Hopper | built the first | Compiler',
    'Compiler | for | Univac',
  ]);
  expect(names('Mr. Fogg met the Queen of England. Dr. Watson did not.')).toEqual([
    'Fogg',
    'Queen of England',
    'Watson',
  ]);
});

test('a list relates its subject to every item', () => {
  expect(relations('Jane Austen wrote Emma, Persuasion and Sanditon.')).toEqual([
    'Jane Austen | wrote | Emma',
    'Jane Austen | wrote | Persuasion',
    'Jane Austen | wrote | Sanditon',
  ]);
});

test('the capital at the beginning of a sentence does not make a name', () => {
  expect(names('Everything flows. The river is long. Perhaps nobody knows.')).toEqual([]);
});

test('a concept is described by the sentence it first appears in', () => {
  expect(extractByRules('We like tea. Yes, Ada Lovelace\n likes  it too.').concepts).toEqual([
    { name: 'Ada Lovelace', description: 'Yes, Ada Lovelace likes it too.' },
  ]);
});

test('no relation across a sentence or a break in it', () => {
  expect(relations('We saw Rome. Then Paris. In Bern (not Basel) it rained: Zurich was dry.')).toEqual([]);
});

test('the same text gives the same graph, and a long one a bounded one, quickly', () => {
  const letters = 'abcdefghij';
  const name = (n: number) => `Q${[...String(n)].map((digit) => letters[Number(digit)]).join('')}`;
  const text = Array.from({ length: 12_000 }, (_, n) => `we know ${name(n)} knows ${name(n + 1)}.`).join(' ');
  const started = performance.now();
  const found = extractByRules(text);
  expect(performance.now() - started).toBeLessThan(3_000);
  expect(found.concepts).toHaveLength(200);
  expect(found.relations.length).toBeLessThanOrEqual(400);
  expect(extractByRules(text)).toEqual(found);
});

test.each(['', '   ', '…', 'Ж'.repeat(1000), "O'".repeat(20_000), 'A.'.repeat(20_000), 'A '.repeat(40_000)])(
  'odd text is no trouble',
  (text) => {
    expect(extractByRules(text).relations).toEqual([]);
  },
);
