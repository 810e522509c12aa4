import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { docker, expectCode, type Result, run } from './command.ts';
import { ensureImage } from './images.ts';
import { until } from './wait.ts';

jest.setTimeout(600_000);

/** The production image of the API, started by hand: without compose, the engine or Garage. */
describe('the API alone', () => {
  const name = `kge2e-alone-${randomBytes(4).toString('hex')}`;
  const secrets = {
    POSTGRES_PASSWORD: randomBytes(24).toString('hex'),
    ENCRYPTION_KEY: randomBytes(32).toString('hex'),
    OAUTH_SIGNING_KEY: randomBytes(32).toString('hex'),
  };
  let images: { api: string; postgres: string; operator: string };

  beforeAll(async () => {
    images = {
      api: await ensureImage('api'),
      postgres: await ensureImage('postgres'),
      operator: await ensureImage('operator'),
    };
    await docker('network', 'create', '--internal', name);
    const started = await start('postgres', ['-d', '--name', name], secrets);
    expectCode(started);
    await until(
      'PostgreSQL is healthy',
      async () => (await docker('inspect', '-f', '{{.State.Health.Status}}', name)) === 'healthy',
    );
  });
  afterAll(async () => {
    await run('docker', ['rm', '-f', '-v', name]);
    await run('docker', ['network', 'rm', name]);
  });

  function start(
    image: keyof typeof images,
    flags: string[],
    env: Record<string, string>,
    command: string[] = [],
  ): Promise<Result> {
    const names = Object.keys(env).flatMap((variable) => ['-e', variable]);
    const address = ['-e', `POSTGRES_HOST=${name}`, '-e', 'POSTGRES_USER=kg', '-e', 'POSTGRES_DB=kg'];
    return run(
      'docker',
      ['run', '--rm', '--network', name, ...address, ...names, ...flags, images[image], ...command],
      {
        env,
        seconds: 90,
      },
    );
  }

  function expectNoSecret({ stdout, stderr }: Result): void {
    for (const value of Object.values(secrets)) expect(stdout + stderr).not.toContain(value);
  }

  test('without secrets: exit 3, each one named', async () => {
    const result = expectCode(await start('api', [], {}), 3);
    for (const secret of Object.keys(secrets)) expect(result.stderr).toContain(secret);
  });

  test('with a wrong password: exit 3 at once', async () => {
    const result = await start('api', [], { ...secrets, POSTGRES_PASSWORD: 'f'.repeat(48) });
    expectCode(result, 3);
    expect(result.stderr).toContain('POSTGRES_PASSWORD');
    expectNoSecret(result);
  });

  test('an empty database: exit 8, the command named', async () => {
    const result = expectCode(await start('api', [], secrets), 8);
    expect(result.stderr).toContain('./operator.sh migrate');
    expectNoSecret(result);
  });

  test('after migrations, before configuration: exit 4, every missing item named with its command', async () => {
    const { POSTGRES_PASSWORD } = secrets;
    expectCode(await start('operator', [], { POSTGRES_PASSWORD }, ['kg-operator', 'migrate']));
    const result = expectCode(await start('api', [], secrets), 4);
    for (const command of [
      'config admin',
      'config ai-provider openai',
      'config embedding local',
      'config garage',
    ])
      expect(result.stderr).toContain(`./operator.sh ${command}`);
    expectNoSecret(result);
  });

  test('migrate, a second time and on a database that is not there', async () => {
    const { POSTGRES_PASSWORD } = secrets;
    const again = expectCode(
      await start('operator', [], { POSTGRES_PASSWORD }, ['kg-operator', 'migrate', '--json']),
    );
    expect(JSON.parse(again.stdout)).toMatchObject({ ok: true, data: { applied: [] } });
    const nowhere = await start('operator', ['-e', 'POSTGRES_HOST=127.0.0.1'], { POSTGRES_PASSWORD }, [
      ...['kg-operator', 'migrate', '--json'],
    ]);
    expectCode(nowhere, 7);
    expect(JSON.parse(nowhere.stdout)).toMatchObject({ ok: false, error: { code: 'DATABASE_UNREACHABLE' } });
    expectNoSecret(nowhere);
  });
});
