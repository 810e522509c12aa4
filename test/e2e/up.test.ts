import { chmod, readFile, rename, stat } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { sha256, startAiOnHost } from './ai.ts';
import { expectCode, run } from './command.ts';
import { ADMIN_PASSWORD, AI_KEY, Installation } from './installation.ts';
import {
  allSecrets,
  findLeaks,
  garageJson,
  garageKey,
  images,
  type Secrets,
  secretsOfContainers,
  stateFiles,
} from './secrets.ts';
import { until } from './wait.ts';

jest.setTimeout(900_000);

const TEXT = 'Ada Lovelace wrote to Charles Babbage. Charles Babbage designed the Analytical Engine.';

interface Graph {
  nodes: { name: string }[];
  edges: { from: string; to: string; type: string }[];
}

describe('./operator.sh up, from an empty directory to a running platform', () => {
  let kg: Installation;
  let ai: Awaited<ReturnType<typeof startAiOnHost>>;
  let secrets: Secrets;
  let setup: Record<string, string>;

  beforeAll(async () => {
    ai = await startAiOnHost();
    setup = {
      KG_ADMIN_PASSWORD: ADMIN_PASSWORD,
      KG_AI_PROVIDER: 'openai',
      KG_AI_BASE_URL: ai.baseUrl,
      KG_AI_API_KEY: AI_KEY,
      KG_EMBEDDING: 'local',
    };
    kg = await Installation.create();
  });
  afterAll(async () => {
    await ai.close();
    await kg.destroy();
  });

  test('before it, commands that need an installation say so', async () => {
    const { code, document } = await kg.json(['status']);
    expect(code).toBe(3);
    expect(document).toMatchObject({ ok: false });
  });

  test('up --dev --yes: exit 0, the URL, the next commands', async () => {
    const { stdout, stderr } = await kg.ok(['up', '--dev', '--yes'], { env: setup });
    expect(stdout).toContain(`http://localhost:${kg.webPort}\n`);
    expect(stderr).toContain('./operator.sh status');
    secrets = await allSecrets(kg);
  });

  test('.env is private and holds five different secrets', async () => {
    expect((await stat(kg.path('.env'))).mode & 0o777).toBe(0o600);
    const values = Object.values(await kg.env());
    expect(new Set(values).size).toBe(5);
  });

  test('status: four layers ok, every service running and healthy', async () => {
    const { code, document } = await kg.json<{
      ok: boolean;
      layers: { name: string; ok: boolean }[];
      services: {
        name: string;
        state: string;
        health: string;
        version: string | null;
        digest: string | null;
      }[];
      next: string[];
    }>(['status', '--exit-code']);
    expect(code).toBe(0);
    const { ok, layers, services, next } = document.data;
    expect(ok).toBe(true);
    expect(layers.map(({ name, ok }) => [name, ok])).toEqual([
      ['secrets', true],
      ['schema', true],
      ['configuration', true],
      ['application', true],
    ]);
    expect(services.map(({ name }) => name).sort()).toEqual(
      ['api', 'console', 'garage', 'gateway', 'operator', 'postgres', 'web'].sort(),
    );
    for (const service of services) {
      expect(service).toMatchObject({ state: 'running', digest: expect.stringMatching(/^[0-9a-f]{12}$/) });
      if (service.name !== 'operator') expect(service.health).toBe('healthy');
    }
    expect(next).toEqual([]);
  });

  test('the page comes through the gateway, and the API beside it', async () => {
    const page = await fetch(`http://127.0.0.1:${kg.webPort}/`);
    expect(page.status).toBe(200);
    expect(await page.text()).toMatch(/<html/);
    const health = await fetch(`http://127.0.0.1:${kg.webPort}/api/health`);
    expect(await health.json()).toMatchObject({ status: 'ok' });
  });

  test('login: the right password only', async () => {
    expect(await kg.logIn(`${ADMIN_PASSWORD}x`)).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
    expect((await kg.api('GET', '/graph')).status).toBe(401);
    expect(await kg.logIn()).toMatchObject({ status: 200, body: { token_type: 'Bearer' } });
  });

  test('a concept is a vertex and a relation an edge that psql sees by Cypher', async () => {
    expect(await kg.api('POST', '/concepts', { name: 'Tea', description: 'a "drink"' })).toMatchObject({
      status: 201,
    });
    expect(await kg.api('POST', '/concepts', { name: 'Water' })).toMatchObject({ status: 201 });
    expect(
      await kg.api('POST', '/relations', { from: 'Tea', to: 'Water', type: 'is made of' }),
    ).toMatchObject({
      status: 201,
    });
    expect(
      await kg.psql(`SELECT d FROM cypher('knowledge', $$
        MATCH (c:Concept {name: 'Tea'}) RETURN c.description $$) AS (d agtype);`),
    ).toEqual([JSON.stringify('a "drink"')]);
    expect(
      await kg.psql(`SELECT name FROM cypher('knowledge', $$
        MATCH (:Concept {name: 'Tea'})-[]->(c:Concept) RETURN c.name $$) AS (name agtype);`),
    ).toEqual(['"Water"']);
  });

  const objects = async () =>
    (await garageJson<{ objects: number }>(kg, 'GetBucketInfo', { globalAlias: 'kg-documents' })).objects;

  test('a document is an object in Garage, readable over S3 with the stored text', async () => {
    expect(await objects()).toBe(0);
    const text = 'Stored once, read twice. Ünïcode: 水.';
    const stored = await kg.api<{ id: string }>('POST', '/documents', { title: 'A note', text });
    expect(stored.status).toBe(201);
    expect(await kg.api('GET', `/documents/${stored.body.id}`)).toMatchObject({
      status: 200,
      body: { text },
    });
    await until('Garage counts the object', async () => (await objects()) === 1);
    expect(await readOverS3(kg)).toEqual([text]);
  });

  test('extract sends the decrypted key, and its concepts are in the graph', async () => {
    expect(ai.last).toBeUndefined();
    const answer = await kg.api<{ concepts: { name: string }[] }>('POST', '/extract', { text: TEXT });
    expect(answer.status).toBe(200);
    expect(ai.last).toMatchObject({
      header: 'authorization',
      keySha256: sha256(AI_KEY),
      text: expect.stringContaining(TEXT),
    });
    const { body } = await kg.api<Graph>('GET', '/graph');
    const names = body.nodes.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['Tea', 'Water', 'Ada Lovelace', 'Charles Babbage', 'Analytical Engine']),
    );
    expect(body.edges).toEqual(
      expect.arrayContaining([expect.objectContaining({ from: 'Ada Lovelace', to: 'Charles Babbage' })]),
    );
  });

  test('a refusal of the provider that quotes the key does not reach the caller', async () => {
    ai.behaviour = { status: 401 };
    const answer = await kg.api('POST', '/extract', { text: 'Somebody Else came.' });
    ai.behaviour = {};
    expect(answer.status).toBe(502);
    expect(JSON.stringify(answer.body)).not.toContain(AI_KEY);
  });

  test('start and up again recreate nothing', async () => {
    const before = await kg.containers();
    const changed = async () =>
      Object.entries(await kg.containers()).filter(
        ([service, { Id, State }]) =>
          Id !== before[service]?.Id || State.StartedAt !== before[service]?.State.StartedAt,
      );
    await kg.ok(['start']);
    expect((await changed()).map(([service]) => service)).toEqual([]);
    await kg.ok(['up', '--yes']); // nothing to configure, so nothing to give
    expect((await changed()).map(([service]) => service)).toEqual([]);
  });

  test('no output, log, state file, image or process list holds a secret', async () => {
    await expectErrorsOfEveryKind(kg);
    expect(await stateFiles(kg)).toContain('.operator/journal.jsonl');
    expect((await images(kg)).length).toBeGreaterThanOrEqual(6);
    const programs = kg.processes.seen().join('\n');
    for (const program of ['docker exec', 'docker compose', 'kg-operator', 'psql', 'postgres', 'caddy run'])
      expect(programs).toContain(program); // or the watcher would not have looked
    expect(await findLeaks(kg, secrets)).toEqual([]);
  });

  test('each container gets the secrets it needs and no other', async () => {
    expect(await secretsOfContainers(kg, secrets)).toEqual({
      postgres: ['POSTGRES_PASSWORD'],
      garage: ['GARAGE_ADMIN_TOKEN', 'GARAGE_RPC_SECRET'],
      api: ['ENCRYPTION_KEY', 'OAUTH_SIGNING_KEY', 'POSTGRES_PASSWORD'],
      operator: [],
      console: [],
      web: [],
      gateway: [],
    });
  });

  test('stop, teardown, up again: the same data, the same login, the same .env', async () => {
    const dotEnv = await readFile(kg.path('.env'), 'utf8');
    const graph = (await kg.api<Graph>('GET', '/graph')).body;
    const { body: documents } = await kg.api('GET', '/documents');

    await kg.ok(['stop']);
    expect(Object.values(await kg.containers()).map(({ State }) => State.Status)).not.toContain('running');
    expect((await kg.run(['teardown', '--no-input'])).code).toBe(2);
    expect(Object.keys(await kg.containers())).not.toEqual([]);
    await kg.ok(['teardown', '--yes']);
    expect((await kg.leftovers()).sort()).toEqual(
      ['garage-data', 'garage-meta', 'postgres-data'].map((name) => `${kg.prefix}_${name}`),
    );

    await kg.ok(['up', '--yes']); // nothing given: the configuration is in the data
    expect(await readFile(kg.path('.env'), 'utf8')).toBe(dotEnv);
    expect((await kg.logIn()).status).toBe(200);
    expect((await kg.api<Graph>('GET', '/graph')).body).toEqual(graph);
    expect((await kg.api('GET', '/documents')).body).toEqual(documents);
    expect(await readOverS3(kg)).toContain(TEXT);
    await kg.api('POST', '/extract', { text: TEXT });
    expect(ai.last?.keySha256).toBe(sha256(AI_KEY));
  });

  test('init with .env missing and the data there is refused; with .env back all is well', async () => {
    await rename(kg.path('.env'), kg.path('kept.env'));
    const { code, document } = await kg.json(['init']);
    expect(code).toBe(3);
    expect(document.error).toMatchObject({ code: 'DATA_WITHOUT_ENV' });
    expect((await kg.json(['up', '--yes'], { env: setup })).code).toBe(3);
    await expect(stat(kg.path('.env'))).rejects.toMatchObject({ code: 'ENOENT' });

    await rename(kg.path('kept.env'), kg.path('.env'));
    expect((await kg.json(['init'])).code).toBe(3); // it is there: never replaced
    expect((await kg.json(['status', '--exit-code'])).code).toBe(0);
  });

  test('teardown --volumes wants the name, then leaves no data and the old .env under another name', async () => {
    for (const flags of [['--yes'], ['--confirm', 'somethingelse'], ['--confirm', `${kg.prefix}x`]])
      expect((await kg.run(['teardown', '--volumes', ...flags])).code).toBe(2);
    expect(await kg.leftovers()).toContain(`${kg.prefix}_postgres-data`);
    await kg.ok(['teardown', '--volumes', '--confirm', kg.prefix]);
    expect(await kg.leftovers()).toEqual([]);
    const removed = expectCode(
      await run('sh', ['-c', 'ls -A | grep ^.env.removed-'], { cwd: kg.root }),
    ).stdout.trim();
    expect((await stat(kg.path(removed))).mode & 0o777).toBe(0o600);
    expect(await findLeaksInOutput(kg, secrets)).toEqual([]);
  });
});

