import { readdir, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { expectCode } from './command.ts';
import { ADMIN_PASSWORD, AI_KEY, Installation } from './installation.ts';
import { allSecrets, findLeaks } from './secrets.ts';

jest.setTimeout(900_000);

const MISSING = [
  'admin user is missing: ./operator.sh config admin',
  'AI provider is missing: ./operator.sh config ai-provider openai',
  'embedding provider is missing: ./operator.sh config embedding local',
];

interface StatusData {
  layers: { name: string; ok: boolean }[];
  next: string[];
}

describe('the sequence of the decision record, command by command', () => {
  let kg: Installation;
  beforeAll(async () => {
    kg = await Installation.create();
  });
  afterAll(() => kg.destroy());

  const layers = async () => {
    const { document } = await kg.json<StatusData>(['status']);
    return Object.fromEntries(document.data.layers.map(({ name, ok }) => [name, ok]));
  };

  test('init --dev', async () => {
    await kg.ok(['init', '--dev']);
    expect(Object.keys(await kg.env())).toHaveLength(5);
    expect(await kg.leftovers()).toEqual([]); // secrets only: nothing is started
  });

  test('start --infra-only: infrastructure and schema, no application', async () => {
    await kg.ok(['start', '--infra-only']);
    expect(Object.keys(await kg.containers()).sort()).toEqual([
      'console',
      'garage',
      'gateway',
      'operator',
      'postgres',
    ]);
    expect(await layers()).toEqual({ secrets: true, schema: true, configuration: false, application: false });
    const { document } = await kg.json<StatusData>(['status']);
    expect(document.data.next).toEqual(MISSING.map((line) => line.replace(/^.*: /, '')));
    expect((await kg.json(['status', '--exit-code'])).code).toBe(10);
  });

  test('the gateway says why there is no application', async () => {
    const response = await fetch(`http://127.0.0.1:${kg.apiPort}/health`);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: 'unavailable' });
  });

  test.each(['start --app-only', 'start'])(
    '%s before configuration: exit 4, every item named, no application',
    async (command) => {
      const { code, document } = await kg.json(command.split(' '));
      expect(code).toBe(4);
      expect(document).toMatchObject({
        ok: false,
        error: { code: 'CONFIGURATION_INCOMPLETE', details: MISSING },
      });
      const containers = await kg.containers();
      expect(containers.api).toBeUndefined();
      expect(containers.web).toBeUndefined();
    },
  );

  test('up without what it would ask for: exit 4, everything named at once', async () => {
    const { code, document } = await kg.json(['up', '--yes']);
    expect(code).toBe(4);
    expect(document.error.code).toBe('INPUT_MISSING');
    expect(document.error.details).toEqual([
      expect.stringContaining('KG_ADMIN_PASSWORD'),
      expect.stringContaining('KG_AI_PROVIDER'),
      expect.stringContaining('KG_AI_API_KEY'),
      expect.stringContaining('KG_EMBEDDING'),
    ]);
  });

  const configAdmin = async (flags: string[], options = {}) => {
    const { code, document } = await kg.json<{ changed: boolean; username: string }>(
      ['config', 'admin', ...flags],
      options,
    );
    expect(code).toBe(0);
    expect(document.data.username).toBe('admin');
    return document.data.changed;
  };

  test('config admin: from standard input, a file or the environment; the same again changes nothing', async () => {
    expect((await kg.json(['config', 'admin'])).code).toBe(2); // nobody to ask
    expect(await configAdmin(['--password-stdin'], { input: 'from standard input\n' })).toBe(true);
    await writeFile(kg.path('password.txt'), `${ADMIN_PASSWORD}\n`, { mode: 0o600 });
    expect(await configAdmin(['--password-file', kg.path('password.txt')])).toBe(true);
    expect(await configAdmin(['--password-file', 'password.txt'])).toBe(false);
    await rm(kg.path('password.txt'));
    // The same password, but from then on it is looked up elsewhere: an export refers to it.
    const fromVariable = { env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD } };
    expect(await configAdmin([], fromVariable)).toBe(true);
    expect(await configAdmin([], fromVariable)).toBe(false);
  });

  test('config ai-provider openai, config embedding local', async () => {
    const env = { KG_AI_API_KEY: AI_KEY };
    const first = await kg.json(['config', 'ai-provider', 'openai'], { env });
    expect(first).toMatchObject({
      code: 0,
      document: { data: { provider: 'openai', changed: true, keyStored: true } },
    });
    const second = await kg.json(['config', 'ai-provider', 'openai'], { env });
    expect(second).toMatchObject({ code: 0, document: { data: { changed: false } } });
    const [ciphertext] = await kg.psql(
      "SELECT ciphertext::text FROM kg_api.system_api_keys WHERE provider = 'openai';",
    );
    expect(ciphertext).toMatch(/^\\x[0-9a-f]{100,}$/);
    expect(ciphertext).not.toContain(Buffer.from(AI_KEY).toString('hex'));

    expect(await kg.json(['config', 'embedding', 'local'])).toMatchObject({
      code: 0,
      document: { data: { changed: true } },
    });
  });

  test('config garage: start did it, so it says unchanged, and again', async () => {
    for (let times = 0; times < 2; times++) {
      expect(await kg.json(['config', 'garage'])).toMatchObject({
        code: 0,
        document: { data: { bucket: 'kg-documents', changed: false } },
      });
    }
  });

  test('config show: everything is there, no secret is', async () => {
    const { code, document } = await kg.json<{ items: { item: string; ok: boolean }[] }>(['config', 'show']);
    expect(code).toBe(0);
    expect(document.data.items.map(({ item, ok }) => [item, ok])).toEqual([
      ['admin user', true],
      ['AI provider', true],
      ['openai API key', true],
      ['embedding provider', true],
      ['object storage', true],
    ]);
  });

  test('start --app-only; status', async () => {
    await kg.ok(['start', '--app-only']);
    expect((await kg.json(['status', '--exit-code'])).code).toBe(0);
    expect(await kg.logIn()).toMatchObject({ status: 200 });
    expect(await kg.logIn('from standard input')).toMatchObject({ status: 400 });
  });

  test('stop; start', async () => {
    await kg.ok(['stop']);
    const stopped = Object.values(await kg.containers()).map(({ State }) => State.Status);
    expect(new Set(stopped)).toEqual(new Set(['exited']));
    const { code, document } = await kg.json<{ started: boolean; url: string }>(['start']);
    expect(code).toBe(0);
    expect(document.data).toMatchObject({ started: true, url: `http://localhost:${kg.webPort}` });
    expect(await layers()).toEqual({ secrets: true, schema: true, configuration: true, application: true });
    expect(await kg.logIn()).toMatchObject({ status: 200 });
  });

  test('stop of one service, stop --keep-infra, restart', async () => {
    await kg.ok(['stop', 'web']);
    expect(await kg.isRunning('web')).toBe(false);
    expect(await kg.isRunning('api')).toBe(true);
    await kg.ok(['stop', '--keep-infra']);
    expect(await kg.isRunning('api')).toBe(false);
    expect(await kg.isRunning('postgres')).toBe(true);
    await kg.ok(['start', '--app-only']);
    const before = (await kg.containers()).web?.State.StartedAt;
    await kg.ok(['restart', 'web']);
    expect((await kg.containers()).web?.State.StartedAt).not.toBe(before);
    expect((await kg.json(['stop', 'nonsense'])).code).toBe(2);
  });

  test('migrate has nothing left to do; migrate status and versions say what is there', async () => {
    expect(await kg.json(['migrate'])).toMatchObject({ code: 0, document: { data: { applied: [] } } });
    const { document: status } = await kg.json<{ head: string; applied: number; pending: string[] }>([
      'migrate',
      'status',
    ]);
    const files = (await readdir(kg.path('schema/migrations'))).sort();
    expect(status.data).toMatchObject({
      head: files.at(-1)?.replace('.sql', ''),
      applied: files.length,
      pending: [],
    });
    const { code, document } = await kg.json<{
      engine: string;
      schema: string;
      services: { service: string; image: string | null; imageId: string | null; version: string | null }[];
    }>(['versions']);
    expect(code).toBe(0);
    expect(document.data.schema).toBe(status.data.head);
    const ids = Object.fromEntries(document.data.services.map(({ service, imageId }) => [service, imageId]));
    for (const [service, { Image }] of Object.entries(await kg.containers()))
      expect(ids[service]).toBe(Image);
  });

  test('the pending count is seen when a migration is taken back', async () => {
    await kg.psql("DELETE FROM kg_operator.schema_migrations WHERE id = '0002_graph';");
    expect(await kg.json(['migrate', 'status'])).toMatchObject({
      document: { data: { pending: ['0002_graph'] } },
    });
    expect((await layers()).schema).toBe(false);
    // Later ones are applied: what comes before them is refused, with its own exit code, and changes nothing.
    expect(await kg.json(['migrate'])).toMatchObject({
      code: 8,
      document: { error: { code: 'MIGRATION_OUT_OF_ORDER' } },
    });
    expect(await kg.json(['migrate', 'status'])).toMatchObject({
      document: { data: { pending: ['0002_graph'] } },
    });
  });

  test('none of it told a secret', async () => {
    expect(await findLeaks(kg, await allSecrets(kg))).toEqual([]);
  });

  test('logs and shell pass through', async () => {
    expect((await kg.ok(['logs', '--no-color', 'api'])).stdout).toContain('listening');
    const shell = await kg.run(['shell'], { input: 'test "$KG_ROOT" && exit 42\n' });
    expectCode(shell, 42);
  });
});
