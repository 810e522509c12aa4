import { chmodSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Host } from './host.ts';
import { Published } from './published.ts';
import { errorOf, FULL, SHELLS } from './shim.ts';

jest.setTimeout(FULL ? 1_200_000 : 120_000);

/** What 1.1.0 has changed beside the version. */
const addLine = (name: string, text: string) => (name === 'operator.sh' ? text : `${text}# of 1.1.0\n`);

let published: Published;
beforeAll(async () => {
  published = await (await new Published().add('1.0.0')).add('1.1.0', addLine);
  published.issue();
});
afterAll(() => published[Symbol.dispose]());

const PROGRAM = [
  '.operator.conf.example',
  'LICENSE',
  'docker-compose.ghcr.yml',
  'docker-compose.tls.yml',
  'docker-compose.yml',
  'garage/garage.toml',
  'operator.sh*',
];
const starts = (host: Host) => host.callLines().filter((line) => line.includes('kg-operator kg-operator up'));
const data = (stdout: string) => (JSON.parse(stdout) as { data: Record<string, unknown> }).data;
/** Files that a person or the operator owns. */
const OWN = {
  '.env': 'theirs',
  '.operator.conf': 'CONTAINER_PREFIX=kg\nAPI_PORT=39181\nWEB_PORT=39182\n',
  'docker-compose.override.yml': 'services: {}\n',
  'hooks/pre-upgrade': 'echo\n',
  'backups/one.tar.age': 'age',
  '.operator/journal.jsonl': '{}\n',
  '.operator/release.env': 'RELEASE_VERSION=1.0.0\nIMAGE_API=a@sha256:1\n',
  'notes.txt': 'mine',
};
function own(host: Host): void {
  for (const [name, text] of Object.entries(OWN)) {
    mkdirSync(join(host.root, name, '..'), { recursive: true });
    host.write(name, text);
  }
}
const expectOwn = (host: Host) =>
  expect(Object.fromEntries(Object.keys(OWN).map((name) => [name, host.read(name)]))).toEqual(OWN);

