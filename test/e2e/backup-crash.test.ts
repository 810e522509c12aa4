import { readdir, readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { docker, run } from './command.ts';
import { allRowDigests, objectDigests, withoutRestore } from './digests.ts';
import {
  buckets,
  causeFault,
  type Disks,
  endFault,
  engineProcesses,
  engineRuns,
  type Fault,
  scratchContainers,
  scratchVolumes,
} from './faults.ts';
import { documentStore, fillGraph, fillObjects, fillTable } from './filling.ts';
import { ADMIN_PASSWORD, Installation, type JsonDocument } from './installation.ts';
import { limitedDisk, volumeIn } from './limited-disk.ts';
import { randomNumbers } from './random.ts';
import { until } from './wait.ts';

/*
 * Backups and restores that are interrupted at random moments: kill -9 of the engine and of each of its servers, and full disks. In full
 * 50 moments; KG_TEST_SEED chooses them.
 */
const POINTS = process.env.KG_TEST_FULL === '1' ? 50 : 6;
/** No command may take longer, whatever happens to it. */
const DEADLINE_SECONDS = 150;
jest.setTimeout(2 * DEADLINE_SECONDS * 1000 + 120_000);

const MARKER = 'plaintext-that-must-not-be-found-on-a-disk';
const SETTINGS = ['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'];

type Name = 'backup' | 'verify' | 'restore';
/** In this order, and again from the beginning: the first ones are the sample. */
const CASES: [Name, Fault][] = [
  ['restore', 'engine'],
  ['backup', 'full backups'],
  ['restore', 'server'],
  ['verify', 'trial'],
  ['restore', 'full postgres'],
  ['backup', 'garage'],
  ['restore', 'engine'],
  ['backup', 'engine'],
  ['restore', 'backend'],
  ['restore', 'garage'],
  ['backup', 'server'],
  ['verify', 'engine'],
  ['restore', 'full garage'],
  ['backup', 'trial'],
  ['verify', 'full garage'],
  ['restore', 'server'],
  ['backup', 'backend'],
  ['verify', 'garage'],
  ['restore', 'engine'],
  ['backup', 'engine'],
  ['verify', 'server'],
];

let kg: Installation;
let disks: Disks;
/** The backup that is verified and restored, and what it holds. */
let saved: { id: string; rows: string[]; objects: string[] };
const milliseconds = {} as Record<Name, number>;
let clean: Leftovers;
const outcomes = new Map<string, number>();

beforeAll(async () => {
  kg = await Installation.create({ dev: false });
  await kg.ok(['init']);
  disks = {
    backups: await limitedDisk(300, kg.path('backups')),
    postgres: await limitedDisk(3000),
    garage: await limitedDisk(1000),
  };
  const data = await disks.postgres.folder('data');
  await run('chown', ['999:999', data]);
  await volumeIn(data, kg.prefix, 'postgres-data');
  await volumeIn(await disks.garage.folder('data'), kg.prefix, 'garage-data');
  await volumeIn(await disks.garage.folder('meta'), kg.prefix, 'garage-meta');
  await kg.ok(SETTINGS, { env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD } });
  await kg.psql("ALTER SYSTEM SET max_wal_size = '200MB'; SELECT pg_reload_conf();");
  await kg.ok(['backup', 'kit', 'new', '--export', 'kit.txt', '--yes']);
  await kg.logIn();
  await kg.api('POST', '/documents', { title: MARKER, text: `${MARKER}\n`.repeat(2000) });
  await fillTable(kg, 30);
  await kg.psql(
    `COMMENT ON TABLE public.bulk IS '${MARKER}'; UPDATE public.bulk SET body = '${MARKER}' WHERE id < 100;`,
  );
  await fillGraph(kg, 'one', 4000);
  await fillObjects(await documentStore(kg), 50, 10e6);
  await uninterrupted();
}, 900_000);

afterAll(async () => {
  const lines = [...outcomes].sort().map(([outcome, count]) => `${count} × ${outcome}`);
  if (lines.length > 0) process.stderr.write(`outcomes (seed ${seed}):\n${lines.join('\n')}\n`);
  await disks?.backups.remove();
  await kg?.destroy();
  await disks?.postgres.remove();
  await disks?.garage.remove();
}, 120_000);

function command(name: Name): string[] {
  if (name === 'backup') return ['backup'];
  if (name === 'verify') return ['backup', 'verify', saved.id];
  return ['restore', saved.id, '--confirm', kg.prefix];
}

