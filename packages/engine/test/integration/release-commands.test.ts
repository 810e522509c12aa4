import { execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseSecretKey } from '../../src/release/minisign.ts';
import { type BuiltEngine, buildEngine } from '../built-engine.ts';
import { formatPublicKey, MIGRATIONS, newSecretKeyFile, POLICY, releaseInput } from '../releases.ts';

/** Of Debian's package of that name; in PATH, or where KG_MINISIGN says. */
const MINISIGN = process.env.KG_MINISIGN ?? 'minisign';

let engine: BuiltEngine;
let secretKey: string;
beforeAll(async () => {
  engine = await buildEngine();
  secretKey = newSecretKeyFile();
  await writeFile(join(engine.folder, 'release.key'), secretKey, { mode: 0o600 });
  const publicKey = formatPublicKey(parseSecretKey(secretKey));
  await writeFile(join(engine.folder, 'release.pub'), `untrusted comment: of a test\n${publicKey}\n`);
  await writeFile(join(engine.folder, 'images.json'), JSON.stringify(releaseInput('1.0.0').images));
  await writeFile(join(engine.folder, 'policy.json'), JSON.stringify(POLICY));
  await mkdir(join(engine.folder, 'migrations'));
  for (const { id, kind } of MIGRATIONS.slice(0, 2))
    await writeFile(join(engine.folder, 'migrations', `${id}.sql`), `-- kind: ${kind}\nSELECT 1;\n`);
}, 180_000);
afterAll(() => engine.remove());

const file = (name: string) => join(engine.folder, name);
const bytes = (name: string) => readFile(file(name));

/** Runs a command with --json; its data, or its error. */
async function json(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await engine.run([...args, '--json'], env);
  const document = JSON.parse(stdout) as {
    data?: never;
    error?: { code: string; message: string; details?: string[] };
  };
  return { code, stderr, stdout, ...document };
}
const build = (folder: string, version: string, createdAt = '2026-11-23T12:00:00Z') =>
  json([
    ...['release', 'build', folder, version, '--images', 'images.json', '--policy', 'policy.json'],
    ...['--dir', 'migrations', '--created-at', createdAt],
  ]);
const channels = (folder: string, ...more: string[]) =>
  json(['release', 'channels', folder, ...more], {
    SOURCE_DATE_EPOCH: String(Math.floor(Date.now() / 1000)),
  });
const sign = (folder: string, keyFile = 'release.key') =>
  json(['release', 'sign', `${folder}/channels.json`, `${folder}/1.0.0/release.json`, '--key-file', keyFile]);
const lint = (folder: string, ...more: string[]) =>
  json(['release', 'lint', folder, '--dir', 'migrations', ...more], { KG_RELEASE_KEYS: file('release.pub') });

/** A folder with 1.0.0, as a pipeline makes it. */
async function published(folder: string): Promise<void> {
  for (const step of [
    () => build(folder, '1.0.0'),
    () => channels(folder, '--set', 'stable=1.0.0'),
    () => sign(folder),
  ])
    expect((await step()).code).toBe(0);
}

