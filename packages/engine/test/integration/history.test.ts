import { mkdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { fileJournal, type JournalEvent, type ReleaseChange } from '../../src/adapters/journal.ts';
import type { History } from '../../src/commands/history/index.ts';
import type { RunReport } from '../../src/commands/history/show.ts';
import { openRunLog, runLogPath } from '../../src/history/log.ts';
import { takeLock } from '../../src/run/lock.ts';
import { type BuiltEngine, buildEngine } from '../built-engine.ts';

const IDS = {
  start: '11110000-0000-4000-8000-000000000000',
  scheduled: '22220000-0000-4000-8000-000000000000',
  failedBackup: '33330000-0000-4000-8000-000000000000',
  upgrade: '44440000-0000-4000-8000-000000000000',
  rollback: '44440000-1111-4000-8000-000000000000',
  running: '55550000-0000-4000-8000-000000000000',
};
const change: ReleaseChange = {
  kind: 'upgrade',
  from: { version: '1.0.0', images: { api: `kg-api@sha256:${'a'.repeat(64)}`, web: 'kg-web@sha256:cc' } },
  path: [{ version: '1.1.0', images: { api: `kg-api@sha256:${'b'.repeat(64)}`, web: 'kg-web@sha256:cc' } }],
  head: '0002_graph',
  undoes: null,
  backup: 'kg-20261123',
  environment: { KG_RELEASE_KEYS: '/not/for/people' },
};
const by = { actor: 'os:ada', engine: '1.0.0' };
const hook = { kind: 'run-hook', hook: 'pre-upgrade' } as const;
const roll = { kind: 'roll-service', service: 'api', image: 'i', timeoutSeconds: 1 } as const;
const EVENTS: JournalEvent[] = [
  {
    event: 'run-started',
    run: IDS.start,
    command: 'kg-operator start',
    goal: 'start the platform',
    steps: [],
    ...by,
  },
  { event: 'run-finished', run: IDS.start },
  {
    event: 'run-started',
    run: IDS.scheduled,
    command: 'kg-operator backup scheduled',
    goal: 'back up',
    steps: [],
  },
  { event: 'run-finished', run: IDS.scheduled },
  {
    event: 'run-started',
    run: IDS.failedBackup,
    command: 'kg-operator backup scheduled',
    goal: 'back up',
    steps: [],
  },
  { event: 'run-failed', run: IDS.failedBackup, error: 'no disk', code: 'DISK_FULL' },
  {
    event: 'run-started',
    run: IDS.upgrade,
    command: 'upgrade --to 1.1.0',
    goal: 'upgrade to 1.1.0',
    steps: [hook, roll, roll],
    change,
    ...by,
  },
  { event: 'step-started', run: IDS.upgrade, index: 0, step: 'run-hook' },
  { event: 'step-finished', run: IDS.upgrade, index: 0, step: 'run-hook' },
  { event: 'step-started', run: IDS.upgrade, index: 1, step: 'roll-service' },
  {
    event: 'run-started',
    run: IDS.rollback,
    command: 'automatic rollback',
    goal: 'roll back to 1.0.0',
    steps: [roll],
    change: { ...change, kind: 'rollback', undoes: IDS.upgrade, path: [change.from] },
  },
  {
    event: 'run-failed',
    run: IDS.upgrade,
    error: 'api is not healthy',
    code: 'UNHEALTHY',
    hint: 'tell the publisher',
  },
  { event: 'step-started', run: IDS.rollback, index: 0, step: 'roll-service' },
  { event: 'step-finished', run: IDS.rollback, index: 0, step: 'roll-service' },
  { event: 'run-finished', run: IDS.rollback },
  {
    event: 'run-started',
    run: IDS.running,
    command: 'kg-operator backup',
    goal: 'back up',
    steps: [],
    ...by,
  },
];

const validator = (name: string) =>
  new Ajv2020({ strict: true, allowUnionTypes: true, strictTypes: false }).compile(
    JSON.parse(readFileSync(new URL(`../../../../schema/json/${name}.schema.json`, import.meta.url), 'utf8')),
  );

let engine: BuiltEngine;
let root: string;
let state: string;
beforeAll(async () => {
  engine = await buildEngine();
  root = join(engine.folder, 'installation');
  state = join(root, '.operator');
  mkdirSync(root);
  for (const event of EVENTS) await fileJournal(state).append(event);
  const log = openRunLog(state, IDS.upgrade);
  log.write(0, 'hello from the hook');
  for (let line = 1; line <= 30; line += 1) log.write(1, `waiting ${line}`);
  log.write(1, 'cursor \u001b[2J\u0007up');
  log.close();
});
afterAll(() => engine.remove());

const run = (...args: string[]) => engine.run(args, { KG_ROOT: root });
async function json<T>(...args: string[]): Promise<T> {
  const { stdout, code } = await run(...args, '--json');
  expect(code).toBe(0);
  return (JSON.parse(stdout) as { data: T }).data;
}

describe('history', () => {
  test('newest first, with what came of each; scheduled backups that went well are left out', async () => {
    const history = await json<History>('history');
    expect(history.runs.map(({ id, result }) => [id, result])).toEqual([
      [IDS.running, 'interrupted'],
      [IDS.rollback, 'finished'],
      [IDS.upgrade, 'rolled-back'],
      [IDS.failedBackup, 'failed'],
      [IDS.start, 'finished'],
    ]);
    expect(history.leftOut).toEqual({ routine: 1, older: 0 });
    const { stdout, stderr } = await run('history', '--limit', '4');
    const [header, ...rows] = stdout.trimEnd().split('\n');
    expect(header).toMatch(/^ID +WHEN +HOW LONG +WHAT +RESULT$/);
    // As long as tells them apart.
    expect(rows.map((row) => [row.split(' ')[0], row.split(/ {2,}/).at(-1)])).toEqual([
      ['55550000', 'interrupted'],
      ['44440000-1', 'finished'],
      ['44440000-0', 'rolled back by 44440000-1'],
      ['33330000', 'failed: DISK_FULL'],
    ]);
    expect(stderr).toContain('1 older run; --limit shows more.');
    expect(stderr).toContain('1 scheduled backup that went well left out; --all shows them.');
  });

  test('--all and --limit', async () => {
    expect((await json<History>('history', '--all')).runs.map(({ id }) => id)).toContain(IDS.scheduled);
    expect((await json<History>('history', '--limit', '2')).leftOut).toEqual({ routine: 1, older: 3 });
  });

  test('the last one is running while somebody has the lock', async () => {
    const release = await takeLock(state, 'kg-operator backup');
    try {
      expect((await json<History>('history')).runs[0]).toMatchObject({ id: IDS.running, result: 'running' });
    } finally {
      await release();
    }
    expect((await json<History>('history')).runs[0]?.result).toBe('interrupted');
  });

  test('is what schema/json/history.schema.json says', async () => {
    const validate = validator('history');
    const history = await json<History>('history', '--all');
    expect([validate(history), validate.errors]).toEqual([true, null]);
    expect(validate({ ...history, runs: [{ ...history.runs[0], environment: {} }] })).toBe(false);
  });

  test('nothing ran yet', async () => {
    const empty = join(engine.folder, 'empty');
    await mkdir(empty);
    const { stdout, stderr, code } = await engine.run(['history'], { KG_ROOT: empty });
    expect([stdout, stderr, code]).toEqual(['', 'Nothing ran yet.\n', 0]);
    expect((await engine.run(['history', 'show', 'latest'], { KG_ROOT: empty })).code).toBe(2);
  });
});

describe('history show', () => {
  test('what ran, who, which images, each step with what it said, what failed, and what undid it', async () => {
    const report = await json<RunReport>('history', 'show', '44440000-0');
    expect(report.run).toMatchObject({
      id: IDS.upgrade,
      actor: 'os:ada',
      from: '1.0.0',
      to: '1.1.0',
      error: { code: 'UNHEALTHY', message: 'api is not healthy', hint: 'tell the publisher' },
      followedBy: IDS.rollback,
    });
    expect(report.related.map(({ id }) => id)).toEqual([IDS.rollback]);
    expect(report.steps.map(({ result, lines }) => [result, lines.length])).toEqual([
      ['done', 1],
      ['failed', 31],
      ['not-reached', 0],
    ]);
    expect(report.images.map(({ service, changed }) => [service, changed])).toEqual([
      ['api', true],
      ['web', false],
    ]);
    expect(report).toMatchObject({ path: ['1.1.0'], head: '0002_graph', backup: 'kg-20261123' });
    expect(JSON.stringify(report)).not.toContain('/not/for/people');
  });

  test('for a person: of a long log the end, all of it with --log, nothing that moves the cursor', async () => {
    const { stdout } = await run('history', 'show', '44440000-0');
    expect(stdout).toContain(`Upgrade to 1.1.0  ${IDS.upgrade}`);
    expect(stdout).toMatch(/^Command {3}upgrade --to 1\.1\.0, by os:ada$/m);
    expect(stdout).toMatch(/^Result {4}rolled back by 44440000-1$/m);
    expect(stdout).toMatch(/^Then {6}44440000-1, roll back to 1\.0\.0: finished$/m);
    expect(stdout).toMatch(/^Images {4}api {2}aaaaaaaaaaaa → bbbbbbbbbbbb$/m);
    expect(stdout).toMatch(/^ +the same as before: web$/m);
    expect(stdout).toMatch(/^✓ {2}1 {2}Run hooks\/pre-upgrade {2}\d/m);
    expect(stdout).toMatch(
      /^✗ {2}2 {2}Replace api while it serves {2}failed\n +… 21 earlier lines: --log\n +waiting 22$/m,
    );
    expect(stdout).toMatch(/^· {2}3 .*not reached$/m);
    expect(stdout).toContain('Error: api is not healthy (UNHEALTHY)\nNext: tell the publisher\n');
    for (const unseen of ['\u001b[2J', '\u0007', 'hello from the hook']) expect(stdout).not.toContain(unseen);
    const long = (await run('history', 'show', '44440000-0', '--log')).stdout;
    expect(long).toContain('hello from the hook');
    expect(long).toContain('waiting 1\n');
  });

  test('latest, another case, and a log that is gone or damaged', async () => {
    expect((await json<RunReport>('history', 'show', 'latest')).run.id).toBe(IDS.running);
    expect((await json<RunReport>('history', 'show', '1111')).steps).toEqual([]);
    await writeFile(
      runLogPath(state, IDS.rollback),
      '{"at":"2026-11-23T10:00:00Z","index":0,"line":"x"}\n{"at"',
    );
    const { steps, run: found } = await json<RunReport>('history', 'show', IDS.rollback.toUpperCase());
    expect([found.undoes, steps[0]?.lines.map(({ line }) => line)]).toEqual([IDS.upgrade, ['x']]);
  });

  test('no such run, or several', async () => {
    const unknown = await run('history', 'show', 'ffff');
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('there is no run ffff')]);
    const several = await run('history', 'show', '4444', '--json');
    expect(several.code).toBe(2);
    expect(JSON.parse(several.stdout).error).toMatchObject({ code: 'RUN_AMBIGUOUS' });
    expect(JSON.parse(several.stdout).error.details).toHaveLength(2);
  });

  test('is what schema/json/history-show.schema.json says', async () => {
    const validate = validator('history-show');
    for (const id of Object.values(IDS)) {
      const report = await json<RunReport>('history', 'show', id);
      expect([validate(report), validate.errors]).toEqual([true, null]);
    }
    expect(validate({ ...(await json<object>('history', 'show', 'latest')), environment: {} })).toBe(false);
  });
});
