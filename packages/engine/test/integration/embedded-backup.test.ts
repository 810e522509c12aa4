import { cpSync, existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { readEnvFile } from '../../src/model/settings.ts';
import { takeLock } from '../../src/run/lock.ts';
import { freePort, type RunningCommand, start, until } from '../installed-package.ts';

jest.setTimeout(240_000);

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'run.js');
const PASSWORD = 'what the first one types';
const API_KEY = 'sk-embedded-0123456789';
const TEXT = 'Ada worked with Babbage. '.repeat(2000);

/** `kg-operator dev` and the commands beside it, in a folder of its own. */
class Folder {
  readonly path: string;
  #dev: RunningCommand | undefined;
  #api = '';
  #token = '';

  constructor(path: string) {
    this.path = path;
  }

  get data(): string {
    return join(this.path, '.kg');
  }

  run(args: string[], env: Record<string, string> = {}) {
    return start(BIN, this.path, args, env).ended;
  }

  begin(args: string[]): RunningCommand {
    return start(BIN, this.path, args);
  }

  async json(args: string[], env: Record<string, string> = {}) {
    const { code, stdout, stderr } = await this.run([...args, '--json'], env);
    if (stdout === '') throw new Error(`${args.join(' ')}: exit ${code}, and said only\n${stderr}`);
    return { code, ...JSON.parse(stdout) };
  }

  async ok(args: string[], env: Record<string, string> = {}) {
    const answer = await this.json(args, env);
    if (!answer.ok) throw new Error(`${args.join(' ')}: ${JSON.stringify(answer.error)}`);
    return answer.data;
  }

  async up(password = PASSWORD): Promise<void> {
    const port = await freePort();
    const dev = start(BIN, this.path, ['dev', '--port', String(port)], { KG_ADMIN_PASSWORD: password });
    this.#dev = dev;
    this.#api = `http://localhost:${port}/api`;
    const ready = until(async () => ((await fetch(`${this.#api}/ready`)).ok ? true : null), 120, dev.output);
    await Promise.race([
      ready,
      dev.ended.then(({ stderr }) => Promise.reject(new Error(`it ended: ${stderr}`))),
    ]);
  }

  async down(): Promise<void> {
    this.#dev?.kill('SIGTERM');
    await this.#dev?.ended;
    this.#dev = undefined;
  }

  async logIn(password: string): Promise<number> {
    const body = new URLSearchParams({ grant_type: 'password', username: 'admin', password });
    const response = await fetch(`${this.#api}/oauth/token`, { method: 'POST', body });
    if (response.ok) this.#token = ((await response.json()) as { access_token: string }).access_token;
    return response.status;
  }

