import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freePort, type RunningCommand, start, until } from '../installed-package.ts';

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'run.js');
const PASSWORD = 'one file is enough';
const FILE = `version: 1
users:
  ada:
    role: user
    password: {file: ada.txt}
  root:
    role: admin
    password: {env: KG_ROOT_PASSWORD}
ai:
  active: local
  providers:
    local: {}
    openai:
      model: gpt-5-mini
      options:
        temperature: 0.2
embedding:
  active: local
  providers:
    local:
      model: nomic-embed-text-v1.5
      dimensions: 768
      precision: float32
apiKeys:
  openai: {env: OPENAI}
objectStore: files
settings:
  web.title: From one file
`;
const ENV = { KG_ROOT_PASSWORD: PASSWORD, OPENAI: 'sk-one-file-0123456789' };

describe('one file, without Docker', () => {
  let folder: string;
  let dev: RunningCommand | undefined;
  let api: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kg one file '));
    await writeFile(join(folder, 'kg.yaml'), FILE);
    await writeFile(join(folder, 'ada.txt'), 'what ada types\n');
  });
  afterAll(async () => {
    await stop();
    await rm(folder, { recursive: true });
  });

  const run = (args: string[], env: Record<string, string> = {}) => start(BIN, folder, args, env).ended;

  async function startDev(args: string[], env: Record<string, string>): Promise<void> {
    const port = await freePort();
    api = `http://localhost:${port}/api`;
    const started = start(BIN, folder, ['dev', '--port', String(port), ...args], env);
    dev = started;
    const ready = until(
      async () => ((await fetch(`${api}/ready`)).ok ? true : null),
      120,
      () => started.output(),
    );
    await Promise.race([
      ready,
      started.ended.then(({ stderr }) => Promise.reject(new Error(`it ended: ${stderr}`))),
    ]);
  }

  async function stop(): Promise<void> {
    dev?.kill('SIGTERM');
    await dev?.ended;
    dev = undefined;
  }

  test('what it refers to must be there, or nothing runs', async () => {
    const { code, stderr } = await run(['dev', '--port', '0', '--config', 'kg.yaml'], {
      KG_ROOT_PASSWORD: PASSWORD,
    });
    expect(code).toBe(4);
    expect(stderr).toContain('kg.yaml:25:11: apiKeys.openai: OPENAI is not set');
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('brings a fresh installation to ready with no prompt', async () => {
    await startDev(['--config', 'kg.yaml'], ENV);
    for (const [username, password] of [
      ['root', PASSWORD],
      ['ada', 'what ada types'],
    ] as const) {
      const response = await fetch(`${api}/oauth/token`, {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'password', username, password }),
      });
      expect([username, response.status]).toEqual([username, 200]);
    }
    expect((await run(['config', 'validate'])).code).toBe(0);
  });

  test('and export gives the same file back', async () => {
    const { code, stdout } = await run(['config', 'export']);
    expect([code, stdout]).toEqual([0, FILE]);
    const json = JSON.parse((await run(['config', 'export', '--json'])).stdout);
    await writeFile(join(folder, 'kg.json'), JSON.stringify(json.data));
    expect((await run(['config', 'import', 'kg.json', '--dry-run', '--exit-code'], ENV)).code).toBe(0);
  });

  test('again it changes nothing', async () => {
    const { code, stdout } = await run(['config', 'import', 'kg.yaml', '--json'], ENV);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      command: 'config import',
      data: { file: 'kg.yaml', dryRun: false, changed: false, changes: [], kept: [], tests: [], missing: [] },
      warnings: [],
    });
    await stop();
    await startDev([], { ...ENV, KG_CONFIG_FILE: 'kg.yaml' });
    const { changes } = JSON.parse((await run(['config', 'history', '--json'])).stdout).data;
    expect(changes).toHaveLength(2); // the object store, and the import
  });

  test('a dry run shows what would change, and --exit-code says that something would', async () => {
    await writeFile(join(folder, 'other.yaml'), 'version: 1\nsettings: {web.title: Another}\n');
    const dryRun = await run(['config', 'import', 'other.yaml', '--dry-run', '--exit-code']);
    expect(dryRun).toMatchObject({ code: 10, stdout: '~ settings.web.title  From one file → Another\n' });
    expect((await run(['config', 'import', 'other.yaml', '--dry-run'])).code).toBe(0);
    expect((await run(['config', 'export'])).stdout).toBe(FILE);
  });

  test('the API takes it up, and undo takes it back', async () => {
    expect((await run(['config', 'import', 'other.yaml'])).code).toBe(0);
    const title = async () => ((await (await fetch(`${api}/site`)).json()) as { title?: string }).title;
    await until(
      async () => ((await title()) === 'Another' ? true : null),
      10,
      () => dev?.output() ?? '',
    );
    expect((await run(['config', 'undo', '--yes'])).code).toBe(0);
    expect((await run(['config', 'export'])).stdout).toBe(FILE);
  });

  test('a file that is wrong is told with its lines, and nothing else', async () => {
    await writeFile(join(folder, 'wrong.yaml'), 'version: 1\napiKeys: {openai: sk-hunter2}\nsetings: {}\n');
    const { code, stdout, stderr } = await run(['config', 'import', 'wrong.yaml', '--json']);
    expect([code, stderr]).toEqual([4, '']);
    expect(JSON.parse(stdout).error).toEqual({
      code: 'FILE_INVALID',
      message: 'wrong.yaml is not a valid configuration file',
      details: [
        'wrong.yaml:2:19: apiKeys.openai must say where the secret is, {env: NAME} or {file: PATH}: a secret itself is never written here',
        'wrong.yaml:3:1: "setings" is not known; did you mean settings?',
      ],
      hint: 'correct the file; nothing was changed',
    });
    expect((await run(['config', 'import', 'nowhere.yaml'])).code).toBe(2);
  });

  test('no secret is in what any of them prints', async () => {
    const said = dev?.output() ?? '';
    expect(said).toContain('Configured from kg.yaml');
    const all = said + (await readFile(join(folder, 'kg.json'), 'utf8'));
    for (const secret of [PASSWORD, 'what ada types', ENV.OPENAI]) expect(all).not.toContain(secret);
  });
});
