import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { dockerLines } from './command.ts';

/**
 * Puts pg_dump, pg_restore and psql of the image first on PATH: this machine's own may be older than the server. They reach servers on
 * this host's ports, and files beneath the temporary folder. Returns what takes them away again.
 */
export async function usePostgresClient(image: string): Promise<() => Promise<void>> {
  // By its id: tests of another tree may remove the tag meanwhile.
  const [id] = await dockerLines('image', 'inspect', '--format', '{{.Id}}', image);
  const folder = await mkdtemp(join(tmpdir(), 'kge2e-client-'));
  const variables = ['HOST', 'PORT', 'USER', 'DATABASE', 'PASSWORD', 'APPNAME', 'CONNECT_TIMEOUT'];
  const passed = variables.map((name) => `-e PG${name}`).join(' ');
  for (const program of ['pg_dump', 'pg_restore', 'psql']) {
    const file = join(folder, program);
    await writeFile(
      file,
      `#!/bin/sh\nexec docker run -i --rm --network host --user 0 -v '${tmpdir()}:${tmpdir()}' ${passed} --entrypoint ${program} '${id}' "$@"\n`,
    );
    await chmod(file, 0o755);
  }
  const before = process.env.PATH ?? '';
  process.env.PATH = `${folder}${delimiter}${before}`;
  return async () => {
    process.env.PATH = before;
    await rm(folder, { recursive: true, force: true });
  };
}
