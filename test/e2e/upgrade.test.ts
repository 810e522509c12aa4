import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Plan } from '../../packages/engine/src/model/plan.ts';
import {
  atStep,
  changesIn,
  dataDigests,
  expectImagesOf,
  expectNothingLeft,
  expectServing,
  killRunner,
  lastChange,
  runningVersions,
  withoutTimes,
} from './changes.ts';
import { expectCode, run } from './command.ts';
import { objectDigests } from './digests.ts';
import { type DocumentStore, documentStore, fillGraph, fillObjects, fillTable } from './filling.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { Publisher, publishExamples } from './releases.ts';

jest.setTimeout(300_000);

let publisher: Publisher;
let kg: Installation;
let store: DocumentStore;
let data: { rows: string[]; objects: string[] };

beforeAll(async () => {
  publisher = await Publisher.create();
  await publishExamples(publisher);
  kg = await Installation.standalone(publisher);
  await kg.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
  await kg.logIn();
  for (const name of ['Ada', 'Babbage']) await kg.api('POST', '/concepts', { name, description: name });
  await kg.api('POST', '/documents', { title: 'Notes', text: 'Ada worked with Babbage. '.repeat(100) });
  await fillTable(kg, 2);
  await fillGraph(kg, 'roads', 500);
  store = await documentStore(kg);
  await fillObjects(store, 50, 200_000);
  data = await everything();
});
afterAll(async () => {
  store?.client.destroy();
  try {
    await kg?.destroy();
  } finally {
    await publisher?.remove();
  }
});

const everything = async () => ({ rows: await dataDigests(kg), objects: await objectDigests(store) });

/** Every container and image of it, and what the journal holds: what must not change where nothing is to be changed. */
const asItIs = async () => ({
  containers: await kg.containerIds(),
  changes: (await changesIn(kg)).length,
});

const upgrade = (...args: string[]) => kg.json<{ plan: Plan }>(['upgrade', '--yes', ...args]);

describe('before the first upgrade', () => {
  test('the installation of published images runs, and knows what it can be upgraded to', async () => {
    await expectServing(kg, '1.0.0');
    const { document } = await kg.json<{
      available: { versions: { version: string; state: string; path: string[] | null }[] };
    }>(['versions', '--available', '--refresh']);
    const { versions } = document.data.available;
    expect(versions.map(({ version, state, path }) => [version, state, path])).toEqual([
      ['1.2.0', 'available', ['1.1.0', '1.2.0']],
      ['1.1.0', 'available', ['1.1.0']],
      ['1.0.1', 'available', ['1.0.1']],
      ['1.0.0', 'installed', null],
    ]);
  });

  test('an upgrade to what is installed says so, and changes nothing', async () => {
    const before = await asItIs().catch(() => null);
    const { code, document } = await upgrade('--to', '1.0.0');
    expect({ code, ok: document.ok }).toEqual({ code: 0, ok: true });
    expect(await asItIs().catch(() => null)).toEqual(before);
  });
});

describe('from 1.0.0 to 1.1.0, with a migration that the old application can live with', () => {
  let printed: Plan['steps'];

  test('--dry-run prints the plan, and changes nothing', async () => {
    const before = await kg.containerIds();
    const { code, document } = await upgrade('--to', '1.1.0', '--dry-run');
    expect(code).toBe(0);
    printed = document.data.plan.steps;
    expect(printed.map(({ kind }) => kind)).toEqual([
      ...['pull-images', 'write-backup', 'verify-backup', 'hand-over', 'replace-operator', 'migrate'],
      ...['pin-images', 'roll-service', 'roll-service', 'health-gate', 'record-release', 'prune-images'],
    ]);
    expect(await kg.containerIds()).toEqual(before);
    await expectServing(kg, '1.0.0');
  });

  test('twenty at once: one runs, nineteen exit 5 and name it', async () => {
    const results = await Promise.all(
      Array.from({ length: 20 }, () => kg.run(['upgrade', '--yes', '--to', '1.1.0', '--json'])),
    );
    const wrong = results.filter(({ code, stdout }) => (code !== 0 && code !== 5) || !stdout);
    expect(wrong).toEqual([]);
    expect(results.map(({ code }) => code).sort()).toEqual([0, ...Array(19).fill(5)]);
    for (const { code, stdout } of results)
      if (code === 5)
        expect(JSON.parse(stdout).error).toMatchObject({
          code: 'LOCKED',
          message: expect.stringMatching(/upgrade/),
          hint: expect.stringMatching(/--attach|wait/),
        });
    expect(await changesIn(kg)).toHaveLength(1);
  });

  test('the journal holds the plan that was printed, and every step of it was done', async () => {
    const { steps, outcome } = await lastChange(kg);
    expect(outcome).toBe('finished');
    expect(withoutTimes(steps.map(({ step }) => step))).toEqual(withoutTimes(printed));
    expect(steps.filter(({ finishedAt }) => finishedAt === null)).toEqual([]);
  });

  test('1.1.0 serves, all data is there, nothing is left over', async () => {
    await expectServing(kg, '1.1.0');
    expect(await everything()).toEqual(data);
    expect(await kg.psql('SELECT count(*) FROM kg_api.e2e_notes')).toEqual(['100']);
    await expectNothingLeft(kg);
    await expectImagesOf(publisher, ['1.0.0', '1.1.0']);
  });
});

