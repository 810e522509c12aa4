import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { JournalEntry } from '../../src/adapters/journal.ts';
import type { Hook } from '../../src/model/plan.ts';
import type { RunContext } from '../../src/run/context.ts';
import { hooksOf, lookAtHooks, presentHooks, runHook } from '../../src/upgrade/hooks.ts';

let root: string;
let abort: AbortController;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kg hooks-'));
  await mkdir(join(root, 'hooks'));
  abort = new AbortController();
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function write(name: string, script: string, mode = 0o755): Promise<void> {
  await writeFile(join(root, 'hooks', name), script);
  await chmod(join(root, 'hooks', name), mode);
}

/** Runs it as a step; what it said. */
async function run(
  hook: Hook,
  { timeoutMs = 20_000, entries = [] as JournalEntry[] } = {},
): Promise<string[]> {
  const lines: string[] = [];
  const context = {
    settings: { root },
    journal: { read: async () => entries },
    signal: abort.signal,
  } as unknown as RunContext;
  await runHook({ kind: 'run-hook', hook }, context, (line) => lines.push(line), { timeoutMs });
  return lines;
}

describe('which hooks there are', () => {
  test('executable files under the names of hooks, in order', async () => {
    await write('post-backup', '');
    await write('pre-upgrade', '');
    await symlink('pre-upgrade', join(root, 'hooks/pre-start'));
    await mkdir(join(root, 'hooks/lib'));
    for (const name of ['README.md', '.hidden', 'pre-backup.off', 'pre-backup~.orig'])
      await write(name, '', 0o644);
    expect(await lookAtHooks(root)).toEqual({
      hooks: ['pre-upgrade', 'post-backup', 'pre-start'],
      problems: [],
    });
    expect(await presentHooks(join(root, 'nowhere'))).toEqual([]);
    expect(await hooksOf({ mode: 'containers', root })).toHaveLength(3);
    expect(await hooksOf({ mode: 'postgres', root })).toEqual([]);
  });

  test('what somebody may have meant as one is named, with what mends it', async () => {
    await write('pre-upgrade', '', 0o644);
    await write('pre_backup', '');
    await write('post-start.sh', '');
    await write('cleanup', '');
    await symlink('nowhere', join(root, 'hooks/post-upgrade'));
    await mkdir(join(root, 'hooks/pre-migrate'));
    const { hooks, problems } = await lookAtHooks(root);
    expect(hooks).toEqual([]);
    expect(Object.fromEntries(problems.map(({ file, fix }) => [file, fix]))).toEqual({
      'hooks/pre-upgrade': 'chmod +x hooks/pre-upgrade',
      'hooks/pre_backup': 'mv hooks/pre_backup hooks/pre-backup',
      'hooks/post-start.sh': 'mv hooks/post-start.sh hooks/post-start',
      'hooks/cleanup': expect.stringContaining('hooks are: pre-upgrade, post-upgrade'),
      'hooks/post-upgrade': 'put an executable file there, or remove it',
      'hooks/pre-migrate': 'put an executable file there, or remove it',
    });
  });
});

describe('a hook', () => {
  const upgrade = (from: string, to: string) =>
    [
      {
        at: '2026-11-23T12:00:00Z',
        event: 'run-started',
        run: 'r',
        command: 'kg-operator upgrade',
        goal: `upgrade to ${to}`,
        steps: [],
        change: {
          kind: 'upgrade',
          from: { version: from, images: {} },
          path: [{ version: to, images: {} }],
        },
      },
    ] as unknown as JournalEntry[];

  test('gets the folder, its name and the versions, and nothing else; what it says is told', async () => {
    process.env.KG_TEST_SECRET = 'not for hooks';
    await write('pre-upgrade', '#!/bin/sh\npwd\nenv | sort\ncat\necho "to stderr" >&2\n');
    const lines = await run('pre-upgrade', { entries: upgrade('1.0.0', '1.1.0') });
    delete process.env.KG_TEST_SECRET;
    expect(lines[0]).toBe(root);
    const names = lines
      .flatMap((line) => /^([A-Z_]+)=/.exec(line)?.[1] ?? [])
      .filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name));
    expect(names).toEqual(['KG_FROM_VERSION', 'KG_HOOK', 'KG_ROOT', 'KG_TO_VERSION', 'PATH']);
    expect(lines).toEqual(expect.arrayContaining([`KG_ROOT=${root}`, 'KG_TO_VERSION=1.1.0', 'to stderr']));
  });

  test.each([
    [
      'exits with 7',
      '#!/bin/sh\necho first\necho "no, because"\nexit 7\n',
      'failed with exit code 7: no, because',
    ],
    ['is killed', '#!/bin/sh\nkill -9 $$\n', 'was ended by SIGKILL'],
    [
      'has no interpreter',
      '#!/nowhere/python\n',
      "the program that its first line (#!) names is not in the operator's image",
    ],
  ])('that %s stops what it comes before, and only warns after it', async (_, script, why) => {
    await write('pre-backup', script);
    await write('post-backup', script);
    await expect(run('pre-backup')).rejects.toMatchObject({
      code: 'HOOK_FAILED',
      exitCode: 3,
      message: expect.stringContaining(why),
      details: script.includes('because') ? ['first'] : [],
    });
    expect((await run('post-backup')).at(-1)).toMatch(
      /^warning: hooks\/post-backup .*; what it follows is done$/,
    );
  });

  test('that does not end is ended, with what it has started', async () => {
    const alive = join(root, 'alive');
    await write(
      'pre-start',
      `#!/bin/sh\n(trap '' TERM; while :; do date >>'${alive}'; sleep 0.1; done) &\nwait\n`,
    );
    await expect(run('pre-start', { timeoutMs: 500 })).rejects.toMatchObject({
      message: expect.stringContaining('did not end within'),
    });
    const end = Date.now() + 15_000;
    for (let last = ''; ; ) {
      const now = await readFile(alive, 'utf8');
      if (now === last) break;
      if (Date.now() > end) throw new Error('it still runs');
      last = now;
      await sleep(500);
    }
  });

  test('that leaves something in the background is not waited for', async () => {
    await write('post-start', '#!/bin/sh\nsleep 60 &\necho "$!"\n');
    const begun = Date.now();
    const [pid] = await run('post-start');
    expect(Date.now() - begun).toBeLessThan(15_000);
    process.kill(Number(pid));
  });

  test('is ended by an interrupt', async () => {
    await write('pre-migrate', '#!/bin/sh\nexec sleep 60\n');
    setTimeout(() => abort.abort(), 300);
    await expect(run('pre-migrate')).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  test('that is gone since the plan was made is passed over', async () => {
    expect(await run('pre-upgrade')).toEqual(['hooks/pre-upgrade is not there any more']);
  });

  test('the example of docs/hooks.md does what it says', async () => {
    const docs = await readFile(join(import.meta.dirname, '../../../../docs/hooks.md'), 'utf8');
    const [, script = ''] = /```sh\n(#!.*?)```/s.exec(docs) ?? [];
    await write('pre-upgrade', script);
    const entries = upgrade('1.0.0', '1.1.0');
    await expect(run('pre-upgrade', { entries })).rejects.toMatchObject({
      code: 'HOOK_FAILED',
      message: expect.stringContaining('upgrades are not allowed now: touch upgrades-allowed'),
    });
    await writeFile(join(root, 'upgrades-allowed'), '');
    expect(await run('pre-upgrade', { entries })).toEqual(['noted in upgrades.log']);
    expect(await readFile(join(root, 'upgrades.log'), 'utf8')).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:]+Z from 1\.0\.0 to 1\.1\.0\n$/,
    );
  });
});
