/*
 * Benchmarks of @kg-operator/config on a PostgreSQL of their own, in a container: `node bench/config.ts`. Each against one bare SELECT over
 * the same connection, in turns; the table in README.md holds the last run.
 */
import {
  loadConfig,
  openDatabase,
  openEveryCredential,
  readConfigState,
  rotateEncryptionKey,
  Secret,
  watchConfig,
} from '@kg-operator/config';
import { sql } from 'kysely';
import {
  applyMigrations,
  configure,
  KEY,
  storeCredential,
} from '../packages/config/test/contract/database.ts';
import { ensureImage } from '../test/e2e/images.ts';
import { startPostgres } from '../test/e2e/postgres.ts';
import { type Comparison, compare, report, type Timed } from './measure.ts';

const server = await startPostgres(await ensureImage('postgres'));
const db = openDatabase(server.settings, { max: 1 });
try {
  await applyMigrations(server.settings);
  await configure(db);
  const fill = async (count: number) => {
    for (let index = 2; index < count; index++) await storeCredential(db, `provider-${index}`, `sk-${index}`);
  };
  const select: Timed = { show: 'SELECT 1', run: async () => void (await sql`SELECT 1`.execute(db)) };
  const measure = (name: string, show: string, run: () => Promise<unknown>, runs = 200) =>
    compare(name, { show, run: async () => void (await run()) }, select, runs);

  await fill(50);
  const results: Comparison[] = [
    await measure('configuration with 50 credentials', 'loadConfig()', () => loadConfig(db, KEY)),
    await measure('what is configured', 'readConfigState()', () => readConfigState(db)),
    await measure('50 credentials, all opened', 'openEveryCredential()', () => openEveryCredential(db, KEY)),
    await measureWatch(),
  ];
  await fill(1000);
  const keys = [KEY, new Secret('b2'.repeat(32))];
  const rotate = async () => {
    const [next, current] = keys.reverse() as [Secret, Secret];
    await db.transaction().execute((trx) => rotateEncryptionKey(trx, current, next));
    await db.updateTable('kg_api.key_fingerprint').set({ previous_key_id: null, bridge: null }).execute();
  };
  const update: Timed = {
    show: 'UPDATE of 1,000 rows',
    run: async () => void (await sql`UPDATE kg_api.system_api_keys SET updated_at = updated_at`.execute(db)),
  };
  const rotation: Timed = { show: 'rotateEncryptionKey()', run: rotate };
  results.push(await compare('1,000 credentials, sealed anew and opened again', rotation, update, 15));
  report('config', results);
} finally {
  await db.destroy();
  await server.close();
}

/** From a change's begin on one connection until a watch on another has taken it up. */
async function measureWatch(): Promise<Comparison> {
  let heard = (_model: string) => {};
  const watch = await watchConfig(server.settings, KEY, {
    pollMs: 60_000,
    onChange: ({ ai }) => heard(ai.model),
  });
  let count = 0;
  const change = async (model: string) => {
    await db.updateTable('kg_api.ai_provider_config').set({ model }).where('active', '=', true).execute();
  };
  const changeAndHear = async () => {
    const model = `heard-${count++}`;
    const { promise, resolve } = Promise.withResolvers<void>();
    heard = (newest) => {
      if (newest === model) resolve();
    };
    await change(model);
    await promise;
  };
  try {
    return await compare(
      'a change, until a watching process has it',
      { show: 'UPDATE, watchConfig()', run: changeAndHear },
      { show: 'UPDATE', run: () => change(`unheard-${count++}`) },
      100,
    );
  } finally {
    await watch.close();
  }
}
