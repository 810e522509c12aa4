import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Secret } from '@kg-operator/config';
import { assertVisible } from '../../src/backup/visible-file.ts';
import { keyIn, keysIn, newKit } from '../../src/cli/recovery-kit.ts';
import { findSource, takeKeys } from '../../src/cli/restore-source.ts';
import { readSettings } from '../../src/model/settings.ts';
import type { RunContext } from '../../src/run/context.ts';

let root: string;
let context: RunContext;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kg-kit-'));
  context = {
    settings: readSettings({ KG_ROOT: root, COMPOSE_PROJECT_NAME: 'kg' }),
    clock: { date: () => new Date('2026-11-23T09:00:00Z') },
    backup: { recovery: [], passphrase: null, file: null, checked: null },
  } as unknown as RunContext;
});
afterEach(() => {
  delete process.env.KG_RECOVERY_KEY;
});

describe('a recovery kit', () => {
  test('is an age identity file, and its key is found in it, however it was copied', async () => {
    const { text, identity, recipient } = await newKit(context);
    expect(text.reveal().split('\n').slice(0, -1)).toEqual([
      expect.stringMatching(/^# Recovery kit of kg, 2026-11-23/),
      expect.stringMatching(/^# /),
      `# public key: ${recipient}`,
      identity.reveal(),
    ]);
    const copies = [
      text.reveal(),
      text.reveal().replaceAll('\n', '\r\n'),
      ` ${identity.reveal().toLowerCase()} `,
    ];
    for (const copy of copies) expect(keyIn(new Secret(copy)).reveal()).toBe(identity.reveal());
    expect(JSON.stringify({ text, identity })).not.toContain(identity.reveal());
  });

  test('kits of several years in one file are all tried', async () => {
    const [one, other] = [await newKit(context), await newKit(context)];
    const path = join(root, 'kits.txt');
    await writeFile(path, one.text.reveal() + other.text.reveal());
    await takeKeys(context, { 'kit-file': path });
    expect(context.backup.recovery.map((key) => key.reveal())).toEqual([
      one.identity.reveal(),
      other.identity.reveal(),
    ]);
    expect(keysIn(new Secret('nothing of it'))).toEqual([]);
  });

  test('what is no key is said to be none, rather than the backup to be damaged', async () => {
    const { identity } = await newKit(context);
    const path = join(root, 'kit.txt');
    for (const text of ['my dog', identity.reveal().slice(0, -1)]) {
      await writeFile(path, text);
      await expect(takeKeys(context, { 'kit-file': path })).rejects.toMatchObject({ code: 'KIT_INVALID' });
    }
  });

  test('from a file that the container does not see, the variable is the way', async () => {
    await expect(takeKeys(context, { 'kit-file': '/elsewhere/kit.txt' })).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
      hint: expect.stringContaining('KG_RECOVERY_KEY="$(cat FILE)"'),
    });
    const { text, identity } = await newKit(context);
    process.env.KG_RECOVERY_KEY = text.reveal();
    await takeKeys(context, {});
    expect(context.backup.recovery.map((key) => key.reveal())).toEqual([identity.reveal()]);
  });
});

test('a backup that the container does not see: where to copy it', async () => {
  const missing = { code: 'FILE_MISSING', exitCode: 3, hint: expect.stringContaining(`cp FILE '${root}'/`) };
  await expect(assertVisible('/elsewhere/kg.tar.age', context.settings)).rejects.toMatchObject(missing);
  await expect(findSource(context, '/elsewhere/kg.tar.age', () => undefined)).rejects.toMatchObject(missing);
});