describe('what runs is what was recorded', () => {
  test('a tag that moved changes nothing', async () => {
    const before = await kg.containerIds();
    for (const tag of ['1.0.0', '1.1.0']) await publisher.images.moveTag('api', tag, '1.0.1');
    await kg.ok(['start']);
    expect((await upgrade('--to', '1.1.0')).code).toBe(0);
    expect(await kg.containerIds()).toEqual(before);
    await expectServing(kg, '1.1.0');
  });

  test('another image by hand is shown by status, and start puts it right', async () => {
    const script =
      'eval "$(./operator.sh env)" && IMAGE_WEB="$1" exec docker compose up -d --no-deps --wait web';
    const other = `${publisher.images.prefix}/kg-operator-web:1.0.1`;
    expectCode(await run('sh', ['-c', script, 'sh', other], { cwd: kg.root }));
    expect((await runningVersions(kg)).web).toBe('1.0.1');
    const { code, document } = await kg.json(['status', '--exit-code']);
    expect(code).toBe(10);
    expect(JSON.stringify(document.data)).toMatch(/web.*(drift|recorded|another image)/);
    await kg.ok(['start']);
    await expectServing(kg, '1.1.0');
  });
});

describe('back to 1.0.0, and on to 1.2.0 by way of 1.1.0', () => {
  test('rollback: 1.0.0 on the newer schema, all data there', async () => {
    const { code, document } = await kg.json(['rollback', '--yes']);
    if (code !== 0) throw new Error(JSON.stringify(document));
    await expectServing(kg, '1.0.0', '1.1.0');
    expect(await everything()).toEqual(data);
    await expectNothingLeft(kg);
  });

  test('neither a closed terminal nor a killed runner stops it for good; the required stop is walked', async () => {
    const closed = kg.begin(['upgrade', '--yes']);
    const { id } = await atStep(kg, 'write-backup');
    closed.signal('SIGKILL');
    await closed.done;
    await atStep(kg, 'wait-healthy', 120);
    expect(await killRunner(kg)).toBe(true);

    const { code, document } = await upgrade();
    expect({ code, run: document.data }).toMatchObject({ code: 0, run: { run: id, to: '1.2.0' } });
    const { outcome, steps, continued } = await lastChange(kg);
    expect({ outcome, id: (await lastChange(kg)).id }).toEqual({ outcome: 'finished', id });
    expect(continued).toBeGreaterThan(0);
    const recorded = steps.flatMap(({ step }) => (step.kind === 'record-release' ? [step.version] : []));
    expect(recorded).toEqual(['1.1.0', '1.2.0']);
    await expectServing(kg, '1.2.0');
    expect(await everything()).toEqual(data);
    await expectNothingLeft(kg, /^kg_before/);
  });

  test('afterwards the same command says that it is done', async () => {
    const before = await asItIs();
    expect((await upgrade()).code).toBe(0);
    const attached = await kg.json(['upgrade', '--attach']);
    expect(attached).toMatchObject({ code: 0, document: { data: { from: '1.0.0', to: '1.2.0' } } });
    expect(await asItIs()).toEqual(before);
  });
});

describe('back from 1.2.0, on whose schema 1.1.0 does not run', () => {
  test('rollback refuses, says why, and how to go back with the data of before', async () => {
    const before = await asItIs();
    const { code, document } = await kg.json(['rollback', '--yes']);
    expect(code).not.toBe(0);
    expect(document.error).toMatchObject({ message: expect.stringMatching(/1\.1\.0 does not run/) });
    expect(`${document.error.hint} ${document.error.details}`).toMatch(/rollback --/);
    expect(await asItIs()).toEqual(before);
    await expectServing(kg, '1.2.0');
  });

  test('with the data of before: 1.1.0, and what was written since is put aside', async () => {
    await kg.api('POST', '/concepts', { name: 'Written later', description: 'on 1.2.0' });
    await kg.ok(['rollback', '--confirm', kg.prefix]);
    await expectServing(kg, '1.1.0');
    expect(await everything()).toEqual(data);
    expect(await kg.psql('SELECT count(old) FROM kg_api.e2e_notes')).toEqual(['100']);
    await expectNothingLeft(kg, /^kg_failed/);
  });
});
