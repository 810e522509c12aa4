import { appendFile, mkdir, mkdtemp, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { fileJournal, type Journal } from '../../src/adapters/journal.ts';
import { followRun, type RunEvent } from '../../src/history/follow.ts';
import { openRunLog, readRunLog, runLogPath } from '../../src/history/log.ts';

let state: string;
let journal: Journal;
beforeEach(async () => {
  state = join(await mkdtemp(join(tmpdir(), 'kg-log-')), '.operator');
  journal = fileJournal(state);
});

const start = (run: string) =>
  journal.append({
    run,
    event: 'run-started',
    command: 'upgrade',
    goal: 'g',
    steps: [{ kind: 'prune-backups' }],
  });
const said = (event: RunEvent) => (event.event === 'line' ? `${event.index}: ${event.line}` : event.event);

describe('what steps say', () => {
  test('is written as it is said, only for its owner, and read back', async () => {
    const log = openRunLog(state, 'a');
    expect(await readRunLog(state, 'a')).toEqual([]);
    log.write(0, 'pulling');
    log.write(1, 'ä\nb');
    expect((await readRunLog(state, 'a')).map(({ index, line }) => [index, line])).toEqual([
      [0, 'pulling'],
      [1, 'ä\nb'],
    ]);
    expect((await stat(runLogPath(state, 'a'))).mode & 0o777).toBe(0o600);
    log.close();
  });

  test('a line that was cut costs only itself, also when another process goes on', async () => {
    const first = openRunLog(state, 'a');
    first.write(0, 'whole');
    first.close();
    await appendFile(runLogPath(state, 'a'), '{"at":"2026-11-23T10:00:00.000Z","index":0,"li');
    expect((await readRunLog(state, 'a')).map(({ line }) => line)).toEqual(['whole']);
    const second = openRunLog(state, 'a');
    second.write(1, 'goes on');
    second.close();
    expect((await readRunLog(state, 'a')).map(({ line }) => line)).toEqual(['whole', 'goes on']);
  });

  test('nothing that is said makes a run fail, and nothing fills the disk', async () => {
    await mkdir(state, { recursive: true });
    await writeFile(join(state, 'runs'), 'no folder');
    const nowhere = openRunLog(state, 'a');
    nowhere.write(0, 'lost');
    nowhere.close();
    const other = join(state, 'other');
    const log = openRunLog(other, 'a');
    for (let n = 0; n < 2500; n += 1) log.write(0, 'x'.repeat(9000));
    log.close();
    const { size } = await stat(runLogPath(other, 'a'));
    expect(size).toBeGreaterThan(7_000_000);
    expect(size).toBeLessThan(8_100_000);
  });

  test('a new log removes all but the newest 50', async () => {
    for (let n = 0; n < 52; n += 1) {
      openRunLog(state, `run-${n}`).write(0, 'x');
      const at = new Date(2026, 0, 1, 0, n === 51 ? 0 : n + 1);
      await utimes(runLogPath(state, `run-${n}`), at, at);
    }
    const log = openRunLog(state, 'new');
    log.write(0, 'one');
    log.write(0, 'two');
    const names = await readdir(dirname(runLogPath(state, 'x')));
    expect(names).toHaveLength(50);
    expect(names).toContain('new.jsonl');
    for (const gone of ['run-51', 'run-0', 'run-1']) expect(names).not.toContain(`${gone}.jsonl`);
    expect((await readRunLog(state, 'new')).map(({ line }) => line)).toEqual(['one', 'two']);
  });
});

describe('following a run', () => {
  const collect = async (following: AsyncGenerator<RunEvent>) => {
    const seen: string[] = [];
    for await (const event of following) seen.push(said(event));
    return seen;
  };

  test('gives what was written and what is being written, of this run alone, until it ends', async () => {
    const log = openRunLog(state, 'a');
    await start('other');
    await start('a');
    await journal.append({ run: 'a', event: 'step-started', index: 0, step: 'prune-backups' });
    log.write(0, 'one');
    const seen = collect(followRun(state, 'a', { pollMs: 5 }));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await appendFile(join(state, 'journal.jsonl'), '{"at":"cut');
    log.write(0, 'two');
    await journal.append({ run: 'a', event: 'step-finished', index: 0, step: 'prune-backups' });
    await journal.append({ run: 'a', event: 'run-finished' });
    expect(await seen).toEqual([
      'run-started',
      'step-started',
      '0: one',
      '0: two',
      'step-finished',
      'run-finished',
    ]);
  });

  test('a line that is read before its step is seen to begin waits for it', async () => {
    const log = openRunLog(state, 'a');
    await start('a');
    log.write(0, 'early');
    const following = followRun(state, 'a', { pollMs: 5 });
    expect(said((await following.next()).value as RunEvent)).toBe('run-started');
    setTimeout(async () => {
      await journal.append({ run: 'a', event: 'step-started', index: 0, step: 'prune-backups' });
      await journal.append({ run: 'a', event: 'run-failed', error: 'e' });
    }, 30);
    expect((await collect(following)).toSorted()).toEqual(['0: early', 'run-failed', 'step-started']);
  });

  test('ends with the signal', async () => {
    await start('a');
    const abort = new AbortController();
    const seen = collect(followRun(state, 'a', { signal: abort.signal, pollMs: 60_000 }));
    setTimeout(() => abort.abort(new Error('enough')), 20);
    await expect(seen).rejects.toThrow('enough');
  });

  test('ends after the last words of a runner that died', async () => {
    await start('a');
    let asked = 0;
    const alive = async () => {
      asked += 1;
      if (asked === 2) await journal.append({ run: 'a', event: 'run-continued', engine: '1' });
      return asked < 2;
    };
    expect(await collect(followRun(state, 'a', { pollMs: 2, aliveMs: 5, alive }))).toEqual([
      'run-started',
      'run-continued',
    ]);
    expect(asked).toBe(2);
  });
});
