import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { freePort } from '../../packages/engine/test/installed-package.ts';
import { begin, docker, expectCode, type Result, run } from './command.ts';
import { ensureImage, REPOSITORY } from './images.ts';
import { writeManyMigrations } from './many-migrations.ts';
import { randomNumbers } from './random.ts';
import { until } from './wait.ts';

const POINTS = process.env.KG_TEST_FULL === '1' ? 200 : 12;
jest.setTimeout(60_000 + POINTS * 20_000);

const name = `kge2e-crash-${randomBytes(4).toString('hex')}`;
const password = randomBytes(24).toString('hex');
let port: number;
let scratch: string;
let expected: { schema: string; milliseconds: number };

// A container that stays when it is killed, on a port that it finds again.
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'kg-crash-'));
  expectCode(await run('node', ['packages/engine/build.js', scratch], { cwd: REPOSITORY }));
  await writeManyMigrations(join(scratch, 'migrations'), 100);
  port = await freePort();
  const options = ['-d', '--name', name, '--shm-size', '256m', '-e', 'POSTGRES_PASSWORD'];
  const image = await ensureImage('postgres');
  expectCode(
    await run('docker', ['run', ...options, '-p', `127.0.0.1:${port}:5432`, image], {
      env: { POSTGRES_PASSWORD: password },
    }),
  );
  await answers();
  // A process that is killed loses what PostgreSQL had not written, not what the system had not synced: waiting for the disk proves nothing.
  await psql('kg', 'ALTER SYSTEM SET fsync = off');
  await psql('kg', 'SELECT pg_reload_conf()');
  expected = await uninterrupted();
});
afterAll(async () => {
  await docker('rm', '-f', '-v', name);
  await rm(scratch, { recursive: true, force: true });
});

/** Inside, where the password is: it is in no argument. */
const inside = (...command: string[]) =>
  docker(
    'exec',
    name,
    'sh',
    '-c',
    'PGPASSWORD=$POSTGRES_PASSWORD PGHOST=/run/postgresql PGUSER=kg exec "$@"',
    'sh',
    ...command,
  );

const psql = (database: string, sql: string) =>
  inside('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', sql, database);

async function answers(): Promise<void> {
  await until('PostgreSQL answers', async () => (await psql('kg', 'SELECT 1')) === '1', { everyMs: 50 });
}

function startRunner(database: string) {
  const url = `postgres://kg@127.0.0.1:${port}/${database}`;
  return begin(
    'node',
    [join(scratch, 'bin/run.js'), 'migrate', '--dir', join(scratch, 'migrations'), '--json'],
    {
      env: { DATABASE_URL: url, POSTGRES_PASSWORD: password },
      seconds: 600,
    },
  );
}

/** The schema as text, without what pg_dump makes up anew each time. */
async function schemaOf(database: string): Promise<string> {
  const dump = await inside('pg_dump', '--schema-only', database);
  return dump.replace(/^\\(?:un)?restrict .*$/gm, '');
}

async function uninterrupted(): Promise<{ schema: string; milliseconds: number }> {
  await psql('kg', 'CREATE DATABASE whole');
  const started = performance.now();
  expectCode(await startRunner('whole').done);
  const milliseconds = performance.now() - started;
  await assertEachOnce('whole');
  return { schema: await schemaOf('whole'), milliseconds };
}

async function assertEachOnce(database: string): Promise<void> {
  const log = await psql(database, 'SELECT count(*), count(DISTINCT file), min(file), max(file) FROM log');
  expect(log).toBe('100|100|1|100');
  expect(
    await psql(database, "SELECT count(*) FROM kg_operator.schema_migrations WHERE state = 'applied'"),
  ).toBe('100');
  expect(await psql(database, 'SELECT count(*) FROM pg_index WHERE NOT indisvalid')).toBe('0');
}

const KILLS = {
  /** What the runner had sent goes on in PostgreSQL, and the next one comes at once. */
  runner: async (_database: string, running: ReturnType<typeof startRunner>) => running.signal('SIGKILL'),
  /** A crash of one backend makes PostgreSQL end all, lose what was not on disk, and recover. */
  async backend(database: string) {
    const sql = `SELECT pid FROM pg_stat_activity WHERE datname = '${database}' AND state = 'active' AND pid <> pg_backend_pid() LIMIT 1`;
    const pid = await psql('kg', sql);
    if (pid) await run('docker', ['exec', name, 'sh', '-c', `kill -9 ${pid}`]); // it may have ended by itself
  },
  async server() {
    await docker('kill', '-s', 'KILL', name);
    await docker('start', name);
  },
};

const seed = Number(process.env.KG_TEST_SEED ?? 5);
const random = randomNumbers(seed);
const points = Array.from({ length: POINTS }, (_, index) => ({
  index,
  kill: (['runner', 'backend', 'runner', 'server'] as const)[index % 4] ?? 'runner',
  moment: random(),
}));

test.each(points)(
  `killed at a random point (seed ${seed}, $index: $kill at $moment of the run), run again: the schema of an uninterrupted run, each file once`,
  async ({ index, kill, moment }) => {
    const database = `point_${index}`;
    await psql('kg', `CREATE DATABASE ${database}`);
    const running = startRunner(database);
    await sleep(150 + moment * expected.milliseconds);
    await KILLS[kill](database, running);
    // Once more, a little later, where the second run has only begun.
    const again = kill === 'runner' ? startRunner(database) : null;
    if (again) {
      await sleep(moment * 700);
      again.signal('SIGKILL');
    }
    const first: Result = await running.done;
    await again?.done;
    await answers();
    const last = expectCode(await startRunner(database).done);
    expect(JSON.parse(last.stdout)).toMatchObject({ ok: true });
    await assertEachOnce(database);
    expect(await schemaOf(database)).toBe(expected.schema);
    // Done before, or told of the lost connection.
    if (kill !== 'runner' && ![0, 7, 8].includes(first.code))
      throw new Error(`exit ${first.code}: ${first.stdout}`);
    await psql('kg', `DROP DATABASE ${database} WITH (FORCE)`);
  },
);

test('twenty runners at once: each file is applied once, all exit 0', async () => {
  await psql('kg', 'CREATE DATABASE twenty');
  const results = await Promise.all(Array.from({ length: 20 }, () => startRunner('twenty').done));
  expect(results.map(({ code }) => code)).toEqual(Array(20).fill(0));
  const applied = results.flatMap(
    ({ stdout }) => (JSON.parse(stdout) as { data: { applied: string[] } }).data.applied,
  );
  expect(applied).toHaveLength(100);
  expect(new Set(applied).size).toBe(100);
  await assertEachOnce('twenty');
  expect(await schemaOf('twenty')).toBe(expected.schema);
});
