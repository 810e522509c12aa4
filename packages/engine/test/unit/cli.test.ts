import { describe, expect, test } from '@jest/globals';
import { ConfigurationIncomplete, Secret, WrongEncryptionKey } from '@kg-operator/config';
import { composeArgv, parseDeclaredServices } from '../../src/adapters/compose.ts';
import { healthOf } from '../../src/adapters/docker.ts';
import { errorDocument, toOperatorError } from '../../src/cli/errors.ts';
import { chooseRenderer } from '../../src/cli/render.ts';
import { collectSetup } from '../../src/cli/setup.ts';
import { OperatorError } from '../../src/model/errors.ts';

describe('errors', () => {
  test('each expected failure has its exit code and a next command', () => {
    const incomplete = toOperatorError(
      new ConfigurationIncomplete([{ item: 'admin user', command: './operator.sh config admin' }]),
    );
    expect(incomplete).toMatchObject({
      exitCode: 4,
      details: ['admin user is missing: ./operator.sh config admin'],
    });
    expect(toOperatorError(new WrongEncryptionKey('a', 'b'))).toMatchObject({ exitCode: 4 });
    expect(
      toOperatorError(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })),
    ).toMatchObject({ exitCode: 7 });
    expect(
      toOperatorError(Object.assign(new Error('Nonexistent flag'), { oclif: { exit: 2 } })),
    ).toMatchObject({ exitCode: 2 });
    for (const [code, exitCode, name] of [
      ['57P01', 7, 'DATABASE_UNREACHABLE'],
      ['57P02', 7, 'DATABASE_UNREACHABLE'],
      ['57P03', 7, 'DATABASE_UNREACHABLE'],
      ['53100', 3, 'DISK_FULL'],
    ] as const)
      expect(toOperatorError(Object.assign(new Error('of the server'), { code }))).toMatchObject({
        exitCode,
        code: name,
      });
    expect(toOperatorError(new TypeError('x is undefined'))).toMatchObject({ exitCode: 1, code: 'BUG' });
  });

  test('the JSON error holds what is allowed and nothing that hangs on the thrown value', () => {
    const thrown = Object.assign(new OperatorError('CODE', 'what', { exitCode: 3, hint: 'next' }), {
      parse: { input: { argv: ['hunter2'] } },
    });
    expect(errorDocument(toOperatorError(thrown))).toEqual({ code: 'CODE', message: 'what', hint: 'next' });
  });
});

describe('chooseRenderer', () => {
  const terminal = { json: false, quiet: false, isTTY: true, CI: undefined, TERM: 'xterm' };
  test.each([
    [terminal, 'default'],
    [{ ...terminal, json: true }, 'silent'],
    [{ ...terminal, quiet: true }, 'silent'],
    [{ ...terminal, isTTY: false }, 'simple'],
    [{ ...terminal, CI: 'true' }, 'simple'],
    [{ ...terminal, TERM: 'dumb' }, 'simple'],
  ])('%j: %s', (where, renderer) => expect(chooseRenderer(where)).toBe(renderer));
});

describe('compose', () => {
  test('argv: no dependency is started along, no image built, no value interpolated', () => {
    expect(composeArgv.up(['api'])).toEqual([
      'compose',
      '--progress',
      'plain',
      'up',
      '--detach',
      '--no-deps',
      '--no-build',
      'api',
    ]);
    expect(composeArgv.createCopies('api', 2)).toEqual([
      'compose',
      '--progress',
      'plain',
      'up',
      '--no-start',
      '--no-deps',
      '--no-build',
      '--pull',
      'never',
      '--no-recreate',
      '--scale',
      'api=2',
      'api',
    ]);
    expect(composeArgv.config()).toEqual(['compose', 'config', '--no-interpolate', '--format', 'json']);
  });

  test('services say their layer and update policy in labels', () => {
    const labels = { 'kg-operator.layer': 'schema', 'kg-operator.update': 'managed' };
    expect(
      parseDeclaredServices(JSON.stringify({ services: { migrate: { labels, restart: 'no' } } })),
    ).toEqual([{ name: 'migrate', layer: 'schema', update: 'managed', oneShot: true, optional: false }]);
    expect(() => parseDeclaredServices(JSON.stringify({ services: { mystery: {} } }))).toThrow(
      /mystery lacks a label/,
    );
  });

  test.each([
    ['Up 3 minutes (healthy)', 'healthy'],
    ['Up 3 minutes (unhealthy)', 'unhealthy'],
    ['Up 1 second (health: starting)', 'starting'],
    ['Up 3 minutes', 'none'],
    ['Exited (1) 2 hours ago', 'none'],
  ])('health of "%s": %s', (status, health) => expect(healthOf(status)).toBe(health));
});

describe('collectSetup', () => {
  const flags = {
    'admin-username': 'admin',
    'admin-password-file': undefined,
    'ai-provider': undefined,
    'ai-model': undefined,
    'ai-base-url': undefined,
    'ai-key-file': undefined,
    embedding: undefined,
  };

  test.each([
    [{ 'admin-username': 'Not A Name' }, 'USERNAME_INVALID'],
    [{ 'ai-base-url': 'ftp://x' }, 'URL_INVALID'],
    [{ 'ai-base-url': 'https://user:pass@x/v1' }, 'URL_INVALID'],
    [{ 'admin-password-file': '/nowhere/at/all' }, 'SECRET_UNREADABLE'],
  ])('bad input is refused before anything starts: %j', async (change, code) => {
    await expect(collectSetup({ ...flags, ...change })).rejects.toMatchObject({ code, exitCode: 2 });
  });

  test('a short password is refused without being repeated', async () => {
    process.env.KG_ADMIN_PASSWORD = 'short-one';
    try {
      const failure = await collectSetup(flags).catch((error) => error);
      expect(failure).toMatchObject({ code: 'PASSWORD_INVALID' });
      expect(`${failure.message} ${failure.hint}`).not.toContain('short-one');
    } finally {
      delete process.env.KG_ADMIN_PASSWORD;
    }
  });

  test('a Secret never prints itself', () => {
    const secret = new Secret('hunter2');
    expect(`${secret} ${JSON.stringify({ secret })}`).not.toContain('hunter2');
  });
});