/** Failures whose messages could repeat what they were given. */
async function expectErrorsOfEveryKind(kg: Installation): Promise<void> {
  const env = { KG_ADMIN_PASSWORD: 'short', KG_AI_API_KEY: AI_KEY };
  expect((await kg.run(['config', 'admin'], { env })).code).toBe(2);
  expect((await kg.run(['config', 'ai-provider', 'nonsense'], { env })).code).toBe(2);
  expect((await kg.json(['config', 'api-key', 'openai', '--no-such-flag'], { env })).code).toBe(2);
  expect(
    (await kg.run(['config', 'api-key', 'openai', '--key-file', 'no-such-file', '--debug'], { env })).code,
  ).toBe(2);
  // What could repeat a key: a variable's name that is one, a provider's answer to it, lists, the history.
  expect(
    (await kg.run(['config', 'api-key', 'openai', '--from-env', 'NOT_SET', '--debug'], { env })).code,
  ).toBe(2);
  expect((await kg.run(['config', 'api-key', 'test', '--debug'], { env })).code).toBeLessThan(8);
  await kg.ok(['config', 'show', '--json']);
  await kg.ok(['config', 'api-key', 'list', '--json']);
  await kg.ok(['config', 'admin', 'list']);
  await kg.ok(['config', 'history', '--limit', '1000', '--json']);
  await kg.run(['config', 'validate', '--json']);
  await kg.ok(['versions']);
  await kg.ok(['logs', '--no-color']);
  await chmod(kg.path('.env'), 0o644);
  expect((await kg.run(['status'])).code).toBe(3);
  await chmod(kg.path('.env'), 0o600);
}

