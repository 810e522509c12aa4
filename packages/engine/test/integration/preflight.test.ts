import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import tar from 'tar-stream';
import { stalled } from '../../src/adapters/pull-errors.ts';
import { configureFileStore } from '../../src/config/file-store.ts';
import { openSession } from '../../src/database/session.ts';
import { readMigrations } from '../../src/migrations/files.ts';
import { buildRelease, type ReleaseInput } from '../../src/release/build.ts';
import type { Hop } from '../../src/release/hops.ts';
import { parseRelease } from '../../src/release/manifest.ts';
import type { RunContext } from '../../src/run/context.ts';
import { type Finding, type PreflightQuestion, preflight } from '../../src/upgrade/preflight.ts';
import { type EmbeddedDatabase, migratedDatabase } from '../embedded-database.ts';
import { digest, fakeImages, image } from '../fake-images.ts';
import { container, declared, runningPlatform } from '../observed.ts';
import { POLICY, releaseInput } from '../releases.ts';

// A real ledger and real sizes; Docker is a fake.
let database: EmbeddedDatabase;
let root: string;
let migrations: ReleaseInput['migrations'];
beforeAll(async () => {
  database = await migratedDatabase();
  await configureFileStore(database.db, { actor: 'test' });
  migrations = await readMigrations();
});
afterAll(() => database.close());
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kg-preflight-'));
  await mkdir(join(root, '.operator'));
  await mkdir(join(root, 'hooks'));
  await writeFile(join(root, 'operator.sh'), '#!/bin/sh\nKG_VERSION=0.1.0\n');
});
afterEach(() => rm(root, { recursive: true, force: true }));

const API = `registry.example/kg-api@${digest('a')}`;
const WEB = `registry.example/kg-web@${digest('b')}`;
const ROOMY = { total: 100e9, available: 50e9 };

interface World {
  requires?: Partial<ReleaseInput['policy']['requires']>;
  migrations?: ReleaseInput['migrations'];
  services?: string[];
  contract?: string[];
}

function hop(
  version: string,
  { requires = {}, services = ['api', 'web'], contract = [], ...more }: World = {},
): Hop {
  const images = Object.fromEntries(
    services.map((name) => [
      name,
      { name: `registry.example/kg-${name}`, digest: digest('a'), platforms: {} },
    ]),
  );
  const input = releaseInput(version, { requires: { ...POLICY.requires, ...requires } });
  const release = parseRelease(buildRelease({ ...input, images, migrations: more.migrations ?? migrations }));
  return {
    release,
    class: contract.length > 0 ? 'planned-downtime' : 'rolling',
    pending: contract,
    contract,
  };
}

function world(hops = [hop('1.1.0')], change: Partial<PreflightQuestion> = {}) {
  const images = fakeImages({
    registry: [image(digest('1'), { digests: [API] }), image(digest('2'), { digests: [WEB] })],
  });
  let postgres: { total: number; available: number } | null = ROOMY;
  const context = {
    settings: {
      mode: 'containers',
      root,
      stateDirectory: join(root, '.operator'),
      dataDirectory: root,
      project: 'kg',
    },
    images,
    compose: { version: async () => '2.26.1-4' },
    runtime: { listContainers: async () => [container('postgres')], diskIn: async () => postgres },
    openSession: () => openSession(database.settings),
    configDatabase: () => database.db,
    clock: { date: () => new Date() },
    signal: new AbortController().signal,
  } as unknown as RunContext;
  const question: PreflightQuestion = {
    hops,
    observed: runningPlatform(),
    pins: { version: '1.0.0', images: {} },
    images: [API, WEB],
    bundle: null,
    backup: true,
    ...change,
  };
  return {
    images,
    context,
    question,
    fillPostgres: (available: number) => {
      postgres = { total: 90e9, available };
    },
    run: () => preflight(context, question),
  };
}
const codes = (findings: Finding[]) => findings.map(({ code }) => code);

test('a platform that is well, and a registry that has it all: nothing', async () => {
  const { run, images } = world();
  expect(await run()).toEqual([]);
  expect(images.pulls).toEqual([]);
});

test.each([
  [
    'DOCKER_TOO_OLD',
    { dockerApi: { min: '1.46', max: null } },
    'this Docker speaks API 1.45, and 1.1.0 wants 1.46 or newer',
  ],
  [
    'DOCKER_TOO_NEW',
    { dockerApi: { min: '1.9', max: '1.44' } },
    'this Docker speaks API 1.45, and 1.1.0 works with 1.44 at most',
  ],
  ['COMPOSE_TOO_OLD', { compose: '2.30.0' }, 'Docker Compose is 2.26.1-4, and 1.1.0 wants 2.30.0 or newer'],
  ['SHIM_TOO_OLD', { shim: '0.2.0' }, 'operator.sh is 0.1.0, and 1.1.0 wants 0.2.0 or newer'],
  ['MEMORY_TOO_SMALL', { memoryBytes: 16e9 }, 'this host has 8.0 GB of memory, and 1.1.0 wants 16.0 GB'],
])('%s, of any release on the way', async (code, requires, message) => {
  const { run } = world([hop('1.1.0', { requires }), hop('1.2.0', { requires })]);
  expect(await run()).toEqual([{ code, message, fix: expect.stringMatching(/.{10,}/) }]);
});

