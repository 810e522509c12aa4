import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Host } from './host.ts';
import { Published } from './published.ts';
import { errorOf, type RunOptions, SHELLS } from './shim.ts';

jest.setTimeout(120_000);

let published: Published;
beforeAll(async () => {
  published = (await new Published().add('1.0.0')).issue();
});
afterAll(() => published[Symbol.dispose]());

const FILE = 'version: 1\nhost: {BIND_ADDRESS: 127.0.0.2}\n';
/** The engine in the image: prints these lines, and keeps what it read. */
const engine = (...lines: string[]) =>
  `cat >"$FAKE_DOCKER/read"\n${lines.map((line) => `echo ${line}\n`).join('')}`;

/** A host with a document outside of the installation. */
function hostWith(shell: string[], runEngine: string): { host: Host; file: string } {
  const host = new Host(shell, published).given('run-engine', runEngine);
  const file = join(host.docker, 'a document.yaml');
  writeFileSync(file, FILE);
  return { host, file };
}
const engineRuns = (host: Host) => host.calls().filter(({ argv }) => argv[0] === 'run');
const starts = (host: Host) => host.callLines().filter((line) => line.includes('kg-operator kg-operator up'));
const warnings = (stdout: string) => (JSON.parse(stdout) as { warnings: string[] }).warnings;

describe.each(SHELLS)('install.sh --config under %s', (_name, shell) => {
  test('the verified engine turns its host section into .operator.conf; up gets the whole of it', async () => {
    const { host, file } = hostWith(shell, engine('BIND_ADDRESS=127.0.0.2', 'WEB_PORT=39999'));
    using _ = host;
    host.given('engine', 'case $1 in up) cat >"$FAKE_DOCKER/imported" ;; esac\n');
    const env = { KG_ADMIN_PASSWORD: 'not on any command line', OTHER_KEY: 'neither is this', HOME: '' };
    const result = await host.install(['--config', file, '--json', '--', '--from-env', 'OTHER_KEY'], { env });
    expect([result.code, result.stderr]).toEqual([0, expect.stringContaining('Reading /')]);
    const [run, ...more] = engineRuns(host);
    expect(more).toEqual([]);
    expect(run?.argv).toEqual(
      expect.arrayContaining(['--network', 'none', 'KG_ADMIN_PASSWORD', 'OTHER_KEY']),
    );
    expect(run?.argv).toEqual(expect.arrayContaining(['config', 'host', '-', '--name', file, '--secrets']));
    expect(run?.argv).toContain(`127.0.0.1:5000/kg/kg-operator-operator@sha256:${'b'.repeat(64)}`);
    expect(JSON.stringify(host.calls().map(({ argv }) => argv))).not.toMatch(/not on any|neither is/);
    expect(readFileSync(join(host.docker, 'read'), 'utf8')).toBe(FILE);
    // --set counts: WEB_PORT is that of the flag.
    expect(
      host
        .read('.operator.conf')
        .split('\n')
        .filter((line) => /^[A-Z]/.test(line))
        .sort(),
    ).toEqual([
      ...['API_PORT=39181', 'BIND_ADDRESS=127.0.0.2', 'IMAGE_REGISTRY=127.0.0.1:5000/kg', 'WEB_PORT=39182'],
    ]);
    expect(starts(host)).toEqual([expect.stringMatching(/ up --from-env OTHER_KEY --yes --config -$/)]);
    expect(readFileSync(join(host.docker, 'imported'), 'utf8')).toBe(FILE);
    expect(host.litter()).toEqual([]);
  });

  test('again: .operator.conf stays, what differs is named, secrets need not be there', async () => {
    const { host, file } = hostWith(shell, engine('BIND_ADDRESS=127.0.0.2'));
    using _ = host;
    await host.install(['--config', file]);
    const before = host.tree();
    host.forgetCalls();
    const same = await host.install(['--config', file, '--json']);
    expect([same.code, warnings(same.stdout)]).toEqual([0, []]);
    expect(engineRuns(host)[0]?.argv).not.toContain('--secrets');
    expect(engineRuns(host)[0]?.argv).toContain(`type=bind,source=${host.root},target=${host.root},readonly`);
    host.given('run-engine', engine('BIND_ADDRESS=127.0.0.3', 'DEV_MODE=false'));
    const other = await host.install(['--config', file, '--json']);
    expect([other.code, warnings(other.stdout).sort()]).toEqual([
      0,
      [
        `SETTINGS_KEPT: ${host.root}/.operator.conf has BIND_ADDRESS=127.0.0.2, and stays as it is: BIND_ADDRESS=127.0.0.3 was not used`,
        `SETTINGS_KEPT: ${host.root}/.operator.conf has no DEV_MODE, and stays as it is: DEV_MODE=false was not used`,
      ],
    ]);
    expect(host.tree()).toEqual(before);
  });

  test('a document that is wrong: its lines are told, nothing is written', async () => {
    const says =
      'echo "Error: kg.yaml is not a valid configuration file" >&2\necho "  kg.yaml:2:8: host: unknown key X" >&2\n' +
      'echo "Next: correct the file; nothing was changed" >&2\nexit 4\n';
    const { host, file } = hostWith(shell, says);
    using _ = host;
    const result = await host.install(['--config', file, '--json']);
    expect([result.code, errorOf(result)]).toEqual([
      4,
      {
        code: 'CONFIG_INVALID',
        message: 'kg.yaml is not a valid configuration file',
        hint: 'correct the file; nothing was changed',
        details: ['kg.yaml:2:8: host: unknown key X'],
      },
    ]);
    expect([host.tree(), host.litter(), starts(host)]).toEqual([{}, [], []]);
  });
});