  // biome-ignore lint/suspicious/noExplicitAny: answers of all kinds
  async api(method: string, path: string, body?: unknown): Promise<any> {
    const response = await fetch(`${this.#api}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async names(): Promise<string[]> {
    const { nodes } = await this.api('GET', '/graph');
    return nodes.map(({ name }: { name: string }) => name).sort();
  }

  async documents(): Promise<string[]> {
    const { documents } = await this.api('GET', '/documents');
    return Promise.all(
      documents.map(async ({ id }: { id: string }) => (await this.api('GET', `/documents/${id}`)).text),
    );
  }

  /** Everything in the data directory that is not a backup, or of the process that looks. */
  async contents(): Promise<string[]> {
    return (await readdir(this.data))
      .filter((name) => !['backups', 'journal.jsonl', 'runs', 'holder.json', 'lock'].includes(name))
      .sort();
  }
}

const WHOLE = ['.env', 'objects', 'postgres'];
const scratch: string[] = [];
async function newFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'kg embedded '));
  scratch.push(path);
  return new Folder(path);
}
afterAll(async () => {
  for (const path of scratch) await rm(path, { recursive: true });
});

describe('backup and restore without Docker', () => {
  let first: Folder;
  let backup: { id: string };
  beforeAll(async () => {
    first = await newFolder();
    await first.up();
    await first.logIn(PASSWORD);
    for (const name of ['Ada', 'Babbage'])
      await first.api('POST', '/concepts', { name, description: `"${name}" \\ ü` });
    await first.api('POST', '/relations', { from: 'Ada', to: 'Babbage', type: 'works with' });
    await first.api('POST', '/documents', { title: 'Notes', text: TEXT });
    await first.ok(['config', 'api-key', 'openai'], { KG_AI_API_KEY: API_KEY });
    await first.ok(['backup', 'kit', 'new', '--export', 'kit.txt', '--yes']);
  });
  afterAll(() => first?.down());

  test('a backup is made through the running platform, restored once in a folder of its own, and listed', async () => {
    ({ backup } = await first.ok(['backup']));
    expect(backup).toMatchObject({
      state: 'verified',
      counts: { graphs: 1, vertices: 2, edges: 1, objects: 1 },
      opens: ['recovery kit', 'this installation'],
    });
    expect(await first.contents()).toEqual([...WHOLE.slice(0, 1), 'dev.json', ...WHOLE.slice(1)]);
    const { backups } = await first.ok(['backup', 'list']);
    expect(backups).toMatchObject([{ id: backup.id, state: 'verified', destinations: ['local'] }]);
    expect(await first.ok(['backup', 'verify'])).toMatchObject({
      backup: { id: backup.id, state: 'verified' },
    });
    expect((await first.ok(['status'])).backup).toMatchObject({ lastVerified: { id: backup.id } });
    expect(await first.names()).toEqual(['Ada', 'Babbage']);
  });

  test('restore waits for nobody: while dev runs it is refused', async () => {
    expect(await first.json(['restore', 'latest', '--confirm', '.kg'])).toMatchObject({
      code: 5,
      error: { code: 'LOCKED', hint: expect.stringContaining('Ctrl-C') },
    });
    expect(await first.names()).toEqual(['Ada', 'Babbage']);
  });

  test('documents and configuration by themselves come back while it runs', async () => {
    await rm(join(first.data, 'objects', 'documents'), { recursive: true });
    await first.ok(['config', 'set', 'web.title', 'Changed']);
    await first.ok(['restore', 'latest', '--only', 'objects', '--confirm', '.kg']);
    expect(await first.documents()).toEqual([TEXT]);
    await first.ok(['restore', 'latest', '--only', 'config', '--confirm', '.kg']);
    expect(await first.ok(['config', 'get', 'web.title'])).not.toMatchObject({ value: 'Changed' });
    expect(await first.contents()).toEqual([...WHOLE.slice(0, 1), 'dev.json', ...WHOLE.slice(1)]);
  });

  test('what needs containers says so', async () => {
    expect(await first.json(['backup', 'schedule', '30 3 * * *'])).toMatchObject({
      code: 3,
      error: { code: 'NEEDS_CONTAINERS', hint: expect.stringContaining('crontab') },
    });
  });

  test('a PostgreSQL of the user’s own is backed up and verified, and not replaced', async () => {
    const other = await newFolder();
    const { postgresPort } = JSON.parse(await readFile(join(first.data, 'dev.json'), 'utf8'));
    const secrets = readEnvFile(join(first.data, '.env'));
    const env = {
      DATABASE_URL: `postgres://kg@127.0.0.1:${postgresPort}/kg`,
      POSTGRES_PASSWORD: secrets.get('POSTGRES_PASSWORD') ?? '',
      ENCRYPTION_KEY: secrets.get('ENCRYPTION_KEY') ?? '',
    };
    await cp(join(first.data, 'objects'), join(other.data, 'objects'), { recursive: true });
    expect(await other.ok(['backup'], env)).toMatchObject({
      backup: { state: 'verified', counts: { objects: 1 } },
    });
    expect(await other.json(['restore', 'latest', '--confirm', '.kg'], env)).toMatchObject({
      code: 3,
      error: { code: 'RESTORE_ELSEWHERE' },
    });
    expect(await other.contents()).toEqual(['objects']);
  });

  test('it brings back what was changed since, and keeps what was there until it is pruned', async () => {
    await first.api('POST', '/concepts', { name: 'Written later' });
    await first.down();
    await first.ok(['config', 'set', 'web.title', 'Changed again']);
    const title = async () => (await first.ok(['config', 'get', 'web.title'])).value;
    await first.ok(['restore', 'latest', '--confirm', '.kg']);
    expect(await title()).not.toBe('Changed again');
    await first.ok(['restore', '--previous', '--confirm', '.kg']);
    expect(await title()).toBe('Changed again');
    const { previousDatabase } = await first.ok(['restore', '--previous', '--confirm', '.kg']);
    expect(await title()).not.toBe('Changed again');
    expect(await first.contents()).toEqual([...WHOLE, previousDatabase, `${previousDatabase}.json`]);
    expect((await first.ok(['status'])).backup.previousDatabases).toMatchObject([{ name: previousDatabase }]);
    const release = await takeLock(await realpath(join(first.data, 'backups')), 'restore');
    expect(await first.json(['backup', 'prune', '--previous', '--yes'])).toMatchObject({
      code: 5,
      error: { code: 'LOCKED' },
    });
    await release();
    expect(await first.ok(['backup', 'prune', '--previous', '--yes'])).toMatchObject({
      databases: [previousDatabase],
    });
    expect(await first.contents()).toEqual(WHOLE);
    expect(await readdir(join(first.data, 'objects'))).toEqual([
      expect.stringMatching(/^documents-[0-9a-f]{8}$/),
    ]);
    await first.up();
    expect(await first.logIn(PASSWORD)).toBe(200);
    expect(await first.names()).toEqual(['Ada', 'Babbage']);
    expect(await first.documents()).toEqual([TEXT]);
    await first.api('POST', '/concepts', { name: 'After the restore' });
    await first.down();
  });

  test('a damaged backup and a wrong key are refused before anything is touched', async () => {
    const path = join(first.data, 'backups', `${backup.id}.tar.age`);
    const bytes = await readFile(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 5000) ^ 1, bytes.length - 5000);
    await writeFile(join(first.path, 'damaged.tar.age'), bytes);
    expect(await first.json(['restore', './damaged.tar.age', '--confirm', '.kg'])).toMatchObject({
      code: 3,
      error: { code: 'BACKUP_DAMAGED' },
    });
    expect(await first.json(['restore', 'latest', '--confirm', 'kg'])).toMatchObject({
      code: 2,
      error: { code: 'NOT_CONFIRMED' },
    });
    expect(await first.contents()).toEqual(WHOLE);
  });

  test('a table that no migration makes fails the backup, and is named', async () => {
    const { folder } = await copyOf(first);
    const sql = await openOwnDatabase(folder, 'CREATE TABLE public.notes (id int)');
    expect(sql).toBe('done');
    expect(await folder.json(['backup'])).toMatchObject({
      code: 9,
      error: { code: 'RESTORE_IMPOSSIBLE', message: expect.stringContaining('table public.notes') },
    });
    expect((await folder.ok(['backup', 'list'])).backups[0]).toMatchObject({ state: 'failed' });
    expect(await folder.contents()).toEqual(WHOLE);
  });

  test('another folder, with another key, is restored from the bundle and the kit', async () => {
    const second = await newFolder();
    await second.up('another password entirely');
    await second.down();
    await cp(join(first.data, 'backups', `${backup.id}.tar.age`), join(second.path, 'moved.tar.age'));
    await cp(join(first.path, 'kit.txt'), join(second.path, 'kit.txt'));
    expect(await second.json(['restore', './moved.tar.age', '--confirm', '.kg'])).toMatchObject({
      code: 3,
      error: { code: 'BACKUP_KEY_WRONG' },
    });
    await second.ok(['restore', './moved.tar.age', '--kit-file', 'kit.txt', '--confirm', '.kg']);
    const [key, before] = [second, first].map(({ data }) =>
      readEnvFile(join(data, '.env')).get('ENCRYPTION_KEY'),
    );
    expect(key).not.toBe(before);
    await second.up('another password entirely');
    try {
      expect(await second.logIn(PASSWORD)).toBe(200);
      expect(await second.names()).toEqual(['Ada', 'Babbage']);
      expect(await second.documents()).toEqual([TEXT]);
      // Every stored credential opens with this folder's key.
      expect(await second.ok(['status', '--exit-code'])).toMatchObject({ ok: true });
      expect((await second.ok(['config', 'api-key', 'list'])).keys).toContainEqual(
        expect.objectContaining({ provider: 'openai', opens: true }),
      );
    } finally {
      await second.down();
    }
  });

  test.each(['not begun', 'between the renames', 'done but for the note'])(
    'a swap that was cut off %s is finished by the next command',
    async (stage) => {
      const { folder } = await copyOf(first);
      const [live, incoming, outgoing] = [
        'postgres',
        'postgres.restore-00000000',
        'postgres.before-x-00000000',
      ].map((name) => join(folder.data, name)) as [string, string, string];
      await cp(live, incoming, { recursive: true });
      await writeFile(
        join(folder.data, 'postgres.before-x-00000000.json'),
        '{"endpoint":"file:objects","bucket":"old"}',
      );
      await writeFile(
        join(folder.data, 'postgres.swap.json'),
        JSON.stringify({ incoming: 'postgres.restore-00000000', outgoing: 'postgres.before-x-00000000' }),
      );
      if (stage !== 'not begun') await rename(live, outgoing);
      if (stage === 'done but for the note') await rename(incoming, live);
      expect((await folder.ok(['status'])).schema ?? (await folder.ok(['migrate', 'status']))).toBeTruthy();
      expect(await folder.contents()).toEqual([
        ...WHOLE,
        'postgres.before-x-00000000',
        'postgres.before-x-00000000.json',
      ]);
      expect(existsSync(join(live, 'PG_VERSION'))).toBe(true);
    },
  );

  test('killed at any time, a restore leaves the live data, and again it succeeds', async () => {
    const { folder } = await copyOf(first);
    await folder.ok(['config', 'set', 'web.title', 'Alive']);
    const started = performance.now();
    await folder.ok(['restore', 'latest', '--dry-run']);
    const check = performance.now() - started;
    const killed: number[] = [];
    for (const share of [0.9, 1.5, 2.2]) {
      const restore = folder.begin(['restore', 'latest', '--confirm', '.kg', '--quiet']);
      const timer = setTimeout(() => restore.kill('SIGKILL'), check * share);
      const { signal } = await restore.ended;
      clearTimeout(timer);
      const { value } = await folder.ok(['config', 'get', 'web.title']);
      if (signal !== null) killed.push(share);
      // After the swap the restored data is live.
      if (signal !== null && !(await folder.contents()).some((name) => name.startsWith('postgres.before-')))
        expect(value).toBe('Alive');
    }
    expect(killed).not.toEqual([]);
    await folder.ok(['restore', 'latest', '--confirm', '.kg']);
    await folder.ok(['backup', 'prune', '--previous', '--yes']);
    expect(await folder.contents()).toEqual(WHOLE);
    expect(await readdir(join(folder.data, 'objects'))).toHaveLength(1);
  });
});

/** The same data in another folder; nobody has it open. */
async function copyOf(folder: Folder): Promise<{ folder: Folder }> {
  const copy = await newFolder();
  cpSync(folder.data, copy.data, { recursive: true });
  return { folder: copy };
}

async function openOwnDatabase(folder: Folder, statement: string): Promise<string> {
  const { openEmbedded } = await import('../../src/database/embedded.ts');
  const pglite = await openEmbedded(folder.data);
  await pglite.exec(statement);
  await pglite.close();
  return 'done';
}