test('versions are compared by number: 2.9 is older than 2.24', async () => {
  const { context, run } = world([hop('1.1.0', { requires: { compose: '2.24.4' } })]);
  context.compose.version = async () => '2.9.0';
  expect(codes(await run())).toEqual(['COMPOSE_TOO_OLD']);
});

test('an operator.sh that does not say its version', async () => {
  await writeFile(join(root, 'operator.sh'), '#!/bin/sh\n');
  expect(codes(await world().run())).toEqual(['SHIM_UNKNOWN']);
});

test('services that are not up, or are not in the compose files', async () => {
  const { question, run } = world([hop('1.1.0', { services: ['api', 'web', 'gatewy'] })]);
  for (const service of question.observed.services) {
    if (service.name === 'api')
      service.containers = [container('api', { health: 'unhealthy', status: 'Up 2 hours (unhealthy)' })];
    if (service.name === 'web') service.containers = [];
  }
  expect((await run()).map(({ code, message }) => `${code} ${message}`)).toEqual([
    'UNHEALTHY api is not up: Up 2 hours (unhealthy)',
    'UNHEALTHY web is not up: it has no container',
    'SERVICE_UNKNOWN 1.1.0 has an image for gatewy, and the compose files have no such service (only gateway)',
  ]);
});

test('a database that does not answer, credentials that do not open, a key that is gone', async () => {
  const { question, run } = world();
  const { database: seen } = question.observed;
  if (seen.reachable && seen.config)
    seen.config.unreadable = [
      { problem: 'the stored credential "ai/openai" can not be decrypted', fix: 'set it again' },
    ];
  expect(await run()).toEqual([
    { code: 'CREDENTIALS_UNREADABLE', message: expect.stringContaining('ai/openai'), fix: 'set it again' },
  ]);
  question.observed.encryptionKeyId = null;
  expect(codes(await run())).toEqual(['SECRET_MISSING']);
  question.observed.database = { reachable: false, reason: 'connect ECONNREFUSED' };
  expect(codes(await run())).toEqual(['DATABASE_UNREACHABLE']);
});

test('migrations: a changed file, one the release does not know, a half applied one', async () => {
  const last = migrations.at(-1)?.id as string;
  const { session } = database;
  const without = hop('1.1.0', { migrations: migrations.slice(0, -1) });
  expect(await world([without]).run()).toEqual([
    expect.objectContaining({ code: 'SCHEMA_UNKNOWN', message: expect.stringContaining(last) }),
  ]);
  await session.query(
    "UPDATE kg_operator.schema_migrations SET checksum = repeat('0', 64) WHERE id = (SELECT min(id) FROM kg_operator.schema_migrations)",
  );
  const [saved] = await session.query<{ state: string }>(
    `SELECT state FROM kg_operator.schema_migrations WHERE id = '${last}'`,
  );
  await session.query(`UPDATE kg_operator.schema_migrations SET state = 'running' WHERE id = '${last}'`);
  try {
    expect(codes(await world().run())).toEqual(['MIGRATION_CHANGED', 'MIGRATION_UNFINISHED']);
  } finally {
    await session.query(
      `UPDATE kg_operator.schema_migrations SET state = '${saved?.state}' WHERE id = '${last}'`,
    );
    for (const { id, checksum } of await readMigrations())
      await session.query(
        `UPDATE kg_operator.schema_migrations SET checksum = '${checksum}' WHERE id = '${id}'`,
      );
  }
  expect(await world().run()).toEqual([]);
});

test('a rotation and a restore that were cut off, and hooks that would not run', async () => {
  await writeFile(join(root, '.operator/exchange.json'), '{"incoming":"kg_new","outgoing":"kg_old"}');
  await writeFile(join(root, 'hooks/pre-upgrade'), '#!/bin/sh\n', { mode: 0o644 });
  await writeFile(join(root, 'hooks/pre_backup'), '#!/bin/sh\n', { mode: 0o755 });
  const { question, run } = world();
  question.observed.rotation = 'oauth-key';
  expect((await run()).map(({ code, fix }) => `${code}: ${fix}`)).toEqual([
    'ROTATION_UNFINISHED: ./operator.sh rotate oauth-key',
    'RESTORE_UNFINISHED: ./operator.sh start says on which of the two the platform runs',
    'HOOK_UNUSABLE: chmod +x hooks/pre-upgrade',
    'HOOK_UNUSABLE: mv hooks/pre_backup hooks/pre-backup',
  ]);
});