describe('install.sh --config', () => {
  const shell = ['dash'];
  const refused = async (host: Host, args: string[], options: RunOptions = {}) => {
    const result = await host.install([...args, '--json'], options);
    return { exit: result.code, ...errorOf(result), written: existsSync(host.root) };
  };

  test('--dry-run says what it would do, and a document is checked', async () => {
    const { host, file } = hostWith(shell, engine('BIND_ADDRESS=127.0.0.2'));
    using _ = host;
    const result = await host.install(['--dry-run', '--json'], { env: { KG_INSTALL_CONFIG: file } });
    expect([result.code, engineRuns(host).length, existsSync(host.root)]).toEqual([0, 1, false]);
  });

  test('only the files: it says how to go on, with the document', async () => {
    const { host, file } = hostWith(shell, engine());
    using _ = host;
    const result = await host.install(['--no-start', '--config', file]);
    expect(result.stdout).toContain(`./operator.sh up --yes --config - <${file}`);
    expect(starts(host)).toEqual([]);
  });

  test('its ports and its name are checked as those of --set are', async () => {
    const { host, file } = hostWith(shell, engine('CONTAINER_PREFIX=mine'));
    using _ = host;
    host.given('volumes', 'mine_postgres-data\n');
    expect(await refused(host, ['--config', file])).toMatchObject({
      exit: 3,
      code: 'CHECKS_FAILED',
      details: [expect.stringMatching(/^DATA_WITHOUT_ENV: .*installation mine/)],
      written: false,
    });
  });

  test('an image that can not be had, an engine that can not run, a file that is not there, a backup', async () => {
    const { host, file } = hostWith(
      shell,
      'echo "docker: Error response from daemon: no room" >&2\nexit 125\n',
    );
    using _ = host;
    const why = (code: string, exit: number) => ({ code, exit, written: false });
    expect(await refused(host, ['--config', file])).toMatchObject(why('ENGINE_NOT_RUN', 6));
    host.given('no-images').given('fail', 'pull*');
    expect(await refused(host, ['--config', file])).toMatchObject(why('IMAGE_NOT_PULLED', 6));
    expect(await refused(host, ['--config', '/nowhere.yaml'])).toMatchObject(why('USAGE', 2));
    expect(await refused(host, ['--config', file, '--restore', file])).toMatchObject(why('USAGE', 2));
  });

  test('over a running older one nothing is imported, and that is said', async () => {
    using host = new Host(shell, published).given('run-engine', engine());
    const file = join(host.docker, 'kg.yaml');
    writeFileSync(file, FILE);
    await host.install();
    mkdirSync(join(host.root, '.operator'), { recursive: true });
    host.write('.operator/release.env', 'RELEASE_VERSION=0.9.0\n');
    host.forgetCalls();
    const result = await host.install(['--config', file, '--json']);
    expect([result.code, warnings(result.stdout)]).toEqual([
      0,
      [expect.stringContaining(`./operator.sh config import - <${file}`)],
    ]);
    expect(starts(host)).toEqual([]);
  });
});
