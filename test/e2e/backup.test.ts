import { execFileSync } from 'node:child_process';
import { chmod, copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Damage, FILE_DAMAGES, resealed } from './damaged-bundles.ts';
import { buckets } from './faults.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { randomNumbers } from './random.ts';
import { allSecrets, findLeaks, type Secrets } from './secrets.ts';

interface Backup {
  id: string;
  state: string;
  counts: Record<string, number>;
}

const DAMAGES = process.env.KG_TEST_FULL === '1' ? 30 : 6;

let first: Installation;
let second: Installation;
let secrets: Secrets;
const setUp = ['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'];
const env = { KG_ADMIN_PASSWORD: ADMIN_PASSWORD };

beforeAll(async () => {
  first = await Installation.create({ dev: false });
  await first.ok(setUp, { env });
  secrets = await allSecrets(first);
  await first.logIn();
  for (const name of ['Ada', 'Babbage'])
    await first.api('POST', '/concepts', { name, description: `about ${name}` });
  await first.api('POST', '/relations', { from: 'Ada', to: 'Babbage', type: 'works with' });
  await first.api('POST', '/documents', { title: 'Notes', text: 'Ada worked with Babbage. '.repeat(2000) });
}, 600_000);

afterAll(async () => {
  await second?.destroy();
  await first?.destroy();
}, 120_000);

test('a backup is made, restored once, and listed as verified', async () => {
  await first.ok(['backup', 'kit', 'new', '--export', 'kit.txt', '--yes']);
  const { document, result } = await first.json<{ backup: Backup }>(['backup']);
  if (!document.ok) throw new Error(result.stdout + result.stderr);
  expect(document).toMatchObject({
    ok: true,
    data: { backup: { state: 'verified', counts: { graphs: 1, vertices: 2, edges: 1, objects: 1 } } },
  });
  const list = await first.json<{ backups: Backup[] }>(['backup', 'list']);
  expect(list.document.data.backups).toMatchObject([
    { id: document.data.backup.id, state: 'verified', destinations: ['local'] },
  ]);
}, 300_000);

test('it opens with the stock programs and the kit', async () => {
  const [bundle] = execFileSync('sh', ['-c', 'ls backups/*.tar.age'], { cwd: first.root, encoding: 'utf8' })
    .trim()
    .split('\n');
  const list = execFileSync('sh', ['-c', `age -d -i kit.txt ${bundle} | tar t`], {
    cwd: first.root,
    encoding: 'utf8',
  });
  expect(list.split('\n')).toEqual(
    expect.arrayContaining([
      'header.json',
      'secrets.env',
      'database/pre-data.dump',
      'objects/00000001',
      'manifest.json',
    ]),
  );
});

test('restore brings back what was changed since, and keeps what was there', async () => {
  await first.api('POST', '/concepts', { name: 'Written later' });
  const { document } = await first.json<{ restored: boolean; previousDatabase: string }>([
    'restore',
    'latest',
    '--confirm',
    first.prefix,
  ]);
  expect(document).toMatchObject({
    ok: true,
    data: { restored: true, previousDatabase: expect.stringMatching(/^kg_before_/) },
  });
  expect((await first.logIn()).status).toBe(200);
  const graph = await first.api<{ nodes: { name: string }[] }>('GET', '/graph');
  expect(graph.body.nodes.map(({ name }) => name).sort()).toEqual(['Ada', 'Babbage']);
  const documents = await first.api<{ documents: { id: string }[] }>('GET', '/documents');
  const read = await first.api<{ text: string }>('GET', `/documents/${documents.body.documents[0]?.id}`);
  expect(read.body.text).toContain('Ada worked with Babbage.');
  expect((await first.api('POST', '/concepts', { name: 'After the restore' })).status).toBe(201);
  expect(await first.psql("SELECT datname FROM pg_database WHERE datname LIKE 'kg_before%'")).toEqual([
    document.data.previousDatabase,
  ]);
  await first.ok(['backup', 'prune', '--previous', '--yes']);
  expect(await first.psql("SELECT datname FROM pg_database WHERE datname LIKE 'kg_%'")).toEqual([]);
}, 300_000);

