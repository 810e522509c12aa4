import { execFileSync } from 'node:child_process';
import { copyFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { REPOSITORY } from './images.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';

/*
 * The blocks of docs/recovery.md that are marked as done by hand, run as they are, with the stock programs, in a folder that has nothing but
 * a backup and the recovery kit.
 */
let installation: Installation;
let folder: string;
let blocks: Map<string, string>;

beforeAll(async () => {
  const page = await readFile(join(REPOSITORY, 'docs/recovery.md'), 'utf8');
  const marked = page.matchAll(/^<!-- by hand: (\w+) -->\n```sh\n(.*?)^```$/gms);
  blocks = new Map([...marked].map(([, name = '', script = '']) => [name, script]));
  installation = await Installation.create({ dev: false });
  await installation.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
  await installation.logIn();
  for (const title of ['First', 'Second'])
    await installation.api('POST', '/documents', { title, text: `The ${title.toLowerCase()} text.` });
  await installation.ok(['backup', 'kit', 'new', '--export', 'kit.txt', '--yes']);
  await installation.ok(['backup', '--no-verify']);
  folder = await mkdtemp(join(tmpdir(), 'kge2e-by-hand-'));
  const bundle = (await readdir(installation.path('backups'))).find((name) => name.endsWith('.tar.age'));
  await copyFile(installation.path('backups', bundle ?? ''), join(folder, 'BACKUP.tar.age'));
  await copyFile(installation.path('kit.txt'), join(folder, 'kit.txt'));
}, 600_000);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await installation?.destroy();
}, 120_000);

function byHand(name: string): string {
  const script = blocks.get(name);
  if (!script) throw new Error(`docs/recovery.md has no block ${name}`);
  return execFileSync('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder, encoding: 'utf8' });
}

test('every marked block is tried here', () => {
  expect([...blocks.keys()].sort()).toEqual(['env', 'list', 'objects', 'rows']);
});

test('the members and their sizes', () => {
  expect(byHand('list')).toMatch(/^-rw\S* .* header\.json\n(.*\n)*.* manifest\.json\n$/);
});

test('.env', async () => {
  byHand('env');
  expect(await readFile(join(folder, '.env'), 'utf8')).toBe(
    await readFile(installation.path('.env'), 'utf8'),
  );
});

test('the rows of a table, and the documents under their own names', async () => {
  byHand('rows');
  const rows = (await readFile(join(folder, 'documents.tsv'), 'utf8')).trim().split('\n');
  expect(rows.map((row) => row.split('\t').some((column) => /^(First|Second)$/.test(column)))).toEqual([
    true,
    true,
  ]);
  byHand('objects');
  const keys = await installation.psql('SELECT object_key FROM kg_api.documents ORDER BY title');
  const texts = await Promise.all(keys.map((key) => readFile(join(folder, 'documents', key), 'utf8')));
  expect(texts).toEqual(['The first text.', 'The second text.']);
});
