import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { expectCode, run } from './command.ts';
import { ADMIN_PASSWORD, AI_KEY, Installation } from './installation.ts';
import { allSecrets, findLeaks, secretsOfContainers } from './secrets.ts';
import { until } from './wait.ts';

jest.setTimeout(900_000);

describe('docker compose by hand, with the variables of ./operator.sh env', () => {
  let kg: Installation;
  beforeAll(async () => {
    kg = await Installation.create({ dev: false }); // the images that users run
    await kg.ok(['init']);
  });
  afterAll(() => kg.destroy());

  test('without them, compose says what to do and starts nothing', async () => {
    const { code, stderr } = await run('docker', [
      'compose',
      '-f',
      kg.path('docker/docker-compose.yml'),
      '-p',
      kg.prefix,
      'up',
      '-d',
    ]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/operator\.sh/);
    expect(await kg.leftovers()).toEqual([]);
  });

  test('up -d: the schema is migrated before the application starts, which waits for its configuration', async () => {
    expectCode(await kg.compose('up', '-d'));
    const { api, migrate, postgres } = await kg.containers();
    expect(postgres?.State.Health?.Status).toBe('healthy');
    expect(migrate?.State).toMatchObject({ Status: 'exited', ExitCode: 0 });
    expect(Date.parse(migrate?.State.FinishedAt ?? '')).toBeLessThanOrEqual(
      Date.parse(api?.State.StartedAt ?? ''),
    );
    expect(await kg.psql('SELECT count(*) > 0 FROM kg_operator.schema_migrations;')).toEqual(['t']);
    await until('the API has said what is missing', async () => {
      const { stderr, stdout } = await kg.compose('logs', '--no-color', 'api');
      return /config admin/.test(stdout + stderr);
    });
    expect((await kg.containers()).api?.State.Health?.Status).not.toBe('healthy');
  });

  test('status tells the same', async () => {
    const { code, document } = await kg.json<{ layers: { name: string; ok: boolean }[]; next: string[] }>([
      'status',
      '--exit-code',
    ]);
    expect(code).toBe(10);
    expect(document.data.layers.map(({ name, ok }) => [name, ok])).toEqual([
      ['secrets', true],
      ['schema', true],
      ['configuration', false],
      ['application', false],
    ]);
    expect(document.data.next).toContain('./operator.sh config admin');
  });

  test('configured, up -d brings the application up by itself', async () => {
    await kg.ok(['config', 'garage']);
    await kg.ok(['config', 'admin'], { env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD } });
    await kg.ok(['config', 'ai-provider', 'openai'], { env: { KG_AI_API_KEY: AI_KEY } });
    await kg.ok(['config', 'embedding', 'local']);
    expectCode(await kg.compose('up', '-d'));
    await until('the application is up', async () => (await kg.json(['status', '--exit-code'])).code === 0, {
      seconds: 90,
    });
    expect(await kg.logIn()).toMatchObject({ status: 200 });
  });

  test('the containers have the secrets that they need, the one-shot too', async () => {
    const secrets = await allSecrets(kg);
    expect(await secretsOfContainers(kg, secrets)).toEqual({
      postgres: ['POSTGRES_PASSWORD'],
      garage: ['GARAGE_ADMIN_TOKEN', 'GARAGE_RPC_SECRET'],
      migrate: ['POSTGRES_PASSWORD'],
      api: ['ENCRYPTION_KEY', 'OAUTH_SIGNING_KEY', 'POSTGRES_PASSWORD'],
      operator: [],
      console: [],
      web: [],
      gateway: [],
    });
    expect(await findLeaks(kg, secrets)).toEqual([]);
  });

  // The engine leaves dependencies out (--no-deps), and compose counts them as part of a service: api is made anew once.
  test('start takes over from there: no infrastructure is recreated, and a second start recreates nothing', async () => {
    const { api: _first, ...before } = await kg.containerIds();
    await kg.ok(['start']);
    const after = await kg.containerIds();
    expect(after).toMatchObject(before);
    await kg.ok(['start']);
    expect(await kg.containerIds()).toEqual(after);
    expect(await kg.logIn()).toMatchObject({ status: 200 });
  });
});
