import { expect, test } from '@jest/globals';
import { providerError, tidy } from '../../src/extract/extractor.ts';
import { relationId } from '../../src/graph.ts';
import { findGraph } from '../ai-server.ts';

test("tidies a model's answer: names one way, each thing once, every end a concept, nothing empty or overlong", () => {
  expect(
    tidy({
      concepts: [
        { name: ' Ada\nLovelace', description: 'first' },
        { name: 'Ada Lovelace', description: ' ' },
        { name: '', description: 'nothing' },
        { name: 'x'.repeat(201), description: '' },
      ],
      relations: [
        { from: 'Ada Lovelace', to: 'Engine', type: 'wrote for' },
        { from: 'Ada  Lovelace', to: 'Engine', type: 'wrote  for' },
        { from: 'Ada Lovelace', to: '', type: 'wrote' },
        { from: 'Ada Lovelace', to: 'Engine', type: 'y'.repeat(101) },
      ],
    }),
  ).toEqual({
    concepts: [{ name: 'Ada Lovelace', description: 'first' }, { name: 'Engine' }],
    relations: [{ from: 'Ada Lovelace', to: 'Engine', type: 'wrote for' }],
  });
});

test('a lone surrogate or NUL in an answer becomes something that can be stored', () => {
  const { concepts } = tidy({ concepts: [{ name: 'a\ud800\0b', description: '\udfff' }], relations: [] });
  expect(concepts).toEqual([{ name: 'a\ufffd b', description: '\ufffd' }]);
});

test.each([
  [{ status: 401 }, 'provider_refused_key'],
  [{ status: 403 }, 'provider_refused_key'],
  [{ status: 404 }, 'provider_model_unknown'],
  [{ status: 429 }, 'provider_busy'],
  [{ status: 400 }, 'provider_refused_request'],
  [{ status: 503 }, 'provider_failed'],
  [{ timedOut: true, unreachable: true }, 'provider_timeout'],
  [{ unreachable: true }, 'provider_unreachable'],
  [{}, 'provider_answer_unusable'],
])('failure %j is %s', (failure, code) => {
  const base = {
    provider: 'P',
    model: 'm',
    timeoutMs: 1000,
    status: undefined,
    timedOut: false,
    unreachable: false,
  };
  expect(providerError({ ...base, ...failure, cause: new Error('says the key') })).toMatchObject({
    code,
    message: expect.not.stringContaining('says'),
  });
});

test('different relations have different ids', () => {
  expect(relationId({ from: 'a|b', type: 'c', to: 'd' })).not.toBe(
    relationId({ from: 'a', type: 'b|c', to: 'd' }),
  );
});

test('the AI test server finds names and what connects them', () => {
  expect(findGraph('Ada Lovelace wrote programs for the Analytical Engine. Rome.')).toEqual({
    concepts: [
      { name: 'Ada Lovelace', description: expect.any(String) },
      { name: 'Analytical Engine', description: expect.any(String) },
      { name: 'Rome', description: 'Rome.' },
    ],
    relations: [{ from: 'Ada Lovelace', to: 'Analytical Engine', type: 'wrote programs for the' }],
  });
});
