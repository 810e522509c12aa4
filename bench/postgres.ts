import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

/** A PostgreSQL of this machine's own binaries, with the settings it comes with: fsync is on. */
export interface ThrowawayServer {
  version: string;
  port: number;
  /** An address for `database`; the server trusts everybody on this machine. */
  url(database: string): string;
  /** Makes a database anew. */
  recreate(database: string): void;
  stop(): void;
}

/** @throws where there are no server binaries (Debian: apt-get install postgresql) */
export async function startServer(): Promise<ThrowawayServer> {
  const bin = globSync('/usr/lib/postgresql/*/bin').sort().at(-1);
  if (!bin || !existsSync(join(bin, 'initdb')))
    throw new Error("needs PostgreSQL's server in /usr/lib/postgresql: apt-get install postgresql");
  // Not in /tmp, which may be memory: what is measured includes the disk.
  const folder = mkdtempSync('/var/tmp/kg-bench-');
  const data = join(folder, 'data');
  const execute = (file: string, args: string[]) => {
    const command = [join(bin, file), ...args];
    // PostgreSQL does not run as root.
    const [program = '', ...rest] =
      process.getuid?.() === 0
        ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', ...command]
        : command;
    return execFileSync(program, rest, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
  };
  if (process.getuid?.() === 0) chownSync(folder, idOf('-u'), idOf('-g'));
  const port = await freePort();
  execute('initdb', ['-D', data, '-U', 'kg', '--auth=trust', '-E', 'UTF8', '--locale=C']);
  execute('pg_ctl', [
    '-D',
    data,
    '-w',
    '-l',
    join(folder, 'log'),
    '-o',
    `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1`,
    'start',
  ]);
  const psql = (sql: string) =>
    execFileSync(
      'psql',
      ['-XqAt', '-h', '127.0.0.1', '-p', String(port), '-U', 'kg', '-d', 'postgres', '-c', sql],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
      .toString()
      .trim();
  return {
    version: psql('SHOW server_version').split(' ')[0] ?? '',
    port,
    url: (database) => `postgres://kg:none@127.0.0.1:${port}/${database}?sslmode=disable`,
    recreate(database) {
      psql(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
      psql(`CREATE DATABASE ${database}`);
    },
    stop() {
      execute('pg_ctl', ['-D', data, '-w', '-m', 'immediate', 'stop']);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function idOf(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'postgres']).toString());
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
