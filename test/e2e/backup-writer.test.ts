import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openDatabase, Secret } from '@kg-operator/config';
import { sql } from 'kysely';
import { documentStore, fillObjects, fillTable } from './filling.ts';
import { ADMIN_PASSWORD, Installation } from './installation.ts';

/*
 * A writer adds rows, vertices and documents without pause while backups are made. Each backup is one moment of the database, and has
 * every object that its rows refer to.
 */
const BACKUPS = process.env.KG_TEST_FULL === '1' ? 5 : 3;

let kg: Installation;
const ids: string[] = [];
/** How far the writer was when each backup began and ended. */
const during: { from: number; to: number }[] = [];

beforeAll(async () => {
  kg = await Installation.create({ dev: false });
  await kg.ok(['up', '--yes', '--ai-provider', 'local', '--embedding', 'local'], {
    env: { KG_ADMIN_PASSWORD: ADMIN_PASSWORD },
  });
  await kg.logIn();
  await fillTable(kg, 20);
  await fillObjects(await documentStore(kg), 30, 10e6);
  await kg.psql(
    'CREATE TABLE public.debit (n bigint PRIMARY KEY); CREATE TABLE public.credit (n bigint PRIMARY KEY);',
  );
}, 900_000);

afterAll(() => kg?.destroy(), 120_000);

interface Writer {
  /** Number of the last step that is complete. */
  readonly done: number;
  stop(): Promise<void>;
}

const textOf = (n: number) => `text of ${n} `.repeat(1 + (n % 400));

/** Step n: a pair of rows in one transaction, then a vertex, then a document; each is acknowledged before the next begins. */
async function startWriter(): Promise<Writer> {
  const { postgres } = await kg.containers();
  const [network] = Object.values(postgres?.NetworkSettings.Networks ?? {});
  const password = new Secret((await kg.env()).POSTGRES_PASSWORD ?? '');
  const host = network?.IPAddress ?? '';
  const db = openDatabase({ host, port: 5432, user: 'kg', database: 'kg', password }, { max: 1 });
  const state = { done: 0, running: true };
  const created = async (path: string, body: unknown) => {
    const { status } = await kg.api('POST', path, body);
    if (status !== 201) throw new Error(`${path} answered ${status}`);
  };
  const loop = (async () => {
    for (let n = 1; state.running; n++) {
      await db.transaction().execute(async (trx) => {
        await sql`INSERT INTO public.debit VALUES (${n})`.execute(trx);
        await sql`INSERT INTO public.credit VALUES (${n})`.execute(trx);
      });
      await created('/concepts', { name: `step ${n}` });
      await created('/documents', { title: `step ${n}`, text: textOf(n) });
      state.done = n;
    }
  })();
  loop.catch(() => undefined); // thrown by stop()
  return {
    get done() {
      return state.done;
    },
    async stop() {
      state.running = false;
      await loop.finally(() => db.destroy());
    },
  };
}

test(`${BACKUPS} backups are made and verified while somebody writes`, async () => {
  const writer = await startWriter();
  try {
    for (let n = 0; n < BACKUPS; n++) {
      await sleep(200);
      const from = writer.done;
      const { document } = await kg.json<{ backup: { id: string } }>(['backup', '--no-verify']);
      expect(document).toMatchObject({ ok: true });
      during.push({ from, to: writer.done + 1 });
      ids.push(document.data.backup.id);
      const verified = await kg.json(['backup', 'verify', document.data.backup.id]);
      expect(verified.document).toMatchObject({ ok: true, data: { backup: { state: 'verified' } } });
    }
  } finally {
    await writer.stop();
  }
  for (const { from, to } of during) expect(to - from).toBeGreaterThan(5);
}, 600_000);

test('each is one moment: pairs are whole, nothing is left out, and every document is there and equal', async () => {
  const seen: number[] = [];
  for (const [n, id] of ids.entries()) {
    await kg.ok(['restore', id, '--confirm', kg.prefix]);
    const rows = async (statement: string) => (await kg.psql(statement)).map(Number).sort((a, b) => a - b);
    const pairs = await rows('SELECT n FROM public.debit');
    expect(pairs).toEqual(Array.from({ length: pairs.length }, (_, at) => at + 1));
    expect(await rows('SELECT n FROM public.credit')).toEqual(pairs);
    const vertices = await rows(
      `LOAD 'age'; SET search_path = ag_catalog, public;
       SELECT substr(trim(name::text, '"'), 6) FROM cypher('knowledge', $$ MATCH (c:Concept) RETURN c.name $$) AS (name agtype);`,
    );
    const documents = await rows("SELECT substr(title, 6) FROM kg_api.documents WHERE title LIKE 'step %'");
    // The writer's order: what is later is there only with all that was acknowledged before it.
    expect(vertices).toEqual(pairs.slice(0, vertices.length));
    expect(documents).toEqual(vertices.slice(0, documents.length));
    expect(pairs.length - documents.length).toBeLessThanOrEqual(1);
    const { from, to } = during[n] ?? { from: 0, to: 0 };
    expect(documents.length).toBeGreaterThanOrEqual(from);
    expect(pairs.length).toBeLessThanOrEqual(to + 1);

    await kg.logIn();
    for (const line of await kg.psql(
      "SELECT id, substr(title, 6) FROM kg_api.documents WHERE title LIKE 'step %'",
    )) {
      const [document, step] = line.split('|');
      const { body } = await kg.api<{ text: string }>('GET', `/documents/${document}`);
      expect(body.text).toBe(textOf(Number(step)));
    }
    seen.push(pairs.length);
  }
  process.stderr.write(`steps of the writer in each backup: ${seen.join(', ')}\n`);
  expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
}, 600_000);