test('a second, empty host is restored from the bundle and the kit', async () => {
  second = await Installation.create({ dev: false });
  const [bundle = ''] = execFileSync('sh', ['-c', 'ls backups/*.tar.age'], {
    cwd: first.root,
    encoding: 'utf8',
  })
    .trim()
    .split('\n');
  await copyFile(join(first.root, bundle), second.path('moved.tar.age'));
  await copyFile(first.path('kit.txt'), second.path('kit.txt'));
  await chmod(second.path('kit.txt'), 0o600);
  const closed = await second.json(['up', '--yes', '--restore', './moved.tar.age']);
  expect(closed).toMatchObject({ code: 3, document: { error: { code: 'BACKUP_KEY_WRONG' } } });
  expect(Object.keys(await second.containers())).toEqual(['operator']);
  const unseen = await second.json(['up', '--yes', '--restore', '/elsewhere/moved.tar.age']);
  expect(unseen).toMatchObject({ code: 3, document: { error: { code: 'FILE_MISSING' } } });
  expect(unseen.document.error.hint).toContain(second.root);
  const up = await second.json<{ username: string; restored: string }>([
    ...['up', '--yes', '--restore', './moved.tar.age', '--kit-file', 'kit.txt'],
  ]);
  if (!up.document.ok) throw new Error(up.result.stdout + up.result.stderr);
  expect(up.document.data).toMatchObject({ username: 'admin', restored: expect.stringMatching(/^kge2e-/) });
  const status = await second.json<{ ok: boolean }>(['status', '--exit-code']);
  expect([status.code, status.document.data.ok]).toEqual([0, true]);
  expect(await second.psql("SELECT datname FROM pg_database WHERE datname LIKE 'kg_%'")).toEqual([]);
  expect(await readdir(second.path('.operator'))).not.toContain('exchange.json');
  const again = await second.json(['up', '--yes', '--restore', './moved.tar.age', '--kit-file', 'kit.txt']);
  expect(again).toMatchObject({ code: 3, document: { error: { code: 'DATA_EXISTS' } } });
  expect((await second.logIn()).status).toBe(200);
  const graph = await second.api<{ nodes: { name: string }[] }>('GET', '/graph');
  expect(graph.body.nodes.map(({ name }) => name).sort()).toEqual(['Ada', 'Babbage']);
}, 600_000);

test(`a bundle that was damaged is refused before anything is touched: ${DAMAGES} ways`, async () => {
  const [name = ''] = (await readdir(first.path('backups'))).filter((file) => file.endsWith('.tar.age'));
  const bundle = first.path('backups', name);
  const bytes = await readFile(bundle);
  const state = async () => ({
    containers: await first.containerIds(),
    databases: await first.psql('SELECT oid, datname FROM pg_database ORDER BY 1'),
    buckets: await buckets(first),
  });
  const before = await state();
  const number = randomNumbers(7);
  const below = (limit: number) => Math.floor(number() * limit);
  const refused: string[] = [];
  for (let n = 0; n < DAMAGES; n++) {
    // Every other one of its members.
    const way = Math.floor(n / 2);
    const damage = FILE_DAMAGES[way % FILE_DAMAGES.length] as Damage;
    const damaged =
      n % 2 === 0
        ? damage(bytes, below)
        : await resealed(bundle, first.path('kit.txt'), first.path('.members'), way, below);
    await writeFile(first.path('damaged.tar.age'), damaged.bytes);
    const args = ['restore', './damaged.tar.age', '--kit-file', 'kit.txt', '--confirm', first.prefix];
    const { code, document } = await first.json(args);
    if (code !== 3) throw new Error(`${damaged.what}: exit ${code}\n${JSON.stringify(document)}`);
    expect(document.error.code).toMatch(/^BACKUP_/);
    refused.push(`${document.error.code}: ${damaged.what}`);
  }
  process.stderr.write(`${refused.join('\n')}\n`);
  expect(await state()).toEqual(before);
}, 300_000);

test('no secret was said, logged or left', async () => {
  expect(await findLeaks(first, secrets)).toEqual([]);
});