/** Each command, to know how long it takes, and what is there when nothing goes wrong. */
async function uninterrupted(): Promise<void> {
  for (const name of ['backup', 'verify', 'restore', 'restore'] as const) {
    const started = performance.now();
    const { document, result } = await kg.json<{ backup: { id: string } }>(command(name));
    if (!document.ok) throw new Error(result.stdout + result.stderr);
    milliseconds[name] = Math.round(performance.now() - started);
    if (name === 'backup') {
      const { rows, objects } = await liveData();
      saved = { id: document.data.backup.id, rows, objects };
    }
  }
  process.stderr.write(`uninterrupted, in ms: ${JSON.stringify(milliseconds)}\n`);
  await kg.ok(['backup', 'prune', '--previous', '--yes']);
  expect(await liveData()).toMatchObject({ rows: saved.rows, objects: saved.objects });
  clean = await leftovers();
  expect(clean).toMatchObject({ scratch: [], processes: [], databases: ['kg', 'postgres'] });
  expect(clean.buckets).toHaveLength(1);
}

interface LiveData {
  /** But for what a restore itself writes. */
  rows: string[];
  everything: string[];
  objects: string[];
}

async function liveData(): Promise<LiveData> {
  const everything = await allRowDigests(kg);
  return {
    rows: withoutRestore(everything),
    everything,
    objects: await objectDigests(await documentStore(kg)),
  };
}

interface Leftovers {
  scratch: string[];
  processes: string[];
  databases: string[];
  buckets: number[] | string[];
  temporary: string[];
  host: string[];
}

/** Whatever an interrupted command could leave. */
async function leftovers(): Promise<Leftovers> {
  const temporary = await docker(
    'exec',
    `${kg.prefix}-operator`,
    'find',
    '/tmp',
    '/dev/shm',
    // The installation itself is mounted beneath /tmp, too.
    '-xdev',
    '-mindepth',
    '1',
  );
  const host = [...(await readdir(kg.root)), ...(await readdir(kg.path('.operator')))];
  return {
    scratch: await scratchContainers(kg),
    processes: (await engineProcesses(kg)).map(({ args }) => args),
    databases: await kg.psql('SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1'),
    buckets: await buckets(kg),
    temporary: temporary.split('\n').sort(),
    host: host.sort(),
  };
}

/** The live platform is changed, so that it differs from what a restore would make of it. */
async function changeData(point: number): Promise<void> {
  await kg.psql(
    `UPDATE public.bulk SET body = 'changed at ${point}' WHERE id = 1000; DELETE FROM public.bulk WHERE id = 1001;`,
  );
  expect(await kg.logIn()).toMatchObject({ status: 200 });
  for (const [path, body] of [
    ['/concepts', { name: `Concept ${point}` }],
    ['/documents', { title: `Document ${point}`, text: `of ${point}` }],
  ] as const)
    expect(await kg.api('POST', path, body)).toMatchObject({ status: 201 });
}

