import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openSession } from '../../packages/engine/src/database/session.ts';
import { readMigrations } from '../../packages/engine/src/migrations/files.ts';
import { migrate } from '../../packages/engine/src/migrations/migrate.ts';
import { docker, dockerLines, expectCode, run } from './command.ts';
import { ensureImage } from './images.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { startPostgres } from './postgres.ts';
import { allSecrets, findLeaks, type Secrets } from './secrets.ts';
import { until } from './wait.ts';

interface Restored {
  plan: { warnings: string[]; steps: { kind: string }[] };
  backup: string;
  restored: boolean;
  previousDatabase: string | null;
}

let kg: Installation;
let secrets: Secrets;
let dump: string;

beforeAll(async () => {
  kg = await Installation.create({ dev: false });
  // A small disk of its own for backups, there before the operator sees the folder.
  await mkdir(kg.path('backups'));
  expectCode(await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', kg.path('backups')]));
  await kg.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
  secrets = await allSecrets(kg);
  await kg.logIn();
  for (const name of ['Ada', 'Babbage']) await kg.api('POST', '/concepts', { name, description: name });
  await kg.api('POST', '/relations', { from: 'Ada', to: 'Babbage', type: 'works with' });
  await kg.api('POST', '/documents', { title: 'Notes', text: 'Ada worked with Babbage. '.repeat(100) });
  dump = (await pgDump()).toString();
  await writeFile(kg.path('backup.sql'), dump);
  await kg.api('POST', '/concepts', { name: 'Written later' });
}, 600_000);

afterAll(async () => {
  await run('umount', ['-l', kg.path('backups')]);
  await kg.destroy();
}, 120_000);

/** As a person without this project does it. */
async function pgDump(...options: string[]): Promise<Buffer> {
  const { postgres } = await kg.containers();
  const script = `PGPASSWORD=$POSTGRES_PASSWORD exec pg_dump -U kg ${options.join(' ')} kg | base64`;
  return Buffer.from(await docker('exec', postgres?.Id ?? '', 'sh', '-c', script), 'base64');
}

const restore = (...args: string[]) => kg.json<Restored>(['restore', ...args, '--confirm', kg.prefix]);
const concepts = async () => {
  const { body } = await kg.api<{ nodes: { name: string }[] }>('GET', '/graph');
  return body.nodes.map(({ name }) => name).sort();
};
const databases = () => kg.psql("SELECT datname FROM pg_database WHERE datname LIKE 'kg%' ORDER BY 1");

describe('a file of pg_dump that can not be used', () => {
  let before: Record<string, string>;
  beforeAll(async () => {
    before = await kg.containerIds();
  });
  afterAll(async () => {
    expect(await databases()).toEqual(['kg']);
    expect(await kg.containerIds()).toEqual(before);
    expect((await readdir(kg.path('.operator'))).filter((name) => name.startsWith('restore-'))).toEqual([]);
    expect(await docker('ps', '-aq', '--filter', `label=kg-operator.scratch=${kg.prefix}`)).toBe('');
    expect(await concepts()).toEqual(['Ada', 'Babbage', 'Written later']);
  });

  async function refused(content: string, ...args: string[]) {
    await writeFile(kg.path('refused.sql'), content);
    const { code, document } = await restore('./refused.sql', ...args);
    return { code, error: document.error };
  }
  const withEnd = (sql: string) => dump.replace('\n-- PostgreSQL database dump complete', `${sql}\n$&`);

  test('it would run a shell', async () => {
    expect(await refused(withEnd('\n\\! touch /tmp/kg-was-here\n--'))).toMatchObject({
      code: 3,
      error: { code: 'DUMP_UNSAFE' },
    });
    const { operator } = await kg.containers();
    expect(await docker('exec', operator?.Id ?? '', 'ls', '/tmp')).not.toContain('kg-was-here');
  }, 120_000);

  test('its schema is newer than this engine', async () => {
    const [head = ''] = await kg.psql(
      'SELECT id FROM kg_operator.schema_migrations ORDER BY applied_at DESC, id DESC LIMIT 1',
    );
    const newer = dump.replace(`\n${head}\t`, '\n9999_from_the_future\t');
    expect(newer).not.toBe(dump);
    expect(await refused(newer)).toMatchObject({
      code: 8,
      error: { code: 'SCHEMA_NEWER', message: expect.stringContaining('9999_from_the_future') },
    });
  }, 120_000);

  test('it is of another database, or of a part, or holds no documents', async () => {
    for (const part of ['-t kg_api.users', '-n kg_api', '-n knowledge'])
      expect(await refused((await pgDump(part)).toString())).toMatchObject({
        code: 3,
        error: { code: 'DUMP_INCOMPLETE' },
      });
    expect(await refused(dump, '--only', 'objects')).toMatchObject({
      code: 3,
      error: { code: 'DUMP_WITHOUT_DOCUMENTS' },
    });
  }, 120_000);

  test('shown, and nothing changed: --dry-run says what the file lacks', async () => {
    const { document } = await kg.json<Restored>(['restore', './backup.sql', '--dry-run']);
    expect(document).toMatchObject({ ok: true, data: { restored: false, backup: 'backup.sql' } });
    expect(document.data.plan.warnings.join('\n')).toMatch(
      /documents[\s\S]*secrets[\s\S]*checksums[\s\S]*encrypted/,
    );
    expect(document.data.plan.steps.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining([
        'load-backup',
        'compose-stop',
        'swap-database',
        'migrate',
        'compose-up',
        'probe',
      ]),
    );
  }, 120_000);

  test('Ctrl-C while it is looked at: nothing is left', async () => {
    const running = kg.begin(['restore', './backup.sql', '--confirm', kg.prefix]);
    const scratch = () => dockerLines('ps', '-q', '--filter', `label=kg-operator.scratch=${kg.prefix}`);
    await until('the trial runs', async () => (await scratch()).length > 0);
    const { operator } = await kg.containers();
    const interrupt = `for p in /proc/[0-9]*; do
      case "$(tr '\\0' ' ' <"$p/cmdline")" in node*restore*) kill -INT "\${p#/proc/}" ;; esac
    done`;
    await docker('exec', operator?.Id ?? '', 'sh', '-c', interrupt);
    const { code, stderr } = await running.done;
    expect(stderr).toMatch(/interrupted/);
    expect(code).toBe(130);
  }, 120_000);

  test('the platform would not run on it: what was there comes back', async () => {
    expect(await refused(withEnd('\nDELETE FROM kg_api.ai_provider_config;\n--'))).toMatchObject({
      code: 9,
      error: { code: 'RESTORE_UNDONE' },
    });
    expect((await kg.logIn()).status).toBe(200);
    await kg.ok(['backup', 'prune', '--previous', '--yes']);
    before = await kg.containerIds();
  }, 300_000);
});

describe('a file of pg_dump, restored', () => {
  let previous: string;

  test('the graph answers, new writes work, documents are there, and what was there is kept', async () => {
    const { document, result } = await restore('./backup.sql');
    if (!document.ok) throw new Error(result.stdout + result.stderr);
    previous = document.data.previousDatabase ?? '';
    expect(await databases()).toEqual(['kg', previous]);
    expect((await kg.logIn()).status).toBe(200);
    expect(await concepts()).toEqual(['Ada', 'Babbage']);
    const { body } = await kg.api<{ documents: { id: string }[] }>('GET', '/documents');
    const read = await kg.api<{ text: string }>('GET', `/documents/${body.documents[0]?.id}`);
    expect(read.body.text).toContain('Ada worked with Babbage.');
    expect((await kg.api('POST', '/concepts', { name: 'After' })).status).toBe(201);
    expect((await kg.api('POST', '/relations', { from: 'After', to: 'Ada', type: 'follows' })).status).toBe(
      201,
    );
    expect(await concepts()).toEqual(['Ada', 'After', 'Babbage']);
  }, 300_000);

  test('the way back, by one command, and forth again', async () => {
    const unconfirmed = await kg.json(['restore', '--previous', '--no-input']);
    expect(unconfirmed).toMatchObject({ code: 2, document: { error: { code: 'NOT_CONFIRMED' } } });
    const back = await restore('--previous');
    if (!back.document.ok) throw new Error(back.result.stdout + back.result.stderr);
    expect(back.document.data.backup).toBe(previous);
    expect((await kg.logIn()).status).toBe(200);
    expect(await concepts()).toEqual(['Ada', 'Babbage', 'Written later']);
    const forth = await restore('--previous', back.document.data.previousDatabase ?? '');
    expect(forth.document).toMatchObject({ ok: true });
    expect((await kg.logIn()).status).toBe(200);
    expect(await concepts()).toEqual(['Ada', 'After', 'Babbage']);
    expect(await restore('--previous', 'kg_before_nothing')).toMatchObject({
      code: 3,
      document: { error: { code: 'PREVIOUS_UNKNOWN' } },
    });
  }, 300_000);

  test('its configuration alone', async () => {
    await kg.ok(['config', 'set', 'web.title', 'Changed since']);
    const { document, result } = await restore('./backup.sql', '--only', 'config');
    if (!document.ok) throw new Error(result.stdout + result.stderr);
    expect(document.data).toMatchObject({ restored: true, previousDatabase: null });
    const title = async () => (await kg.api<{ title: string }>('GET', '/site')).body.title;
    await until('the title of before is in force', async () => (await title()) === 'Knowledge graph');
    expect(await concepts()).toEqual(['Ada', 'After', 'Babbage']);
  }, 120_000);

  test('of an archive, packed, sealed with an older key: refused with both keys named, restored with the old .env', async () => {
    await writeFile(kg.path('backup.anything'), gzipSync(await pgDump('-Fc')));
    await writeFile(kg.path('old.env'), await readFile(kg.path('.env')), { mode: 0o600 });
    const keyId = async () => (await kg.psql('SELECT key_id FROM kg_api.key_fingerprint'))[0] ?? '';
    const oldKey = await keyId();
    await kg.ok(['rotate', 'encryption-key', '--yes']);
    secrets = { ...(await allSecrets(kg)), OLD_ENCRYPTION_KEY: secrets.ENCRYPTION_KEY ?? '' };
    const newKey = await keyId();
    expect(newKey).not.toBe(oldKey);
    const refused = await restore('./backup.anything');
    expect(refused).toMatchObject({ code: 4, document: { error: { code: 'WRONG_ENCRYPTION_KEY' } } });
    expect(refused.document.error.message).toMatch(new RegExp(`${oldKey}.*${newKey}`));
    expect(await restore('--previous')).toMatchObject({
      code: 4,
      document: { error: { code: 'WRONG_ENCRYPTION_KEY' } },
    });
    const { document, result } = await restore('./backup.anything', '--encryption-key-file', 'old.env');
    if (!document.ok) throw new Error(result.stdout + result.stderr);
    expect(await keyId()).toBe(newKey);
    expect((await kg.logIn()).status).toBe(200);
    expect(await concepts()).toEqual(['Ada', 'After', 'Babbage']);
  }, 400_000);
});

describe('a file of an older schema', () => {
  test('is migrated beside the live data, and the platform runs on it', async () => {
    const older = await startPostgres(await ensureImage('postgres'));
    const [admin = '', hash = ''] = await kg.psql(
      "SELECT unnest(ARRAY[username, password_hash]) FROM kg_api.users WHERE username = 'admin'",
    );
    const [keyId = ''] = await kg.psql('SELECT key_id FROM kg_api.key_fingerprint');
    try {
      const session = await openSession(older.settings);
      await migrate(session, (await readMigrations()).slice(0, 3), { engineVersion: '0.1.0' });
      await session.query('INSERT INTO kg_api.users (username, password_hash, role) VALUES ($1, $2, $3)', [
        admin,
        hash,
        'admin',
      ]);
      await session.query('INSERT INTO kg_api.key_fingerprint (key_id) VALUES ($1)', [keyId]);
      await session.query(
        `INSERT INTO kg_api.ai_provider_config (provider, model, active) VALUES ('local', 'rules', true)`,
      );
      await session.query(
        `INSERT INTO kg_api.embedding_config (provider, model, dimensions, active) VALUES ('local', 'hashing-v1', 256, true)`,
      );
      await session.query(
        `SELECT * FROM cypher('knowledge', $$ CREATE (:Concept {name: 'From before', description: ''}) $$) AS (n agtype)`,
      );
      await session.close();
      const [id = ''] = await dockerLines('ps', '-q', '--filter', `publish=${older.settings.port}`);
      const script = 'PGPASSWORD=$POSTGRES_PASSWORD exec pg_dump -U kg kg';
      await writeFile(kg.path('older.sql'), await docker('exec', id, 'sh', '-c', script));
    } finally {
      await older.close();
    }
    const { document, result } = await restore('./older.sql');
    if (!document.ok) throw new Error(result.stdout + result.stderr);
    expect((await kg.logIn()).status).toBe(200);
    expect(await concepts()).toEqual(['From before']);
    expect((await kg.api('POST', '/concepts', { name: 'Since' })).status).toBe(201);
    expect(await restore('--previous')).toMatchObject({ code: 0 });
    await kg.ok(['backup', 'prune', '--previous', '--yes']);
  }, 400_000);
});

describe('space and leftovers', () => {
  const garage = async (...args: string[]) =>
    docker('exec', (await kg.containers()).garage?.Id ?? '', '/garage', ...args);

  test('a backup that would not fit is refused before anything is written', async () => {
    const { code, document } = await kg.json(['backup']);
    expect({ code, error: document.error }).toMatchObject({
      code: 3,
      error: {
        code: 'DISK_FULL',
        message: expect.stringMatching(
          /not enough space in .*backups: [\d.]+ MB are needed, 0\.1 MB are free/,
        ),
      },
    });
    expect(await readdir(kg.path('backups'))).toEqual([]);
  }, 60_000);

  test('the next backup removes what killed restores have left, and nothing else', async () => {
    expectCode(await run('mount', ['-o', 'remount,size=64m', kg.path('backups')]));
    await kg.psql('CREATE DATABASE kg_restore_0000beef; ');
    for (const bucket of ['kg-documents-0000beef', 'somebody-elses', 'kg-documents-old'])
      await garage('bucket', 'create', bucket);
    await kg.ok(['backup', '--no-verify']);
    expect(await databases()).not.toContain('kg_restore_0000beef');
    const buckets = await garage('bucket', 'list');
    expect(buckets).not.toContain('0000beef');
    for (const bucket of ['somebody-elses', 'kg-documents-old']) expect(buckets).toContain(bucket);
  }, 120_000);

  test('what the bucket is set to comes back with a bundle, and the bucket of a database put aside stays', async () => {
    await garage('bucket', 'set-quotas', '--max-objects', '12345', 'kg-documents');
    await garage('bucket', 'website', '--allow', 'kg-documents');
    await kg.ok(['backup', '--no-verify']);
    const { document, result } = await restore('latest');
    if (!document.ok) throw new Error(result.stdout + result.stderr);
    const [store = ''] = await kg.psql(
      "SELECT value->>'bucket' FROM kg_api.platform_settings WHERE key = 'object_store'",
    );
    expect(store).toMatch(/^kg-documents-[0-9a-f]{8}$/);
    const info = await garage('bucket', 'info', store);
    expect(info).toMatch(/12345/);
    expect(info).toMatch(/[Ww]ebsite access:\s+true/);
    expect(await restore('--previous')).toMatchObject({ code: 0 });
    // Now only the database that was put aside refers to it.
    await kg.ok(['backup', '--no-verify']);
    expect(await garage('bucket', 'list')).toContain(store);
    await kg.ok(['backup', 'prune', '--previous', '--yes']);
    expect(await garage('bucket', 'list')).not.toContain(store);
    expect((await kg.logIn()).status).toBe(200);
  }, 400_000);
});

test('no secret was said, logged or left', async () => {
  expect(await findLeaks(kg, secrets)).toEqual([]);
});
