import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { docker, expectCode, type Result, run } from './command.ts';
import { ensureImage } from './images.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { markedBlocks } from './page.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { Publisher } from './releases.ts';
import { until } from './wait.ts';

jest.setTimeout(600_000);

/** A graph as the platform of the old scripts made it. */
const OLD_GRAPH = `
CREATE EXTENSION age;
LOAD 'age';
SET search_path = ag_catalog, public;
SELECT create_graph('knowledge_graph');
SELECT * FROM cypher('knowledge_graph', $$
  CREATE (a:Concept {concept_id: 'c1', label: 'Analytical Engine', description: 'A machine, "general" – by Babbage\\\\n', embedding: [0.1, 0.2]})
  CREATE (b:Concept {concept_id: 'c2', label: 'Ada Lovelace'})
  CREATE (c:Concept {concept_id: 'c3', label: 'Ada Lovelace', description: 'Countess'})
  CREATE (d:Concept {concept_id: 'c4', label: '{x} \`y\`'})
  CREATE (s2:Source {source_id: 's2', document: 'Notes', paragraph: 2, full_text: 'The second part.'})
  CREATE (s1:Source {source_id: 's1', document: 'Notes', paragraph: 1, full_text: 'The first part.'})
  CREATE (s3:Source {source_id: 's3', document: 'Letters', paragraph: 1, full_text: 'Dear Ada'})
  CREATE (b)-[:WROTE_ABOUT {confidence: 0.9}]->(a)
  CREATE (d)-[:RELATES_TO]->(a)
  CREATE (a)-[:APPEARS]->(s1)
  $$) AS (x agtype);
`;

let publisher: Publisher;
let kg: Installation;
let old: PostgresServer;
let container: string;
let blocks: Map<string, string>;
beforeAll(async () => {
  blocks = await markedBlocks('migrating.md', 'run');
  publisher = await Publisher.create();
  await publisher.add('1.0.0');
  await publisher.issue(['--set', 'stable=1.0.0']);
  kg = await Installation.standalone(publisher);
  const flags = ['--yes', '--ai-provider', 'local', '--embedding', 'local'];
  await kg.ok(['up', ...flags], { env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD } });
  old = await startPostgres(await ensureImage('postgres'));
  const port = String(old.settings.port);
  const names = (await docker('ps', '--format', '{{.Names}} {{.Ports}}')).split('\n');
  container = names.find((line) => line.includes(`127.0.0.1:${port}->`))?.split(' ')[0] ?? '';
  // As the image of the old platform has it: who is in the container needs no password.
  const trust = 'sed -i "s/^local .*/local all all trust/" /etc/kg-postgres/pg_hba.conf';
  await docker('exec', '-u', '0', container, 'sh', '-c', trust);
  await docker('kill', '--signal', 'HUP', container);
  await until('psql needs no password', () => psql('kg', 'SELECT 1').then(Boolean, () => false));
  const roles = 'CREATE ROLE admin SUPERUSER LOGIN; CREATE DATABASE knowledge_graph OWNER admin;';
  await psql('kg', roles.split('; ').join(';\n'));
  await psql('knowledge_graph', OLD_GRAPH);
}, 900_000);
afterAll(async () => {
  await old?.close();
  await kg?.destroy();
  await publisher?.remove();
});

const psql = async (database: string, input: string): Promise<string> =>
  expectCode(
    await run(
      'docker',
      ['exec', '-i', container, 'psql', '-U', 'kg', '-d', database, '-qAtXv', 'ON_ERROR_STOP=1'],
      { input },
    ),
  ).stdout;
const oldData = () =>
  docker('exec', container, 'pg_dump', '-U', 'kg', '--restrict-key=same', 'knowledge_graph');

/** Runs a block of the page with the names and ports of this test. */
async function follow(name: string, cwd = kg.root): Promise<Result> {
  const script = (blocks.get(name) ?? 'exit 99')
    .replaceAll('kg-postgres-dev', container)
    .replaceAll('http://127.0.0.1:8001', `http://127.0.0.1:${kg.apiPort}`);
  const env = { ...kg.environment, KG_ADMIN_PASSWORD: ADMIN_PASSWORD, ADA_PASSWORD: 'what only Ada types' };
  return expectCode(await run('bash', ['-euo', 'pipefail', '-c', script], { cwd, env }));
}

test('docs/migrating.md, from the old graph to the new one and back', async () => {
  expect([...blocks.keys()]).toEqual(['save', 'configure', 'read', 'write', 'compare', 'back']);
  const before = await oldData();
  const oldFolder = dirname(kg.root);
  await writeFile(join(oldFolder, '.env'), 'ENCRYPTION_KEY=of-the-old-one\n');
  await follow('save', oldFolder);
  const restored = join(oldFolder, 'old/knowledge_graph.dump');
  expect((await readFile(restored)).subarray(0, 5).toString()).toBe('PGDMP');

  await follow('configure');
  expect((await kg.logIn('what only Ada types', 'ada')).status).toBe(200);
  const { stdout: counts } = await follow('read');
  expect(counts).toMatch(/4 concepts.jsonl\n +2 relations.jsonl\n +2 documents.jsonl\n/);
  expect((await follow('write')).stdout).toBe('');

  await kg.logIn();
  const { body: graph } = await kg.api<{
    nodes: { name: string; description: string | null }[];
    edges: object[];
  }>('GET', '/graph');
  expect(graph.nodes.map(({ name, description }) => [name, description]).sort()).toEqual([
    ['Ada Lovelace', 'Countess'],
    ['Analytical Engine', expect.stringContaining('"general" – by Babbage')],
    ['{x} `y`', null],
  ]);
  expect(graph.edges).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ from: 'Ada Lovelace', to: 'Analytical Engine', type: 'WROTE_ABOUT' }),
    ]),
  );
  expect(graph.edges).toHaveLength(2);
  const { body: list } = await kg.api<{ documents: { id: string; title: string }[] }>('GET', '/documents');
  const notes = list.documents.find(({ title }) => title === 'Notes')?.id ?? '';
  const { body: document } = await kg.api<{ text: string }>('GET', `/documents/${notes}`);
  expect(document.text).toBe('The first part.\n\nThe second part.');

  const compared = (await follow('compare')).stdout.split('\n').slice(0, 4);
  expect(compared).toEqual(['3', '2', '3', '2']);
  await follow('back');
  expect(await oldData()).toBe(before);
});

test('restore refuses the dump of the old platform, and says so', async () => {
  await kg.ok(['start']);
  await copyFile(join(dirname(kg.root), 'old/knowledge_graph.dump'), kg.path('old.dump'));
  const { code, document } = await kg.json(['restore', './old.dump', '--dry-run']);
  expect([code, document.error.code]).toEqual([3, 'DUMP_INCOMPLETE']);
});