describe.each(SHELLS)('install.sh under %s', (_name, shell) => {
  test('from nothing: files, pins by digest, and up with the flags after --', async () => {
    using host = new Host(shell, published);
    const result = await host.install(['--json', '--', '--ai-provider', 'local']);
    expect([result.code, result.stderr]).toEqual([0, expect.stringContaining('signature checked with')]);
    expect(new Set(Object.keys(host.tree()))).toEqual(
      new Set(['.env', '.operator/release.env', '.operator.conf', ...PROGRAM]),
    );
    expect(host.read('.operator/release.env')).toContain(
      `RELEASE_VERSION=1.1.0\nIMAGE_API=127.0.0.1:5000/kg/kg-operator-api@sha256:${'a'.repeat(64)}\n`,
    );
    expect(host.read('.operator.conf')).toContain(
      'API_PORT=39181\nWEB_PORT=39182\nIMAGE_REGISTRY=127.0.0.1:5000/kg\n',
    );
    expect(statSync(join(host.root, '.operator')).mode & 0o777).toBe(0o700);
    expect((await host.operator(['version'])).stdout).toBe('kg-operator 1.1.0\n');
    expect(starts(host)).toEqual([expect.stringMatching(/ up --ai-provider local --yes$/)]);
    expect(data(result.stdout)).toMatchObject({
      version: '1.1.0',
      directory: host.root,
      url: 'http://127.0.0.1:39182',
      next: '',
      steps: [{ name: 'Checking this host' }, {}, {}, {}],
    });
    expect(host.litter()).toEqual([]);
  });

  test('through a pipe; a certain version; only the files', async () => {
    using host = new Host(shell, published);
    const result = await host.pipe(published.read('install.sh'), ['--yes', '--no-start', '--version=1.0.0']);
    expect([result.code, result.stdout]).toEqual([0, expect.stringContaining('kg-operator 1.0.0 is in')]);
    expect((await host.operator(['version'])).stdout).toBe('kg-operator 1.0.0\n');
    expect(host.has('.env')).toBe(false);
    expect(starts(host)).toEqual([]);
  });

  test('again: repairs what is missing or changed, keeps the changed file, and nothing else', async () => {
    using host = new Host(shell, published);
    await host.install(['--no-start']);
    own(host);
    const whole = host.tree();
    rmSync(join(host.root, 'garage/garage.toml'));
    chmodSync(join(host.root, 'operator.sh'), 0o644);
    host.write('docker-compose.yml', 'edited', 0o644);
    const result = await host.install(['--no-start']);
    expect([result.code, result.stderr]).toEqual([
      0,
      expect.stringMatching(/Kept in .*: .*docker-compose.yml/),
    ]);
    expect(host.read('.operator/previous-files/docker-compose.yml')).toBe('edited');
    rmSync(join(host.root, '.operator/previous-files'), { recursive: true });
    expect(host.tree()).toEqual(whole);
    expectOwn(host);
  });

  test('over a running older one: the files of the new, what runs stays, and it says upgrade', async () => {
    using host = new Host(shell, published);
    await host.install(['--version', '1.0.0']);
    const pins = host.read('.operator/release.env');
    const secrets = host.read('.env');
    host.forgetCalls();
    const result = await host.install(['--json']);
    expect(data(result.stdout)).toMatchObject({
      installed: '1.0.0',
      version: '1.1.0',
      next: expect.stringContaining('./operator.sh upgrade --to 1.1.0'),
    });
    expect(starts(host)).toEqual([]);
    expect([host.read('.operator/release.env'), host.read('.env')]).toEqual([pins, secrets]);
    expect(host.read('docker-compose.yml')).toContain('# of 1.1.0');
    expect(host.read('.operator/previous-files/docker-compose.yml')).not.toContain('# of 1.1.0');
    // What runs is 1.0.0 still, so its files are no downgrade.
    expect((await host.install(['--channel', 'old'])).code).toBe(0);
    expect(host.read('docker-compose.yml')).not.toContain('# of 1.1.0');
  });

  test('--dry-run checks and verifies, and writes nothing', async () => {
    using host = new Host(shell, published);
    const result = await host.install(['--dry-run', '--json']);
    expect(data(result.stdout)).toMatchObject({ version: '1.1.0', dryRun: true });
    expect(existsSync(host.root)).toBe(false);
    expect(host.litter()).toEqual([]);
  });

  test('on a terminal it asks once, and up can ask there, though the script comes through a pipe', async () => {
    using host = new Host(shell, published);
    host.given('engine', '[ -t 0 ] && echo "up asks on a terminal"\n');
    const no = await host.onTerminal('n\n');
    expect([no.code, no.stdout]).toEqual([2, expect.stringContaining('Install kg-operator 1.1.0 in')]);
    expect(existsSync(host.root)).toBe(false);
    const yes = await host.onTerminal('\n');
    expect([yes.code, yes.stdout]).toEqual([0, expect.stringContaining('up asks on a terminal')]);
    expect(yes.stdout.match(/\[Y\/n\]/g)).toHaveLength(1);
  });

  test('--restore copies the backup to where the operator sees it, and starts from it', async () => {
    using host = new Host(shell, published);
    const backup = join(host.docker, 'kg-1.tar.age');
    writeFileSync(backup, 'age');
    expect((await host.install(['--restore', backup])).code).toBe(0);
    expect(host.read('backups/kg-1.tar.age')).toBe('age');
    expect(starts(host)).toEqual([
      expect.stringContaining(` up --restore ${host.root}/backups/kg-1.tar.age --yes`),
    ]);
  });

  test('when up fails its exit code is the answer, and the files stay', async () => {
    using host = new Host(shell, published).given('engine', 'exit 4\n');
    const result = await host.install(['--json']);
    expect([result.code, errorOf(result)]).toEqual([
      4,
      expect.objectContaining({ code: 'START_FAILED', hint: expect.stringContaining('./operator.sh up') }),
    ]);
    expect(host.has('operator.sh')).toBe(true);
  });

  test('without a terminal and without --yes nothing is done', async () => {
    using host = new Host(shell, published);
    const result = await host.pipe(published.read('install.sh'), ['--json']);
    expect([result.code, errorOf(result).code]).toEqual([2, 'USAGE']);
    expect(existsSync(host.root)).toBe(false);
  });

  test('--uninstall keeps the data, and the same data is found by the next install', async () => {
    using host = new Host(shell, published);
    await host.install();
    host.given('volumes', 'kg_postgres-data\n');
    const secrets = host.read('.env');
    expect(
      (await host.run(['--dir', host.root, '--uninstall'], { script: host.installer, cwd: host.home })).code,
    ).toBe(2);
    expect(host.has('operator.sh')).toBe(true);
    const result = await host.install(['--uninstall']);
    expect([result.code, result.stdout]).toEqual([0, expect.stringMatching(/kg_postgres-data.*\.env/s)]);
    expect(Object.keys(host.tree()).sort()).toEqual(['.env', '.operator.conf', '.operator/release.env']);
    expect(host.callLines()).toContain('compose down --remove-orphans');
    expect((await host.install()).code).toBe(0);
    expect(host.read('.env')).toBe(secrets);

    // Cut off among the files, the containers gone: again, it goes on.
    rmSync(join(host.root, 'docker-compose.yml'));
    host.given('holder', '0123abc\n');
    expect(errorOf(await host.install(['--uninstall', '--json'])).code).toBe('NO_INSTALLATION');
    host.given('holder', '');
    expect((await host.install(['--uninstall'])).code).toBe(0);
    expect(Object.keys(host.tree()).sort()).toEqual(['.env', '.operator.conf', '.operator/release.env']);
  });

  test('--uninstall --volumes wants the name, and destroys', async () => {
    using host = new Host(shell, published);
    await host.install();
    host.given('volumes', 'kg_postgres-data\n');
    host.forgetCalls();
    for (const more of [[], ['--confirm', 'kgg']])
      expect((await host.install(['--uninstall', '--volumes', ...more])).code).toBe(2);
    expect(host.callLines().filter((line) => line.includes('down'))).toEqual([]);
    const result = await host.install(['--uninstall', '--volumes', '--confirm', 'kg']);
    expect(result.code).toBe(0);
    expect(host.callLines()).toContain('compose down --remove-orphans --volumes');
    expect(Object.keys(host.tree())).toEqual([expect.stringMatching(/^\.env\.removed-/), '.operator.conf']);
  });

  test('cut at any byte it is a syntax error, and nothing runs', async () => {
    using host = new Host(shell, published);
    const text = published.read('install.sh');
    const first = text.indexOf('\n{') + 2;
    const last = text.lastIndexOf('}');
    const step = FULL ? 50 : 400;
    const offsets: number[] = [];
    for (let offset = first + shell.join('').length; offset < last; offset += step) offsets.push(offset);
    for (let offset = last - 20; offset <= last; offset += FULL ? 1 : 4) offsets.push(offset);
    for (const offset of offsets) {
      const { code, stdout } = await host.pipe(text.subarray(0, offset), ['--yes']);
      if (code === 0 || stdout !== '') throw new Error(`cut at byte ${offset}: exit ${code}, ${stdout}`);
    }
    expect([existsSync(host.root), host.litter(), host.calls()]).toEqual([false, [], []]);
  });
});

