import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ConnectionSettings } from '@kg-operator/config';
import { type Ended, start } from './installed-package.ts';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

export interface BuiltEngine {
  /** An empty folder to run in. */
  folder: string;
  /** Runs a command to its end, in a process of its own. */
  run(args: string[], env?: Record<string, string>): Promise<Ended>;
  remove(): Promise<void>;
}

/** Bundles the engine as it is now, away from the checkout and whatever is built there. */
export async function buildEngine(): Promise<BuiltEngine> {
  const scratch = await mkdtemp(join(tmpdir(), 'kg engine '));
  const [engine, folder] = [join(scratch, 'engine'), join(scratch, 'empty')];
  await mkdir(folder);
  await symlink(join(repository, 'node_modules'), join(scratch, 'node_modules'));
  const bin = join(repository, 'node_modules/.bin');
  await promisify(execFile)(join(bin, 'node'), ['packages/engine/build.js', engine], {
    cwd: repository,
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  });
  return {
    folder,
    run: (args, env) => start(join(engine, 'bin/run.js'), folder, args, env).ended,
    remove: () => rm(scratch, { recursive: true, force: true }),
  };
}

/** The environment that makes commands use this database. */
export function databaseEnvironment({ host, port, user, database, password }: ConnectionSettings) {
  return {
    POSTGRES_HOST: host,
    POSTGRES_PORT: String(port),
    POSTGRES_USER: user,
    POSTGRES_DB: database,
    POSTGRES_PASSWORD: password.reveal(),
  };
}
