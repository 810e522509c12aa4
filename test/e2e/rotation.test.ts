import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { keyIdOf, Secret } from '@kg-operator/config';
import { sha256, startAiOnHost } from './ai.ts';
import { docker, run } from './command.ts';
import { ADMIN_PASSWORD, AI_KEY, Installation } from './installation.ts';
import { holdLock } from './lock.ts';
import {
  allSecrets,
  findLeaks,
  garageJson,
  garageKey,
  type Secrets,
  secretsIn,
  secretsOfContainers,
} from './secrets.ts';
import { startTraffic, type TrafficReport } from './traffic.ts';
import { until } from './wait.ts';

jest.setTimeout(900_000);

const TEXT = 'Grace Hopper wrote to Howard Aiken.';

describe('every secret of a running platform is rotated, one after the other', () => {
  let kg: Installation;
  let ai: Awaited<ReturnType<typeof startAiOnHost>>;
  let document: string;
  let firstToken: string;
  /** Every value that was ever in force, by name and turn. */
  const ever: Secrets = {};

  beforeAll(async () => {
    ai = await startAiOnHost();
    kg = await Installation.create();
    await kg.ok(['up', '--dev', '--yes'], {
      env: {
        KG_ADMIN_PASSWORD: ADMIN_PASSWORD,
        KG_AI_PROVIDER: 'openai',
        KG_AI_BASE_URL: ai.baseUrl,
        KG_AI_API_KEY: AI_KEY,
        KG_EMBEDDING: 'local',
      },
    });
    firstToken = (await kg.logIn()).body.access_token ?? '';
    const stored = await kg.api<{ id: string }>('POST', '/documents', { title: 'A note', text: TEXT });
    document = stored.body.id;
    await remember('at first');
  });
  afterAll(async () => {
    await ai?.close();
    await kg?.destroy();
  });

  async function remember(turn: string): Promise<void> {
    for (const [name, value] of Object.entries(await allSecrets(kg))) {
      if (!Object.values(ever).includes(value)) ever[`${name} ${turn}`] = value;
    }
  }

  const get = (path: string, token: string) =>
    fetch(`http://127.0.0.1:${kg.apiPort}${path}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(10_000),
    });

  /** Login, the document of before, a new one, the stored provider key, and four layers that are ok. */
  async function expectWorking(): Promise<void> {
    expect((await kg.logIn()).status).toBe(200);
    expect(await kg.api('GET', `/documents/${document}`)).toMatchObject({
      status: 200,
      body: { text: TEXT },
    });
    expect((await kg.api('POST', '/documents', { title: 'Another', text: TEXT })).status).toBe(201);
    expect((await kg.api('POST', '/extract', { text: TEXT })).status).toBe(200);
    expect(ai.last?.keySha256).toBe(sha256(AI_KEY));
    const { code, document: status } = await kg.json(['status', '--exit-code']);
    expect([code, status.data.next]).toEqual([0, []]);
  }

  interface Rotated {
    old: Record<string, string>;
    now: Record<string, string>;
    services: string[];
    traffic: TrafficReport;
  }

  async function rotate(secret: string, names: string[]): Promise<Rotated> {
    const old = await kg.env();
    const traffic = startTraffic(() => get('/concepts', firstToken));
    const {
      code,
      document: answer,
      result,
    } = await kg.json<{ secret: string; finished: boolean; services: string[] }>(['rotate', secret]);
    const report = await traffic.stop();
    if (code !== 0) throw new Error(`${result.stdout}\n${result.stderr}`);
    expect(answer.data).toMatchObject({ secret, finished: true });
    const now = await kg.env();
    expect(Object.keys(now).filter((name) => now[name] !== old[name])).toEqual(names);
    expect((await readdir(kg.root)).filter((file) => file.startsWith('.env'))).toEqual(['.env']);
    expect((await stat(kg.path('.env'))).mode & 0o777).toBe(0o600);
    await remember(`after ${secret}`);
    console.info(`rotate ${secret}: ${JSON.stringify({ services: answer.data.services, ...report })}`);
    return { old, now, services: answer.data.services, traffic: report };
  }

  test('encryption-key: the stored key still opens; the old one opens nothing', async () => {
    const { old, now, services, traffic } = await rotate('encryption-key', ['ENCRYPTION_KEY']);
    expect(services).toEqual(['api']);
    // While the container of the API is made anew nobody answers; the gateway says so.
    expect(Object.keys(traffic.statuses).filter((status) => !['200', '502', '503'].includes(status))).toEqual(
      [],
    );
    expect(traffic.gapMs).toBeLessThan(30_000);
    const rows = await kg.psql(
      'SELECT DISTINCT key_id FROM kg_api.system_api_keys UNION ALL SELECT key_id FROM kg_api.key_fingerprint WHERE previous_key_id IS NULL AND bridge IS NULL;',
    );
    const keyId = keyIdOf(new Secret(now.ENCRYPTION_KEY ?? ''));
    expect(rows).toEqual([keyId, keyId]);
    expect(keyIdOf(new Secret(old.ENCRYPTION_KEY ?? ''))).not.toBe(keyId);
    await expectWorking();
  });

  test('oauth-key: who was logged in stays so; new tokens are of the new key', async () => {
    const { services, traffic } = await rotate('oauth-key', ['OAUTH_SIGNING_KEY']);
    expect(services).toEqual(['api']);
    expect(Object.keys(traffic.statuses).filter((status) => !['200', '502', '503'].includes(status))).toEqual(
      [],
    );
    expect((await get('/concepts', firstToken)).status).toBe(200);
    await expectWorking();
    const header = (token: string) => Buffer.from(token.split('.')[0] ?? '', 'base64url').toString();
    expect(header((await kg.logIn()).body.access_token ?? '')).not.toBe(header(firstToken));
    const [seconds] = await kg.psql(
      "SELECT extract(epoch FROM expires_at - now())::int FROM kg_api.system_api_keys WHERE provider = 'oauth-signing-key/previous';",
    );
    expect(Number(seconds)).toBeGreaterThan(3000);
    expect(Number(seconds)).toBeLessThanOrEqual(3600);
  });

  test('oauth-key again within the lifetime wants a word; once the key before has expired, its tokens are refused', async () => {
    const again = await kg.json(['rotate', 'oauth-key', '--no-input']);
    expect([again.code, again.document.error.code]).toEqual([2, 'NOT_CONFIRMED']);
    expect((await readdir(kg.root)).filter((file) => file.startsWith('.env'))).toEqual(['.env']);
    await kg.psql(
      "UPDATE kg_api.system_api_keys SET expires_at = now() WHERE provider = 'oauth-signing-key/previous';",
    );
    await until('the old token is refused', async () => (await get('/concepts', firstToken)).status === 401);
    firstToken = (await kg.logIn()).body.access_token ?? '';
  });

  const logsIn = async (password: string) => {
    const id = (await kg.containers()).postgres?.Id ?? '';
    const psql = ['psql', '-h', '127.0.0.1', '-U', 'kg', '-d', 'kg', '-XAtwc', 'SELECT 1'];
    return (
      (await run('docker', ['exec', '-e', 'PGPASSWORD', id, ...psql], { env: { PGPASSWORD: password } }))
        .code === 0
    );
  };

  test('postgres-password: the old one no longer logs in', async () => {
    const { old, now, services } = await rotate('postgres-password', ['POSTGRES_PASSWORD']);
    expect(services.sort()).toEqual(['api', 'postgres']);
    expect(await logsIn(now.POSTGRES_PASSWORD ?? '')).toBe(true);
    expect(await logsIn(old.POSTGRES_PASSWORD ?? '')).toBe(false);
    await until('the platform is ready', async () => (await get('/ready', '')).status === 200);
    await expectWorking();
  });

  const garageAccepts = async (token: string) => {
    const script = `fetch('http://garage:3903/v2/GetClusterStatus', {headers: {authorization: 'Bearer ' + process.env.TOKEN}}).then((r) => console.log(r.status))`;
    const name = `${kg.prefix}-operator`;
    return (
      await run('docker', ['exec', '-e', 'TOKEN', name, 'node', '-e', script], { env: { TOKEN: token } })
    ).stdout.trim();
  };

  test('garage-secret: the new token is accepted, the old one refused', async () => {
    const { old, now, services } = await rotate('garage-secret', ['GARAGE_RPC_SECRET', 'GARAGE_ADMIN_TOKEN']);
    expect(services).toEqual(['garage']);
    expect(await garageAccepts(now.GARAGE_ADMIN_TOKEN ?? '')).toBe('200');
    expect(await garageAccepts(old.GARAGE_ADMIN_TOKEN ?? '')).toBe('403');
    await expectWorking();
  });

  test('config garage status, and rotate-key: no request fails, one key of ours is left', async () => {
    const before = await garageKey(kg);
    const traffic = startTraffic(() => get(`/documents/${document}`, firstToken));
    const { code, document: answer } = await kg.json(['config', 'garage', 'rotate-key']);
    const report = await traffic.stop();
    console.info(`config garage rotate-key: ${JSON.stringify(report)}`);
    expect([code, answer.data.retired]).toEqual([0, before.accessKeyId]);
    expect(report.failed).toBe(0);
    const after = await garageKey(kg);
    expect(after.accessKeyId).toBe(answer.data.accessKeyId);
    const keys = await garageJson<{ id: string; name: string }[]>(kg, 'ListKeys', null);
    expect(keys.map(({ id }) => id)).toEqual([after.accessKeyId]);
    await remember('after rotate-key');
    const status = await kg.json(['config', 'garage', 'status']);
    expect(status.document.data).toMatchObject({
      store: 'garage',
      reachable: true,
      rotating: false,
      accessKeyId: after.accessKeyId,
      bucket: { name: 'kg-documents', objects: expect.any(Number), keyAllowed: true },
      nodes: [{ isUp: true, zone: 'local' }],
    });
    await expectWorking();
  });

  test('cut off between database and .env: other commands name the command that goes on, and it does', async () => {
    const old = await readFile(kg.path('.env'), 'utf8');
    const password = randomBytes(24).toString('hex');
    ever['POSTGRES_PASSWORD cut off'] = password;
    const staged = old
      .replace(/^# Rotated .*\n/m, '')
      .replace(/^POSTGRES_PASSWORD=.*$/m, `POSTGRES_PASSWORD=${password}`);
    await writeFile(kg.path('.env.next'), `# Rotated postgres-password 2026-01-01T00:00:00Z\n${staged}`, {
      mode: 0o600,
    });
    // What operator.sh does next, before it is killed.
    await docker(
      'exec',
      '-e',
      `KG_ROOT=${kg.root}`,
      `${kg.prefix}-operator`,
      'kg-operator',
      'rotate',
      'postgres-password',
    );
    const postgres = (await kg.containers()).postgres?.Id ?? '';
    const log = await run('docker', ['logs', postgres]);
    expect(secretsIn(log.stdout + log.stderr, ever)).toEqual([]);

    expect(await logsIn(password)).toBe(true);
    const shown = await kg.json(['config', 'show']);
    expect([shown.code, shown.document.error.code]).toEqual([3, 'DATABASE_PASSWORD']);
    expect(shown.document.error.hint).toContain('./operator.sh rotate postgres-password');
    const status = await kg.json<{ next: string[] }>(['status']);
    expect(status.document.data.next).toEqual(['./operator.sh rotate postgres-password']);
    const other = await kg.json(['rotate', 'garage-secret']);
    expect([other.code, other.document.error.hint]).toEqual([3, './operator.sh rotate postgres-password']);

    await kg.ok(['rotate', 'postgres-password']);
    expect((await kg.env()).POSTGRES_PASSWORD).toBe(password);
    expect((await readdir(kg.root)).filter((file) => file.startsWith('.env'))).toEqual(['.env']);
    await until('the platform is ready', async () => (await get('/ready', '')).status === 200);
    await expectWorking();
  });

  test('while another command holds the lock: 5, and nothing is staged', async () => {
    const release = await holdLock(kg);
    const { code, document: answer } = await kg.json(['rotate', 'garage-secret']);
    expect([code, answer.error.code]).toEqual([5, 'LOCKED']);
    await release();
    expect((await readdir(kg.root)).filter((file) => file.startsWith('.env'))).toEqual(['.env']);
  });

  test('the history has every rotation, and undo refuses the last', async () => {
    const rows = await kg.psql(
      "SELECT topic || ' ' || subject FROM kg_api.config_history WHERE action = 'rotate' ORDER BY id;",
    );
    expect(rows).toEqual([
      'rotate encryption-key',
      'rotate oauth-key',
      'rotate postgres-password',
      'rotate garage-secret',
      'garage S3 key',
      'rotate postgres-password',
    ]);
    expect(await kg.json(['config', 'undo', '--yes'])).toMatchObject({
      code: 3,
      document: { error: { code: 'UNDO_REFUSED' } },
    });
  });

  test('no secret of any turn is in a log, a process list, an output or an inspect but those of compose', async () => {
    expect(Object.keys(ever).length).toBeGreaterThan(12);
    expect(await findLeaks(kg, ever)).toEqual([]);
    const now = await kg.env();
    const current = Object.fromEntries(Object.entries(now).map(([name, value]) => [name, value]));
    expect(await secretsOfContainers(kg, current)).toEqual({
      postgres: ['POSTGRES_PASSWORD'],
      garage: ['GARAGE_ADMIN_TOKEN', 'GARAGE_RPC_SECRET'],
      api: ['ENCRYPTION_KEY', 'OAUTH_SIGNING_KEY', 'POSTGRES_PASSWORD'],
      operator: [],
      console: [],
      web: [],
      gateway: [],
    });
    const past = Object.fromEntries(
      Object.entries(ever).filter(([, value]) => !Object.values(now).includes(value)),
    );
    expect(Object.values(await secretsOfContainers(kg, past)).flat()).toEqual([]);
  });

  test('a platform that is not running: rotate says what to start, and stages nothing', async () => {
    await kg.ok(['stop']);
    const { code, document: answer } = await kg.json(['rotate', 'encryption-key']);
    expect(code).toBe(7);
    expect(answer.error.hint).toContain('./operator.sh start --infra-only');
    expect((await readdir(kg.root)).filter((file) => file.startsWith('.env'))).toEqual(['.env']);
  });
});