describe('the pipeline of a release', () => {
  test('builds, lists, signs, and finds nothing wrong', async () => {
    await published('whole');
    expect((await lint('whole', '--signatures')).data).toEqual({ releases: 1, findings: [] });
    expect(JSON.parse(String(await bytes('whole/1.0.0/release.json')))).toMatchObject({
      createdAt: '2026-11-23T12:00:00Z',
      schema: { head: '0002_second', migrations: MIGRATIONS.slice(0, 2) },
    });
  });

  test('gives the same bytes again, and never another release under the same version', async () => {
    await published('once');
    await cp(file('once'), file('again'), { recursive: true });
    const names = ['channels.json.minisig', '1.0.0/release.json', '1.0.0/release.json.minisig'];
    const before = await Promise.all(names.map((name) => bytes(`again/${name}`)));
    for (const step of [() => build('again', '1.0.0'), () => sign('again')])
      expect((await step()).code).toBe(0);
    expect(await Promise.all(names.map((name) => bytes(`again/${name}`)))).toEqual(before);
    const other = await build('again', '1.0.0', '2026-11-24T12:00:00Z');
    expect(other).toMatchObject({ code: 3, error: { code: 'RELEASE_EXISTS' } });
    expect(await bytes('again/1.0.0/release.json')).toEqual(before[1]);

    const next = (folder: string) =>
      json(['release', 'channels', folder, '--yank', '1.0.0=loses documents', '--replace', '1.0.0=1.0.1'], {
        SOURCE_DATE_EPOCH: '1795400000',
      });
    for (const folder of ['once', 'again']) expect((await next(folder)).code).toBe(0);
    expect(await bytes('once/channels.json')).toEqual(await bytes('again/channels.json'));
    expect(JSON.parse(String(await bytes('once/channels.json')))).toMatchObject({
      counter: 2,
      issuedAt: '2026-11-23T02:13:20Z',
      expiresAt: '2027-02-21T02:13:20Z',
      channels: { stable: '1.0.0' },
      yanked: [{ version: '1.0.0', reason: 'loses documents', replacedBy: '1.0.1' }],
    });
  });

  test('writes the same assets twice; lint reads all of them', async () => {
    const env = { KG_RELEASE_KEYS: file('release.pub') };
    const root = join(import.meta.dirname, '../../../..');
    const names = ['install.sh', '1.0.0/install.sh', '1.0.0/kg-1.0.0.tar.gz', '1.0.0/SHA256SUMS'];
    const sums = async (folder: string) => {
      await published(folder);
      const args = [
        'release',
        'assets',
        folder,
        '1.0.0',
        '--root',
        root,
        '--url',
        'https://releases.example.org',
      ];
      expect(await json(args, env)).toMatchObject({ code: 0, data: { version: '1.0.0' } });
      return Promise.all(names.map((name) => bytes(`${folder}/${name}`)));
    };
    expect(await sums('assets')).toEqual(await sums('assets-again'));
    const rules = async () =>
      (
        (await lint('assets', '--signatures')).data as unknown as { findings: { rule: string }[] }
      ).findings.map(({ rule }) => rule);
    expect(await rules()).toEqual(['signature']);
    const signed = await json(['release', 'sign', 'assets/1.0.0/SHA256SUMS', '--key-file', 'release.key']);
    expect(signed.code).toBe(0);
    expect(await rules()).toEqual([]);
    await writeFile(file('assets/1.0.0/install.sh'), 'another');
    expect(await rules()).toEqual(['assets-differ']);
  });

  test('is stopped by lint: exit 3 and every finding', async () => {
    await published('wrong');
    await cp(file('wrong/channels.json'), file('previous.json'));
    await writeFile(
      file('wrong/channels.json'),
      String(await bytes('wrong/channels.json')).replace('"upgradeFrom": "1.0.0"', '"upgradeFrom": "0.9.0"'),
    );
    const found = await lint('wrong', '--previous', 'previous.json', '--signatures');
    expect(found.code).toBe(3);
    const { findings } = found.data as unknown as { findings: { rule: string }[] };
    expect(findings.map(({ rule }) => rule)).toEqual(['list-differs', 'counter', 'signature']);
    const text = await engine.run(['release', 'lint', 'wrong', '--dir', 'migrations']);
    expect(text).toMatchObject({
      code: 3,
      stdout: expect.stringMatching(/list-differs: upgradeFrom is 1\.0\.0.*\n1 release: 1 finding\./),
    });
  });

  test('refuses what it can not be sure of', async () => {
    expect(await build('x', '1.0')).toMatchObject({ code: 3, error: { code: 'MANIFEST_INVALID' } });
    const untimed = await json(['release', 'channels', 'whole', '--set', 'stable=1.0.0']);
    expect(untimed).toMatchObject({ code: 2, error: { code: 'TIME_MISSING' } });
    expect(await channels('whole', '--set', 'stable')).toMatchObject({ code: 2, error: { code: 'USAGE' } });
    expect(await channels('whole', '--set', 'stable=9.9.9')).toMatchObject({
      code: 3,
      error: { code: 'MANIFEST_INVALID' },
    });
    expect(await lint('nowhere')).toMatchObject({ code: 2, error: { code: 'FILE_UNREADABLE' } });
    expect(await sign('whole', 'nowhere.key')).toMatchObject({ code: 2, error: { code: 'FILE_UNREADABLE' } });
    expect(await sign('whole', 'release.pub')).toMatchObject({
      code: 3,
      error: { code: 'SIGNING_KEY_INVALID' },
    });
  });

  test('tells nothing of the key', async () => {
    await writeFile(file('spoilt.key'), secretKey.replace('RWQAAEIy', 'RWQAAEIz'));
    const outputs = [await sign('whole'), await sign('whole', 'spoilt.key')].map(
      ({ stdout, stderr }) => stdout + stderr,
    );
    expect(outputs[1]).toContain('SIGNING_KEY_INVALID');
    const secret = (secretKey.split('\n')[1] as string).slice(90, 130);
    expect(secret).toHaveLength(40);
    for (const output of outputs) expect(output).not.toContain(secret);
  });
});

describe('the stock minisign', () => {
  const minisign = (...args: string[]) =>
    execFileSync(MINISIGN, args, { cwd: engine.folder, encoding: 'utf8', stdio: 'pipe' });

  test('checks what was signed here, and makes keys and signatures that are taken here', async () => {
    await published('stock');
    const listName = 'stock/channels.json';
    expect(minisign('-V', '-m', listName, '-p', 'release.pub')).toContain(
      'Trusted comment: kg-operator channels 1',
    );

    minisign('-G', '-W', '-p', 'stock.pub', '-s', 'stock.key');
    minisign('-S', '-s', 'stock.key', '-m', listName, 'stock/1.0.0/release.json');
    const checked = () =>
      json(['release', 'lint', 'stock', '--signatures'], { KG_RELEASE_KEYS: file('stock.pub') });
    expect(await checked()).toMatchObject({ code: 0, data: { findings: [] } });

    expect((await sign('stock', 'stock.key')).code).toBe(0);
    expect(minisign('-V', '-m', listName, '-p', 'stock.pub')).toContain(
      'Signature and comment signature verified',
    );
    expect(await checked()).toMatchObject({ code: 0, data: { findings: [] } });
    await writeFile(file(listName), `${await bytes(listName)} `);
    expect(() => minisign('-V', '-m', listName, '-p', 'stock.pub')).toThrow(/Signature verification failed/);
    expect((await checked()).code).toBe(3);
  });

  test('finds the first of several signatures, and with tail the last', async () => {
    await published('both');
    minisign('-G', '-W', '-f', '-p', 'second.pub', '-s', 'second.key');
    const listName = 'both/channels.json';
    const args = ['release', 'sign', listName, '--key-file', 'release.key', '--key-file', 'second.key'];
    expect((await engine.run(args)).code).toBe(0);
    expect(minisign('-V', '-m', listName, '-p', 'release.pub')).toContain('verified');
    const lines = String(await bytes(`${listName}.minisig`))
      .trimEnd()
      .split('\n');
    expect(lines).toHaveLength(8);
    await writeFile(file('last.minisig'), `${lines.slice(-4).join('\n')}\n`);
    expect(minisign('-V', '-m', listName, '-x', 'last.minisig', '-p', 'second.pub')).toContain('verified');
  });
});