/** The text of each object, read from inside the network with the key that Garage itself shows. */
async function readOverS3(kg: Installation): Promise<string[]> {
  const { accessKeyId, secretAccessKey } = await garageKey(kg);
  const script = `
    import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
    const client = new S3Client({
      endpoint: 'http://garage:3900', region: 'garage', forcePathStyle: true,
      credentials: ${JSON.stringify({ accessKeyId, secretAccessKey })},
    });
    const Bucket = 'kg-documents';
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
    const texts = [];
    for (const { Key } of Contents) texts.push(await (await client.send(new GetObjectCommand({ Bucket, Key }))).Body.transformToString());
    console.log(JSON.stringify(texts));`;
  const api = (await kg.containers()).api?.Id ?? 'no api';
  const result = await run(
    'docker',
    ['exec', '-i', '-w', '/src/packages/api', api, 'node', '--input-type=module', '-'],
    { input: script, seconds: 60 },
  );
  return JSON.parse(expectCode(result).stdout) as string[];
}

async function findLeaksInOutput(kg: Installation, secrets: Secrets): Promise<string[]> {
  const texts = [...kg.results.flatMap(({ stdout, stderr }) => [stdout, stderr]), ...kg.processes.seen()];
  return Object.keys(secrets).filter((name) => texts.some((text) => text.includes(secrets[name] as string)));
}
