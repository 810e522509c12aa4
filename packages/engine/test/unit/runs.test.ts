import { describe, expect, test } from '@jest/globals';
import { parseJournal, type ReleaseChange } from '../../src/adapters/journal.ts';
import { nextStep, type Run, runsOf, unfinishedChange } from '../../src/history/runs.ts';
import type { Step } from '../../src/model/plan.ts';

/** Lines of a journal, a second apart. */
const journal = (...entries: object[]) =>
  entries
    .map(
      (entry, n) =>
        `${JSON.stringify({ at: `2026-11-23T10:00:${String(n).padStart(2, '0')}.000Z`, ...entry })}\n`,
    )
    .join('');
const runs = (text: string) => runsOf(parseJournal(text));
const only = (text: string) => runs(text)[0] as Run;

const steps: Step[] = [{ kind: 'compose-up', services: ['api'] }, { kind: 'prune-backups' }];
const change = (undoes: string | null = null): ReleaseChange => ({
  kind: undoes === null ? 'upgrade' : 'rollback',
  from: { version: '1.0.0', images: {} },
  path: [{ version: '1.1.0', images: {} }],
  head: null,
  undoes,
  backup: null,
  environment: {},
});
const begin = (run: string, more: object = {}) => ({
  event: 'run-started',
  run,
  command: 'kg-operator upgrade',
  goal: 'Upgrade to 1.1.0',
  actor: 'ann',
  engine: '1.0.0',
  steps,
  ...more,
});
const started = (run: string, index: number) => ({
  event: 'step-started',
  run,
  index,
  step: steps[index]?.kind,
});
const finished = (run: string, index: number) => ({ ...started(run, index), event: 'step-finished' });

describe('runs of a journal', () => {
  test('who, what, which steps, how long', () => {
    const run = only(
      journal(begin('a'), started('a', 0), finished('a', 0), started('a', 1), finished('a', 1), {
        event: 'run-finished',
        run: 'a',
      }),
    );
    expect(run).toMatchObject({
      id: 'a',
      command: 'kg-operator upgrade',
      actor: 'ann',
      engine: '1.0.0',
      startedAt: '2026-11-23T10:00:00.000Z',
      endedAt: '2026-11-23T10:00:05.000Z',
      outcome: 'finished',
      error: null,
      continued: 0,
    });
    expect(run.steps.map(({ title, startedAt, finishedAt }) => [title, startedAt, finishedAt])).toEqual([
      ['Start api', '2026-11-23T10:00:01.000Z', '2026-11-23T10:00:02.000Z'],
      [
        'Remove backups that the retention policy gives up',
        '2026-11-23T10:00:03.000Z',
        '2026-11-23T10:00:04.000Z',
      ],
    ]);
  });

  test('a failure with its code and hint; what was not begun stays so', () => {
    const run = only(
      journal(begin('a'), started('a', 0), {
        event: 'run-failed',
        run: 'a',
        error: 'no disk',
        code: 'DISK_FULL',
        hint: 'free some space',
      }),
    );
    expect(run.outcome).toBe('failed');
    expect(run.error).toMatchObject({ message: 'no disk', code: 'DISK_FULL', hint: 'free some space' });
    expect(run.steps.map(({ startedAt }) => startedAt !== null)).toEqual([true, false]);
  });

  test('one that was cut off, and one that was gone on with', () => {
    const cut = journal(begin('a', { change: change() }), started('a', 0), finished('a', 0), started('a', 1));
    expect(only(`${cut}{"at":"2026-11-23T10:00:09.000Z","event":"step-fin`)).toEqual(only(cut));
    expect(only(cut)).toMatchObject({ outcome: 'unfinished', endedAt: null });
    expect(nextStep(only(cut))).toBe(1);
    expect(unfinishedChange(runs(cut))?.id).toBe('a');
    const goneOn = only(
      cut + journal({ event: 'run-continued', run: 'a', engine: '1.1.0' }, started('a', 1), finished('a', 1)),
    );
    expect(goneOn.continued).toBe(1);
    expect(nextStep(goneOn)).toBe(2);
  });

  test('a step that is done again is not done until it is', () => {
    const again = journal(begin('a'), started('a', 0), finished('a', 0), started('a', 0));
    expect(nextStep(only(again))).toBe(0);
  });

  test('a rollback by itself: the run that it undoes has failed, even if the line that says so is missing', () => {
    const begun = journal(
      begin('a', { change: change() }),
      started('a', 0),
      begin('b', { change: change('a') }),
    );
    const [upgrade, rollback] = runs(begun);
    expect(upgrade).toMatchObject({ outcome: 'failed', followedBy: 'b' });
    expect(rollback).toMatchObject({ outcome: 'unfinished', followedBy: null });
    expect(unfinishedChange(runs(begun))?.id).toBe('b');
    expect(unfinishedChange(runs(begun + journal({ event: 'run-finished', run: 'b' })))).toBeNull();
  });

  test('one that a person gave up for another', () => {
    const text = journal(begin('a', { change: change() }), { event: 'run-given-up', run: 'a', for: 'b' });
    expect(only(text)).toMatchObject({ outcome: 'given-up', followedBy: 'b' });
    expect(unfinishedChange(runs(text))).toBeNull();
  });

  test('other commands that were cut off are no change that is unfinished', () => {
    expect(unfinishedChange(runs(journal(begin('a'))))).toBeNull();
  });
});

describe('what other engines wrote', () => {
  test('events, members and kinds of steps that this one does not know', () => {
    const run = only(
      journal(
        begin('a', { steps: [{ kind: 'teleport', to: 'mars' }, { kind: 'compose-up' }], colour: 'red' }),
        { event: 'run-paused', run: 'a' },
        { event: 'fleet-joined' },
        { ...started('a', 0), step: 'teleport' },
        { event: 'run-finished', run: 'a' },
      ),
    );
    expect(run.outcome).toBe('finished');
    expect(run.steps.map(({ title }) => title)).toEqual(['teleport', 'compose-up']);
  });

  test('the first ones wrote no plan, no actor and no index', () => {
    const { steps: _plan, actor: _actor, engine: _engine, ...bare } = begin('a');
    const step = (event: string, kind: string) => ({ event, run: 'a', step: kind });
    const run = only(
      journal(
        bare,
        step('step-started', 'compose-up'),
        step('step-finished', 'compose-up'),
        step('step-started', 'migrate'),
        { event: 'run-failed', run: 'a', error: 'e' },
      ),
    );
    expect(run).toMatchObject({ actor: null, engine: null, error: { message: 'e', code: null, hint: null } });
    expect(run.steps.map(({ title, finishedAt }) => [title, finishedAt])).toEqual([
      ['compose-up', '2026-11-23T10:00:02.000Z'],
      ['migrate', null],
    ]);
  });

  test('entries of a run whose beginning is lost are passed over', () => {
    expect(runs(journal(started('a', 0), { event: 'run-finished', run: 'a' }))).toEqual([]);
  });
});