test('images: what is here is not asked for; what can not be had is told once for each reason', async () => {
  const { images, run } = world();
  images.ask = async (reference) => {
    throw stalled(reference, 30);
  };
  const findings = await run();
  expect(findings).toEqual([expect.objectContaining({ code: 'REGISTRY_UNREACHABLE' })]);
  expect(findings[0]?.message).toMatch(/the same for 1 more$/);
  images.local
    .set('1', image(digest('1'), { digests: [API] }))
    .set('2', image(digest('2'), { digests: [WEB] }));
  expect(await run()).toEqual([]);
});

test('images of a bundle: its list must have them, the registry is not asked', async () => {
  const pack = tar.pack();
  const config = 'c'.repeat(64);
  const inner = tar.pack();
  inner.entry({ name: `blobs/sha256/${config}` }, '{}');
  inner.entry(
    { name: 'manifest.json' },
    JSON.stringify([{ Config: `blobs/sha256/${config}`, RepoTags: null }]),
  );
  inner.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of inner as AsyncIterable<Buffer>) chunks.push(chunk);
  pack.entry({ name: 'images.tar' }, Buffer.concat(chunks));
  pack.finalize();
  const bundle = join(root, 'kg.tar');
  await writeFile(bundle, pack as AsyncIterable<Uint8Array>);
  const { images, question, run } = world(undefined, { bundle, images: [digest('c')] });
  images.ask = async () => {
    throw new Error('the registry must not be asked');
  };
  expect(await run()).toEqual([]);
  question.images = [digest('c'), digest('d')];
  expect(await run()).toEqual([
    expect.objectContaining({ code: 'BUNDLE_INCOMPLETE', message: `${bundle} lacks ${digest('d')}` }),
  ]);
});

test('space: for images that are not here, for the copy before a contract migration, for the backup', async () => {
  const few = { total: 80e9, available: 1e9 };
  const { images, run } = world([hop('1.1.0', { requires: { diskBytes: 2e9 } })]);
  images.disk = async () => few;
  expect(await run()).toEqual([
    {
      code: 'DISK_FULL',
      message:
        "not enough space in Docker's image store: 2.0 GB are needed, 1.0 GB are free (images in Docker's image store: 2.0 GB (what the release says that they take), 1.0 GB are free)",
      fix: expect.stringContaining('nothing was changed'),
    },
  ]);
  images.local
    .set('1', image(digest('1'), { digests: [API] }))
    .set('2', image(digest('2'), { digests: [WEB] }));
  expect(await run()).toEqual([]);

  const contract = world([hop('1.1.0', { contract: ['0009_contract'] })], { backup: false });
  expect(await contract.run()).toEqual([]);
  contract.fillPostgres(1000);
  expect((await contract.run())[0]?.message).toContain('a copy of the database');
  const plain = world([hop('1.1.0')], { backup: true });
  plain.fillPostgres(1000);
  expect((await plain.run())[0]?.message).toContain('the trial restore');
});

test('everything at once, and what Docker does not say is a finding, too', async () => {
  await writeFile(join(root, 'operator.sh'), 'KG_VERSION=0.0.1\n');
  await writeFile(join(root, 'hooks/post-upgrade'), '', { mode: 0o600 });
  const { context, images, question, run } = world([
    hop('1.1.0', {
      requires: {
        dockerApi: { min: '1.99', max: null },
        compose: '9.0.0',
        memoryBytes: 99e9,
        diskBytes: 99e9,
      },
      services: ['api', 'web', 'console2'],
      migrations: migrations.slice(0, -1),
    }),
  ]);
  images.ask = async (reference) => {
    throw stalled(reference, 30);
  };
  question.observed.rotation = 'unknown';
  question.observed.services = question.observed.services.map((service) =>
    service.name === 'gateway' ? { ...service, containers: [] } : service,
  );
  expect(question.observed.services).toHaveLength(declared.length);
  expect(codes(await run())).toEqual([
    'DOCKER_TOO_OLD',
    'COMPOSE_TOO_OLD',
    'SHIM_TOO_OLD',
    'MEMORY_TOO_SMALL',
    'UNHEALTHY',
    'SERVICE_UNKNOWN',
    'SCHEMA_UNKNOWN',
    'ROTATION_UNFINISHED',
    'HOOK_UNUSABLE',
    'REGISTRY_UNREACHABLE',
    'DISK_FULL',
  ]);
  const gone = stalled('Docker', 1);
  images.engine = async () => {
    throw gone;
  };
  expect(codes(await run()).slice(0, 2)).toEqual(['REGISTRY_UNREACHABLE', 'COMPOSE_TOO_OLD']);
  context.compose.version = async () => {
    throw new TypeError('a bug');
  };
  await expect(run()).rejects.toThrow('a bug');
});
