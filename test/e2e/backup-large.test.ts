import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { objectDigests, rowDigests } from './digests.ts';
import { documentStore, fillGraph, fillObjects, fillTable } from './filling.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';

/*
 * A round trip of much data by real commands: in full more than 1 GiB of rows, three graphs of 100,000 vertices and edges, 1,000 objects.
 */
const full = process.env.KG_TEST_FULL === '1';
const megabytes = full ? 1150 : 40;
const graphSize = full ? 100_000 : 5000;
const objects = full ? 1000 : 100;
const largest = full ? 300e6 : 20e6;

interface Counts {
  rows: number;
  vertices: number;
  edges: number;
  objects: number;
  objectBytes: number;
}

let installation: Installation;
let before: { rows: string[]; objects: string[] };

beforeAll(async () => {
  installation = await Installation.create({ dev: false });
  await installation.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
  await installation.logIn();
  await installation.api('POST', '/concepts', { name: 'Ada' });
  await fillTable(installation, megabytes);
  for (const graph of ['one', 'two', 'three']) await fillGraph(installation, graph, graphSize);
  const store = await documentStore(installation);
  await fillObjects(store, objects, largest);
  before = { rows: await rowDigests(installation), objects: await objectDigests(store) };
}, 1_200_000);

afterAll(() => installation?.destroy(), 120_000);

test('a verified backup counts what there is', async () => {
  const { document } = await installation.json<{ backup: { state: string; size: number; counts: Counts } }>([
    'backup',
  ]);
  expect(document).toMatchObject({
    ok: true,
    data: {
      backup: {
        state: 'verified',
        counts: {
          graphs: 4,
          vertices: 3 * graphSize + 1,
          edges: 3 * graphSize,
          objects: objects + 10,
        },
      },
    },
  });
}, 1_200_000);

test('everything is lost or changed, and comes back: rows, vertices, edges, properties, objects, settings', async () => {
  await installation.psql(
    `LOAD 'age'; SET search_path = ag_catalog, public;
     TRUNCATE public.bulk; SELECT drop_graph('two', true); DELETE FROM one."Road"; UPDATE three."Place" SET properties = '{}';
     UPDATE kg_api.users SET disabled_at = now();`,
  );
  const { client, bucket } = await documentStore(installation);
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'documents/0/0' }));
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'largest', Body: 'smaller now' }));

  const restored = await installation.json(['restore', 'latest', '--confirm', installation.prefix]);
  expect(restored.document).toMatchObject({ ok: true, data: { restored: true } });

  expect(await rowDigests(installation)).toEqual(before.rows);
  expect(await objectDigests(await documentStore(installation))).toEqual(before.objects);
}, 1_200_000);

test('the restored platform takes new writes, labels and graphs', async () => {
  expect((await installation.logIn()).status).toBe(200);
  expect((await installation.api('POST', '/concepts', { name: 'After' })).status).toBe(201);
  const [hop] = await installation.psql(
    `LOAD 'age'; SET search_path = ag_catalog, public;
     SELECT * FROM cypher('two', $$ MATCH (a:Place {n: 1})-[r:Road]->(b:Place) RETURN b.n $$) AS (n agtype);`,
  );
  expect(hop).toBe('2');
  const made = await installation.psql(
    `LOAD 'age'; SET search_path = ag_catalog, public;
     SELECT * FROM cypher('two', $$ CREATE (:Place {n: 0})-[:Ferry {new: true}]->(h:Harbour {name: 'new'}) RETURN h.name $$) AS (n agtype);
     SELECT create_graph('four');
     SELECT * FROM cypher('four', $$ CREATE (a:A {x: 1}) RETURN a.x $$) AS (n agtype);
     SELECT count(*) - count(DISTINCT id) FROM two._ag_label_vertex;`,
  );
  expect(made.filter(Boolean)).toEqual(['"new"', '1', '0']);
}, 120_000);