/** It ended as it should: done, or with a documented code and a next step; no stack. Returns what to call that. */
function judge(code: number, fault: Fault, stdout: string, stderr: string): string {
  if (fault === 'engine' && code === 137) {
    expect(stdout).not.toContain('"ok": true');
    return 'killed';
  }
  const document = JSON.parse(stdout) as JsonDocument;
  expect(stdout + stderr).not.toMatch(/^\s+at .*[:(]\d+/m);
  if (code === 0) {
    expect(document.ok).toBe(true);
    return 'done';
  }
  expect([3, 6, 7, 8, 9]).toContain(code);
  expect(document).toMatchObject({ ok: false, error: { hint: expect.stringMatching(/\w/) } });
  // The backup itself is good: no fault may blame it.
  expect(document.error.code).not.toMatch(/^(?:BUG|BACKUP_)/);
  return document.error.code;
}

const seed = Number(process.env.KG_TEST_SEED ?? 6);
const random = randomNumbers(seed);
// KG_TEST_POINTS=12-24 runs only these of them, as they would be run.
const [first = 0, last = POINTS - 1] = (process.env.KG_TEST_POINTS ?? '')
  .split('-')
  .filter(Boolean)
  .map(Number);
const points = Array.from({ length: POINTS }, (_, point) => {
  const [name, fault] = CASES[point % CASES.length] as [Name, Fault];
  return { point, name, fault, moment: random() };
}).filter(({ point }) => point >= first && point <= last);

test.each(points)(`seed ${seed}, $point: $name, $fault at $moment of the run`, async (one) => {
  try {
    await interrupt(one);
  } catch (error) {
    // At once, and not when all are done.
    process.stderr.write(`${one.point}: FAILED: ${error}\n`);
    throw error;
  } finally {
    await removeOtherBundles();
  }
});

async function interrupt({ point, name, fault, moment }: (typeof points)[number]): Promise<void> {
  if (name === 'restore') await changeData(point);
  const before = await liveData();

  const running = kg.begin([...command(name), '--json'], { seconds: DEADLINE_SECONDS });
  let ended = false;
  const done = running.done.finally(() => {
    ended = true;
  });
  done.catch(() => undefined); // awaited below
  const volumes = new Set<string>();
  const watching = (async () => {
    while (!ended) {
      for (const volume of await scratchVolumes(kg)) volumes.add(volume);
      await sleep(100);
    }
  })();
  await engineRuns(kg, () => ended);
  if (fault === 'trial') await until('a trial', async () => ended || volumes.size > 0, { seconds: 60 });
  // A trial takes the second half of a backup, and nearly all of a verification.
  await sleep(moment * milliseconds[name] * (fault === 'trial' ? 0.4 : 0.8));
  const hit = !ended && (await causeFault(fault, kg, disks));
  const { code, stdout, stderr } = await done;
  await watching;
  await endFault(kg, disks);

  const outcome = judge(code, fault, stdout, stderr);
  const after = await liveData();
  const isRestored = name === 'restore' && JSON.stringify(after.rows) === JSON.stringify(saved.rows);
  if (isRestored) expect(after.objects).toEqual(saved.objects);
  else expect(after).toEqual(before);
  if (code === 0) expect(isRestored).toBe(name === 'restore');
  const where = name === 'restore' ? (isRestored ? ', after the swap' : ', before the swap') : '';
  const count = `${name}, ${fault}: ${hit ? outcome : `${outcome} before it`}${where}`;
  outcomes.set(count, (outcomes.get(count) ?? 0) + 1);
  process.stderr.write(`${point}: ${count}\n`);
  if (code !== 0 && code !== 137) process.stderr.write(`${stdout}\n`);
  const list = await kg.json<{ backups: { id: string; state: string }[] }>(['backup', 'list']);
  expect(list.document.data.backups.filter(({ state }) => state === 'failed')).toEqual([]);

  if (code !== 0) {
    const again = await kg.json(command(name), { seconds: DEADLINE_SECONDS });
    expect(again.document).toMatchObject({ ok: true });
  }
  if (name === 'restore') await kg.ok(['backup', 'prune', '--previous', '--yes']);
  const settled = await liveData();
  if (name === 'restore') expect(settled).toMatchObject({ rows: saved.rows, objects: saved.objects });
  else expect(settled).toEqual(before);
  await expectServing();
  await expectNothingLeft(volumes);
}

async function expectServing(): Promise<void> {
  await until('the API is ready', async () => (await kg.api('GET', '/ready')).status === 200, {
    seconds: 60,
  });
  expect(await kg.logIn()).toMatchObject({ status: 200 });
  const { body } = await kg.api<{ documents: { id: string; title: string }[] }>('GET', '/documents');
  expect(body.documents.map(({ title }) => title)).toContain(MARKER);
  for (const { id } of body.documents)
    expect(await kg.api('GET', `/documents/${id}`)).toMatchObject({ status: 200 });
}

async function expectNothingLeft(volumes: Set<string>): Promise<void> {
  expect(await leftovers()).toEqual({ ...clean, buckets: expect.any(Array) });
  const [bucket] = await kg.psql(
    `SELECT value ->> 'bucket' FROM kg_api.platform_settings WHERE key = 'object_store'`,
  );
  expect(await buckets(kg)).toEqual([bucket]);
  const existing = new Set((await docker('volume', 'ls', '-q')).split('\n'));
  expect([...volumes].filter((volume) => existing.has(volume))).toEqual([]);
  const files = (await readdir(kg.path('backups'))).sort();
  const ids = new Set(files.map((file) => file.replace(/\.(json|tar\.age)$/, '')));
  expect(files).toEqual([...ids].flatMap((id) => [`${id}.json`, `${id}.tar.age`]).sort());
  expect(await plaintextIn('backups')).toEqual([]);
}

async function removeOtherBundles(): Promise<void> {
  for (const file of await readdir(kg.path('backups')))
    if (!file.startsWith(saved.id)) await rm(kg.path('backups', file));
}

async function plaintextIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const file of await readdir(kg.path(folder)))
    if ((await readFile(kg.path(folder, file))).includes(MARKER)) found.push(file);
  return found;
}
