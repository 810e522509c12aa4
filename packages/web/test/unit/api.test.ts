import { expect, test } from '@jest/globals';
import { failure } from '../../src/api.ts';

test.each([
  [
    'of the API',
    502,
    { error: { code: 'x', message: 'The provider is busy.', documentId: 'd' } },
    'The provider is busy.',
  ],
  [
    'of the token endpoint',
    400,
    { error: 'invalid_grant', error_description: 'Wrong password.' },
    'Wrong password.',
  ],
  ['of a gateway', 502, null, 'The server is not ready. It may be starting; try again in a moment.'],
  ['without words', 500, {}, 'Fallback.'],
])('an error %s is readable', (_, status, answer, message) => {
  expect(failure(status, answer, 'Fallback.')).toMatchObject({ status, message });
});

test('a text that was stored before the failure can be found again', () => {
  expect(failure(502, { error: { message: 'm', documentId: 'd' } }, '').documentId).toBe('d');
});
