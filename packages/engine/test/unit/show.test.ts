import { describe, expect, test } from '@jest/globals';
import { age, minute } from '../../src/cli/age.ts';
import { describeEntry, showChanges } from '../../src/cli/show-changes.ts';
import { table } from '../../src/cli/table.ts';
import { commandActor } from '../../src/config/actor.ts';

test.each([
  [0, 'just now'],
  [59, 'just now'],
  [60, '1 minute ago'],
  [7199, '1 hour ago'],
  [86_400 * 3, '3 days ago'],
  [-30, 'just now'],
])('%i s before now is %s', (seconds, words) => {
  const now = new Date('2026-11-23T09:00:00Z');
  expect(age(new Date(now.getTime() - seconds * 1000), now)).toBe(words);
});

test('a column is as wide as what is seen of its widest cell', () => {
  expect(
    table(
      ['A', 'B'],
      [
        ['\u001b[32m✓\u001b[39m', 'x'],
        [' ', 'y'],
      ],
    ),
  ).toBe('A  B\n\u001b[32m✓\u001b[39m  x\n   y');
});

describe('a change in one line', () => {
  const entry = { topic: 'ai-provider', action: 'update', subject: 'openai' };
  test('what differs, in an order that does not depend on the database', () => {
    const before = { temperature: 0.2, active: true, model: 'a', provider: 'openai', baseUrl: null };
    const after = { ...before, model: 'b', temperature: undefined, maxTokens: 9, baseUrl: 'http://x' };
    expect(describeEntry({ ...entry, before, after })).toBe(
      'model a → b, base-url - → http://x, max-tokens - → 9, temperature 0.2 → -',
    );
  });

  test('of what is new, what was said; of what is gone, that it is', () => {
    const facts = { provider: 'openai', model: 'a', active: true, baseUrl: null, disabled: false };
    expect(describeEntry({ ...entry, before: null, after: facts })).toBe('model a');
    expect(describeEntry({ ...entry, before: facts, after: null })).toBe('gone');
  });

  test('time and actor stand once for all entries of a change', () => {
    const entries = [
      { ...entry, before: null, after: { model: 'a' } },
      { topic: 'api-key', action: 'create', subject: 'openai', before: null, after: { fingerprint: 'ff' } },
    ];
    const at = new Date('2026-11-23T09:12:33Z');
    const [, first, second] = showChanges([{ id: '1', at, actor: 'os:ada', entries }]).split('\n');
    expect(minute(at)).toBe('2026-11-23 09:12');
    expect(first).toMatch(/^2026-11-23 09:12 {2}os:ada {2}ai-provider {2}update {2}openai {3}model a$/);
    expect(second).toMatch(/^ {26}api-key /);
  });
});

test('the actor is who operator.sh says, without what would disturb a terminal, or who runs this', () => {
  expect(commandActor({ KG_ACTOR: 'ada' })).toBe('os:ada');
  expect(commandActor({ KG_ACTOR: 'a\u001b[31md\na' })).toBe('os:a31mda');
  expect(commandActor({})).toMatch(/^os:.+/);
});
