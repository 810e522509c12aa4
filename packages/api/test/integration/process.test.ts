import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { openDatabase } from '@kg-operator/config';
import { applyMigrations, configure, KEY } from '../../../config/test/contract/database.ts';
import { embeddedServer } from '../../../engine/test/embedded-server.ts';
import { SIGNING_KEY } from '../fakes.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

test('the process as its container runs it: it follows the configuration, and SIGTERM ends it', async () => {
  const database = await embeddedServer();
  const { host, port, user, database: name, password } = database.settings;
  await applyMigrations(database.settings);
  const db = openDatabase(database.settings);
  await configure(db);
  const listen = await freePort();
  const api = spawn(process.execPath, [MAIN], {
    env: {
      POSTGRES_HOST: host,
      POSTGRES_PORT: String(port),
      POSTGRES_USER: user,
      POSTGRES_DB: name,
      POSTGRES_PASSWORD: password.reveal(),
      ENCRYPTION_KEY: KEY.reveal(),
      OAUTH_SIGNING_KEY: SIGNING_KEY,
      PORT: String(listen),
    },
  });
  const ended = once(api, 'exit');
  let output = '';
  for (const stream of [api.stdout, api.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const title = async () => {
    const response = await fetch(`http://127.0.0.1:${listen}/site`).catch(() => null); // not listening yet
    return response && ((await response.json()) as { title: string }).title;
  };
  async function until(wanted: string, ms: number) {
    const deadline = performance.now() + ms;
    while ((await title()) !== wanted) {
      if (performance.now() > deadline || api.exitCode !== null)
        throw new Error(`never ${wanted}:\n${output}`);
      await sleep(20);
    }
  }
  try {
    await db.deleteFrom('kg_api.platform_settings').where('key', '=', 'web.title').execute();
    await until('Knowledge graph', 30_000);
    const value = JSON.stringify('Renamed');
    await db.insertInto('kg_api.platform_settings').values({ key: 'web.title', value }).execute();
    await until('Renamed', 2_000);
    api.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    for (const secret of [KEY.reveal(), SIGNING_KEY, password.reveal()]) expect(output).not.toContain(secret);
  } finally {
    api.kill('SIGKILL');
    await db.destroy();
    await database.close();
  }
});
