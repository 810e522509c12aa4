import { execFileSync } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Secret } from '@kg-operator/config';
import { type Identities, newIdentity, type Recipients } from '../../src/backup/age.ts';
import { readBundle, writeBundle } from '../../src/backup/bundle.ts';

const full = Boolean(process.env.KG_TEST_FULL);
const MUTATIONS = full ? 300 : 40;

/** Numbers that look random and are the same in every run. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % below;
  };
}

describe('a bundle', () => {
  let folder: string;
  let kit: Secret;
  let to: Recipients;
  let by: Identities;
  const big = Buffer.alloc(3_000_000, 'all work and no play ');
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bundle-'));
    const pair = await newIdentity();
    kit = pair.identity;
    to = { keys: [pair.recipient] };
    by = { keys: [kit] };
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function write(name: string, recipients = to): Promise<string> {
    const path = join(folder, name);
    await writeBundle(createWriteStream(path, { mode: 0o600 }), recipients, async (bundle) => {
      await bundle.member('header.json', Buffer.from('{"formatVersion":1}'));
      await bundle.member('empty', Buffer.alloc(0));
      await bundle.stream('big', big.length, chunksOf(big));
      await bundle.member('secrets.env', Buffer.from('ENCRYPTION_KEY=very secret\n'));
      return { id: name };
    });
    return path;
  }

  async function* chunksOf(bytes: Buffer) {
    for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
  }

  async function read(path: string, identities = by) {
    const members = new Map<string, Buffer>();
    const manifest = await readBundle<{ id: string }>(createReadStream(path), identities, async (member) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of member.body) chunks.push(chunk);
      members.set(member.name, Buffer.concat(chunks));
    });
    return { manifest, members };
  }

  test('gives back what was put in, in order, and its manifest', async () => {
    const { manifest, members } = await read(await write('whole'));
    expect([...members.keys()]).toEqual(['header.json', 'empty', 'big', 'secrets.env']);
    expect(members.get('big')?.equals(big)).toBe(true);
    expect(manifest.id).toBe('whole');
    expect(manifest.members.empty?.size).toBe(0);
  });

  test('opens with the stock programs age and tar, and holds nothing in the clear', async () => {
    const path = await write('stock');
    const identity = join(folder, 'kit.txt');
    await writeFile(identity, `${kit.reveal()}\n`, { mode: 0o600 });
    const list = execFileSync('sh', ['-c', `age -d -i ${identity} ${path} | tar t`], { encoding: 'utf8' });
    expect(list.trim().split('\n')).toEqual(['header.json', 'empty', 'big', 'secrets.env', 'manifest.json']);
    expect((await readFile(path)).includes('very secret')).toBe(false);
  });

  test('is the same format without the program', async () => {
    const program = process.env.PATH;
    const withProgram = await write('with-program');
    process.env.PATH = '/nonexistent';
    try {
      const { encrypted, decrypted } = await import(`../../src/backup/age.ts?${Date.now()}`);
      const text = await collect(decrypted(encrypted(chunksOf(big), to), by));
      expect(text.equals(big)).toBe(true);
      expect((await collect(decrypted(createReadStream(withProgram), by))).includes('header.json')).toBe(
        true,
      );
    } finally {
      process.env.PATH = program;
    }
  });

  async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  test('with a passphrase wants that passphrase', async () => {
    const path = await write('phrase', { passphrase: new Secret('seven words that nobody else would say') });
    await expect(read(path, { passphrase: new Secret('another') })).rejects.toMatchObject({
      code: 'BACKUP_KEY_WRONG',
    });
    const { manifest } = await read(path, {
      passphrase: new Secret('seven words that nobody else would say'),
    });
    expect(manifest.id).toBe('phrase');
  });

  test('another key does not open it', async () => {
    const { identity } = await newIdentity();
    await expect(read(await write('locked'), { keys: [identity] })).rejects.toMatchObject({
      code: 'BACKUP_KEY_WRONG',
      exitCode: 3,
    });
  });

  test('a failing writer leaves the failure, and no bundle that opens', async () => {
    const path = join(folder, 'half');
    const writing = writeBundle(createWriteStream(path), to, async (bundle) => {
      await bundle.member('header.json', Buffer.from('{}'));
      throw new Error('the database went away');
    });
    await expect(writing).rejects.toThrow('the database went away');
    await expect(read(path)).rejects.toMatchObject({ code: expect.stringMatching(/^BACKUP_|ENOENT/) });
  });

  test('a member of another size than said fails the bundle', async () => {
    const writing = writeBundle(createWriteStream(join(folder, 'short')), to, async (bundle) => {
      await bundle.stream('big', big.length + 1, chunksOf(big));
      return {};
    });
    await expect(writing).rejects.toThrow(/size/i);
  });

  test('what a reader refuses is its own reason', async () => {
    const path = await write('refused');
    const reading = readBundle(createReadStream(path), by, async () => {
      throw new Error('could not start to restore');
    });
    await expect(reading).rejects.toThrow('could not start to restore');
  });

  test(`is refused after any of ${MUTATIONS} mutations of its file`, async () => {
    const path = await write('original');
    const original = await readFile(path);
    const mutant = join(folder, 'mutant');
    const pick = random(20261123);
    const refused: string[] = [];
    for (let n = 0; n < MUTATIONS; n++) {
      const at = pick(original.length);
      const kind = ['flip', 'truncate', 'append', 'swap', 'cut'][n % 5];
      const bytes = Buffer.from(original);
      if (kind === 'flip') bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << pick(8)), at);
      if (kind === 'swap') {
        const [from, size] = [pick(original.length - 200_000), 65_552];
        original.copy(bytes, from, from + size, from + 2 * size);
        original.copy(bytes, from + size, from, from + size);
      }
      await writeFile(mutant, kind === 'truncate' ? bytes.subarray(0, at) : bytes);
      if (kind === 'append') await appendFile(mutant, bytes.subarray(0, 1 + pick(100_000)));
      if (kind === 'cut')
        await writeFile(mutant, Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(1000))]));
      if (original.equals(await readFile(mutant))) throw new Error(`mutation ${n} (${kind}) changed nothing`);
      const outcome = await read(mutant).then(
        () => 'accepted',
        (error) => error.code,
      );
      if (!/^BACKUP_(DAMAGED|KEY_WRONG)$/.test(outcome)) throw new Error(`${n} ${kind} at ${at}: ${outcome}`);
      refused.push(outcome);
    }
    expect(refused).toHaveLength(MUTATIONS);
  });

  test('whoever has the key and changes members is found out by the manifest', async () => {
    const path = join(folder, 'forged');
    await writeBundle(createWriteStream(path), to, async (bundle) => {
      await bundle.member('header.json', Buffer.from('{}'));
      const sums = bundle.sums();
      if (sums['header.json']) sums['header.json'].sha256 = '0'.repeat(64);
      return {};
    });
    await expect(read(path)).rejects.toMatchObject({
      code: 'BACKUP_DAMAGED',
      details: [expect.stringContaining('header.json differs')],
    });
  });
});