describe('a release that is not what was published', () => {
  const VERIFIERS = ['minisign', 'openssl', 'node'];
  /** Where a byte is flipped; in a signature only what is signed: its first line is for people, and a last digit has spare bits. */
  function offsets(name: string, bytes: Buffer): number[] {
    const few = (from: number, to: number, n: number) =>
      Array.from({ length: n }, (_, i) => from + Math.floor(((to - from) * (i + 0.5)) / n));
    if (!name.endsWith('.minisig')) return few(0, bytes.length, FULL ? 40 : 3);
    const lines = bytes.toString('latin1').split('\n');
    let at = 0;
    return lines.flatMap((line, index) => {
      const begin = at;
      at += line.length + 1;
      return index === 0 || line.length < 4 ? [] : few(begin, begin + line.length - 3, FULL ? 12 : 2);
    });
  }

  test.each(VERIFIERS)('one flipped byte is refused, nothing written (%s)', async (verifier) => {
    using host = new Host(['dash'], published);
    using copy = published.copy();
    const env = host.environmentWith([verifier]);
    const names = ['channels.json', '1.1.0/SHA256SUMS', '1.1.0/release.json', '1.1.0/kg-1.1.0.tar.gz'];
    names.push(`${names[0]}.minisig`, `${names[1]}.minisig`);
    for (const name of names) {
      const good = published.read(name);
      for (const offset of offsets(name, good)) {
        const bad = Buffer.from(good);
        bad[offset] = (bad[offset] ?? 0) ^ 1;
        copy.write(name, bad);
        const result = await host.install(['--json'], { env, from: copy.folder });
        const where = `${name}, byte ${offset}`;
        expect([where, result.code, existsSync(host.root)]).toEqual([where, 3, false]);
        const { code, message } = errorOf(result);
        expect(code).toMatch(/^(SIGNATURE_INVALID|SUM_MISMATCH)$/);
        expect(message).toContain(name.replace('.minisig', ''));
      }
      copy.write(name, good);
    }
    expect((await host.install(['--no-start'], { env, from: copy.folder })).code).toBe(0);
  });

  test('file, expected and got are named', async () => {
    using host = new Host(['dash'], published);
    using copy = published.copy();
    copy.write('1.1.0/kg-1.1.0.tar.gz', Buffer.from('something else'));
    const result = await host.install([], { from: copy.folder });
    expect(result.stderr).toMatch(
      /file: 1\.1\.0\/kg-1\.1\.0\.tar\.gz\nexpected: [0-9a-f]{64} .*\ngot: [0-9a-f]{64}\n/,
    );
  });

  test.each(VERIFIERS)(
    "another publisher's signature is refused; a second key's is taken (%s)",
    async (verifier) => {
      using host = new Host(['dash'], published);
      using other = await new Published().add('1.1.0');
      other.issue();
      const env = host.environmentWith([verifier]);
      const refused = await host.install(['--json'], { env, from: other.folder });
      expect(errorOf(refused).code).toBe('SIGNATURE_INVALID');
      for (const name of ['channels.json.minisig', '1.1.0/SHA256SUMS.minisig']) {
        using copy = other.copy();
        const mine = copy.read(name);
        const pair = [mine, Buffer.from(String(published.read(name)))];
        other.write(name, Buffer.concat(pair));
      }
      const keys = join(host.home, 'fake/keys.pub');
      writeFileSync(
        keys,
        `untrusted comment: a key\n${published.publicKey()}\n${other.publicKey()}\nrevoked ${published.key.id}\n`,
      );
      const taken = await host.install(['--no-start'], {
        env: { ...env, KG_RELEASE_KEYS: keys },
        from: other.folder,
      });
      expect([taken.code, taken.stderr]).toEqual([0, expect.stringContaining(verifier)]);
      const revoked = await host.install(['--json'], { env: { ...env, KG_RELEASE_KEYS: keys } });
      expect(errorOf(revoked).code).toBe('SIGNATURE_INVALID');
    },
  );

  test('without a program that checks signatures: refused, or by checksums alone when told so', async () => {
    using host = new Host(['dash'], published);
    const env = host.environmentWith([]);
    const refused = await host.install(['--json'], { env });
    expect(refused.stdout).toContain('SIGNATURE_TOOL_MISSING');
    expect(existsSync(host.root)).toBe(false);
    const told = await host.install(['--no-start', '--insecure-no-signature', '--json'], { env });
    expect([told.code, told.stdout]).toEqual([0, expect.stringContaining('SIGNATURE_SKIPPED')]);
  });

  test('withdrawn, unknown, expired, older', async () => {
    using host = new Host(['dash'], published);
    using copy = new Published();
    await copy.add('1.0.0');
    await copy.add('1.1.0');
    const env = { KG_RELEASE_KEYS: join(host.docker, 'keys.pub') };
    writeFileSync(env.KG_RELEASE_KEYS, copy.publicKey());
    const code = async (...args: string[]) =>
      errorOf(await host.install(['--json', ...args], { env, from: copy.folder })).code;
    copy.issue({ yanked: [{ version: '1.1.0', reason: 'loses "documents"', replacedBy: null }] });
    expect(await code()).toBe('VERSION_YANKED');
    expect(await code('--version', '1.2.0')).toBe('VERSION_UNKNOWN');
    expect(await code('--channel', 'nightly')).toBe('CHANNEL_UNKNOWN');
    copy.issue();
    expect((await host.install(['--no-start'], { env, from: copy.folder })).code).toBe(0);
    expect(await code('--version', '1.0.0')).toBe('DOWNGRADE');
    const seen = (counter: number) =>
      host.write(
        '.operator/releases/last-channels.json',
        JSON.stringify(
          { document: String(copy.read('channels.json')).replace('"counter": 1', `"counter": ${counter}`) },
          null,
          1,
        ),
      );
    mkdirSync(join(host.root, '.operator/releases'));
    seen(1);
    expect((await host.install(['--no-start'], { env, from: copy.folder })).code).toBe(0);
    seen(2);
    expect(await code()).toBe('CHANNEL_REPLAYED');
    rmSync(join(host.root, '.operator/releases'), { recursive: true });
    copy.issue({ at: new Date(Date.now() - 100 * 86_400_000) });
    expect(await code()).toBe('CHANNEL_EXPIRED');
  });
});
