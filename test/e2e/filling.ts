import { randomBytes } from 'node:crypto';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { docker } from './command.ts';
import type { Installation } from './installation.ts';

/** Makes table `public.bulk` of about so many megabytes, with values that do not compress away. */
export function fillTable(installation: Installation, megabytes: number): Promise<string[]> {
  // A row is about 530 bytes: 16 md5 in hexadecimal and a number.
  return installation.psql(
    `CREATE TABLE public.bulk (id bigint PRIMARY KEY, at timestamptz NOT NULL, body text);
     INSERT INTO public.bulk
     SELECT n, '2026-01-01'::timestamptz + n * interval '1 second',
       (SELECT string_agg(md5((n * 16 + part)::text), '') FROM generate_series(1, 16) part)
     FROM generate_series(1, ${Math.round((megabytes * 1e6) / 530)}) n;`,
  );
}

/** Makes a graph with a label of vertices and one of edges, so many of each, with properties of several types. */
export function fillGraph(installation: Installation, graph: string, size: number): Promise<string[]> {
  return installation.psql(
    `LOAD 'age'; SET search_path = ag_catalog, public;
     SELECT create_graph('${graph}'); SELECT create_vlabel('${graph}', 'Place'); SELECT create_elabel('${graph}', 'Road');
     INSERT INTO ${graph}."Place" (properties)
     SELECT format('{"n": %s, "name": "Ort %s \\u00fc\\"", "height": %s.5, "open": true, "tags": ["a", null]}', n, n, n % 3000)::agtype
     FROM generate_series(1, ${size}) n;
     INSERT INTO ${graph}."Road" (start_id, end_id, properties)
     SELECT a.id, b.id, format('{"km": %s}', row_number() OVER ())::agtype
     FROM (SELECT id, row_number() OVER () AS n FROM ${graph}."Place") a
     JOIN (SELECT id, row_number() OVER () AS n FROM ${graph}."Place") b ON b.n = a.n % ${size} + 1;`,
  );
}

export interface DocumentStore {
  client: S3Client;
  bucket: string;
}

/** The platform's bucket, by way of a key that the test makes for itself. */
export async function documentStore(installation: Installation): Promise<DocumentStore> {
  const [bucket = ''] = await installation.psql(
    `SELECT value ->> 'bucket' FROM kg_api.platform_settings WHERE key = 'object_store'`,
  );
  const { garage } = await installation.containers();
  if (!garage) throw new Error('there is no Garage');
  const command = (...args: string[]) => docker('exec', garage.Id, '/garage', ...args);
  const made = await command('key', 'create', `e2e-${randomBytes(4).toString('hex')}`);
  const [accessKeyId = '', secretAccessKey = ''] = ['Key ID', 'Secret key'].map(
    (name) => new RegExp(`${name}: +(\\S+)`).exec(made)?.[1],
  );
  await command('bucket', 'allow', '--read', '--write', bucket, '--key', accessKeyId);
  const [network] = Object.values(garage.NetworkSettings.Networks);
  const client = new S3Client({
    endpoint: `http://${network?.IPAddress}:3900`,
    region: 'garage',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  return { client, bucket };
}

/** Names that file systems, URLs and tar headers stumble over. */
const ODD_NAMES = [
  'a b/c d.txt',
  'ünï/çødé/日本語/😀.bin',
  'percent%20and+plus&amp=1?x#y',
  '.hidden/..almost/...',
  `long/${'x'.repeat(700)}`,
  'quotes\'"`$(id);|\\n',
  'UPPER/upper',
  'UPPER/UPPER',
];

/** Puts so many objects: small ones, an empty one, one of `largest` bytes, and some with odd names and metadata. */
export async function fillObjects(
  { client, bucket }: DocumentStore,
  count: number,
  largest: number,
): Promise<void> {
  const objects = [
    { Key: 'empty', Body: Buffer.alloc(0) },
    { Key: 'largest', Body: randomBytes(largest) },
    ...ODD_NAMES.map((Key) => ({ Key, Body: Buffer.from(Key) })),
    ...Array.from({ length: count }, (_, n) => ({
      Key: `documents/${n % 7}/${n}`,
      Body: randomBytes(1 + ((n * 7919) % 30_000)),
    })),
  ];
  const ContentType = 'text/plain; charset=utf-8';
  while (objects.length > 0) {
    const some = objects.splice(0, 16);
    await Promise.all(
      some.map((object) =>
        client.send(
          new PutObjectCommand({
            ...object,
            Bucket: bucket,
            ContentType,
            Metadata: { by: 'e2e', size: `${object.Body.length}` },
          }),
        ),
      ),
    );
  }
}
