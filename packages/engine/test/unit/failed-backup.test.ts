import { expect, test } from '@jest/globals';
import { failedBackup } from '../../src/cli/failed-backup.ts';
import { EXIT, OperatorError } from '../../src/model/errors.ts';

const failure = (exitCode: OperatorError['exitCode']) =>
  new OperatorError('CODE', 'why', { exitCode, hint: 'what to do', details: ['one'] });

test.each([EXIT.precondition, EXIT.docker, EXIT.unhealthy, EXIT.schema])(
  'exit %d becomes 9, the rest stays',
  (exitCode) => {
    expect(failedBackup(failure(exitCode))).toMatchObject({
      code: 'CODE',
      message: 'why',
      exitCode: 9,
      hint: 'what to do',
      details: ['one'],
    });
  },
);

test.each([EXIT.locked, EXIT.interrupted, EXIT.usage])('exit %d stays', (exitCode) => {
  expect(failedBackup(failure(exitCode)).exitCode).toBe(exitCode);
});

test('a lost connection and a full disk are failures of the backup, an unknown error is our bug', () => {
  expect(failedBackup(new Error('Connection terminated unexpectedly')).exitCode).toBe(9);
  expect(failedBackup(Object.assign(new Error('no space'), { code: '53100' })).exitCode).toBe(9);
  expect(failedBackup(new TypeError('x is not a function')).exitCode).toBe(1);
});
