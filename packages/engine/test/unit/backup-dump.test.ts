import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import tar from 'tar-stream';
import { openDump, recogniseFile } from '../../src/backup/dump-file.ts';
import { restrictedScript } from '../../src/backup/dump-script.ts';
import { collect } from '../../src/backup/object-store.ts';

const HEAD = '--\n-- PostgreSQL database dump\n--\n\n';
const TAIL = '--\n-- PostgreSQL database dump complete\n--\n\n';
const script = (body: string) => `${HEAD}\\restrict Abc123\n\n${body}\n${TAIL}\\unrestrict Abc123\n\n`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kg-dump-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function tarOf(name: string): Promise<Buffer> {
  const pack = tar.pack();
  pack.entry({ name }, 'PGDMP');
  pack.finalize();
  return collect(pack as unknown as AsyncIterable<Uint8Array>);
}

describe('what a file is, by its content', () => {
  test.each([
    ['backup.sql', script('SELECT 1;'), 'plain', null],
    ['windows.txt', script('SELECT 1;').replaceAll('\n', '\r\n'), 'plain', null],
    ['backup.tar.age', script('SELECT 1;'), 'plain', null],
    ['looks-plain.sql', gzipSync(script('SELECT 1;')), 'plain', 'gzip'],
    ['backup.sql.zst', zstdCompressSync(Buffer.from(script('SELECT 1;'))), 'plain', 'zstd'],
    ['backup.sql', Buffer.from('PGDMP\x01\x10\x00'), 'custom', null],
    ['backup.dump.gz', gzipSync('PGDMP\x01\x10\x00'), 'custom', 'gzip'],
  ])('%s (%#)', async (name, content, format, compression) => {
    const path = await file(name, content);
    expect(await recogniseFile(path)).toMatchObject({ path, format, compression });
  });

  test('a tar of pg_dump, and a bundle of ours', async () => {
    expect(await recogniseFile(await file('a', await tarOf('toc.dat')))).toMatchObject({ format: 'tar' });
    expect(await recogniseFile(await file('b.sql', 'age-encryption.org/v1\n-> X25519 …'))).toBeNull();
  });

  test.each([
    ['text', 'CREATE TABLE t ();\n', 'neither a backup'],
    ['empty', '', 'neither a backup'],
    ['of pg_dumpall', '--\n-- PostgreSQL database cluster dump\n--\n', 'pg_dumpall'],
    ['xz', Buffer.from('\xfd7zXZ\0', 'latin1'), 'packed with xz'],
    ['zip', 'PK\x03\x04', 'packed with zip'],
  ])('refused, and said what it is: %s', async (_name, content, message) => {
    await expect(recogniseFile(await file('refused', content))).rejects.toMatchObject({
      code: 'FILE_UNKNOWN',
      exitCode: 3,
      message: expect.stringContaining(message),
    });
  });

  test('another tar, a folder, and nothing at all', async () => {
    await expect(recogniseFile(await file('t', await tarOf('other')))).rejects.toMatchObject({
      code: 'FILE_UNKNOWN',
    });
    await mkdir(join(folder, 'dump-fd'));
    await expect(recogniseFile(join(folder, 'dump-fd'))).rejects.toMatchObject({
      code: 'FILE_UNKNOWN',
      hint: expect.stringContaining('-Fc'),
    });
    await expect(recogniseFile(join(folder, 'missing'))).rejects.toMatchObject({ code: 'FILE_MISSING' });
  });

  test.each(['gzip', 'zstd'] as const)('one that was cut short does not unpack: %s', async (compression) => {
    // Random text: what compresses well would be there from the first bytes.
    const text = script(
      Array.from({ length: 50_000 }, (_, n) => (n * 2_654_435_761) % 4_294_967_296).join('\n'),
    );
    const packed = compression === 'gzip' ? gzipSync(text) : zstdCompressSync(Buffer.from(text));
    const path = await file('cut', packed.subarray(0, packed.length - 100));
    const found = await recogniseFile(path);
    if (!found) throw new Error('not recognised');
    await expect(collect(openDump(found))).rejects.toMatchObject({ code: 'DUMP_DAMAGED', exitCode: 3 });
  });
});

describe('a script for psql', () => {
  async function* inPieces(text: string, size: number) {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const restricted = async (text: string, size = 7_001) =>
    (await collect(restrictedScript(inPieces(text, size), 'OURS'))).toString();

  test.each([1, 1000, 1 << 20])(
    'is restricted by our key from its first line on, read %d bytes at once',
    async (size) => {
      const text = script('SELECT 1;');
      const result = await restricted(text, size);
      expect(result.split('\n')[0]).toBe('\\restrict OURS');
      expect(result).not.toContain('Abc123');
      expect(result.split('\n').indexOf('SELECT 1;')).toBe(text.split('\n').indexOf('SELECT 1;'));
    },
  );

  test('of an older pg_dump, without \\restrict', async () => {
    const text = `${HEAD}SELECT 1;\n${TAIL}`;
    expect(await restricted(text)).toBe(text.replace('--\n', '\\restrict OURS\n'));
  });

  test('rows are passed on as they are: bytes that are no text, and lines that look like commands', async () => {
    const rows = `COPY t FROM stdin;\n\\restrict Other\n\\unrestrict Other\nä\u{1f600}\n\\.\n${'x\n'.repeat(200_000)}`;
    expect(await restricted(script(rows))).toContain(rows);
  });

  test('only the pair of pg_dump is taken out: another \\restrict stays, and psql refuses it', async () => {
    expect(await restricted(`${HEAD}SELECT 1;\n\\restrict Abc123\n${TAIL}`)).toContain('\\restrict Abc123');
    expect(await restricted(`${HEAD}\\! id\n${TAIL}`)).toContain('\\! id');
  });

  test('what comes after its end is not cut off either', async () => {
    const early = `${HEAD}\\restrict Abc123\n\\unrestrict Abc123\n\\! id\n${TAIL}`;
    expect(await restricted(early)).toContain('\\unrestrict Abc123\n\\! id\n');
    expect(await restricted(`${script('SELECT 1;')}\\! id\n`)).toContain('\\! id\n');
  });

  test.each([
    ['cut short', script('SELECT 1;').slice(0, -80)],
    ['cut short, and long', script('SELECT 1;\n'.repeat(20_000)).slice(0, -2000)],
  ])('%s is refused', async (_name, text) => {
    await expect(restricted(text)).rejects.toMatchObject({ code: 'DUMP_TRUNCATED', exitCode: 3 });
  });

  test('that begins with a command is refused', async () => {
    await expect(restricted(`\\! id\n${HEAD}${TAIL}`)).rejects.toMatchObject({ code: 'DUMP_UNSAFE' });
  });
});
