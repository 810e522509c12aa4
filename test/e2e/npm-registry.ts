import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { begin } from './command.ts';
import { REPOSITORY } from './images.ts';
import { until } from './wait.ts';

export interface NpmRegistry {
  url: string;
  /** Of a user who may publish. */
  token: string;
  stop(): Promise<void>;
}

/** An npm registry of its own on loopback, empty, which asks no other one. @param program verdaccio, as test/bed/release.sh names it */
export async function npmRegistry(program: string): Promise<NpmRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'npm-registry-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = [
    `storage: ${folder}/storage`,
    `auth: {htpasswd: {file: ${folder}/htpasswd, max_users: 10}}`,
    "packages: {'**': {access: $all, publish: $authenticated}}",
    'log: {type: stdout, format: pretty, level: warn}',
  ];
  await writeFile(join(folder, 'config.yaml'), config.join('\n'));
  const node = join(REPOSITORY, 'node_modules/.bin/node');
  const server = begin(node, [
    program,
    '--config',
    join(folder, 'config.yaml'),
    '--listen',
    `127.0.0.1:${port}`,
  ]);
  await until(
    'the npm registry answers',
    async () => (await fetch(`${url}/-/ping`).catch(() => null))?.ok === true,
  );
  const user = await fetch(`${url}/-/user/org.couchdb.user:publisher`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'publisher', password: 'only of this test' }),
  });
  const { token } = (await user.json()) as { token: string };
  return {
    url,
    token,
    stop: async () => {
      // Asked to end, it waits for connections that are kept alive; what it keeps is thrown away.
      server.signal('SIGKILL');
      await server.done;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
