import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeclaredService } from '../model/observation.ts';

interface Memo {
  key: string;
  services: DeclaredService[];
}

/**
 * The services that the compose files declared when they were last read. Asking compose costs as much as everything else that
 * `status` does; the memo is used only by commands that look, and only while every compose and settings file has the same
 * modification time and size. Commands that change something read the files and renew it.
 */
export function serviceMemo(stateDirectory: string, env: NodeJS.ProcessEnv = process.env) {
  const path = join(stateDirectory, 'services.json');

  async function key(): Promise<string> {
    const files = [
      ...(env.COMPOSE_FILE ?? '').split(':'),
      ...(env.COMPOSE_ENV_FILES ?? '').split(','),
    ].filter(Boolean);
    const marks = await Promise.all(
      files.map(async (file) => {
        const { mtimeMs, size } = await stat(file);
        return `${file} ${mtimeMs} ${size}`;
      }),
    );
    return createHash('sha256').update(marks.join('\n')).digest('hex');
  }

  return {
    /** The services as last read, or null when a file has changed since, or nothing was read yet. */
    async recall(): Promise<DeclaredService[] | null> {
      try {
        const memo = JSON.parse(await readFile(path, 'utf8')) as Memo;
        return memo.key === (await key()) ? memo.services : null;
      } catch {
        return null; // no memo, or one that can't be read: compose is asked, as if there were none
      }
    },
    async renew(services: DeclaredService[]): Promise<void> {
      await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
      const temporary = `${path}.${process.pid}`;
      await writeFile(temporary, JSON.stringify({ key: await key(), services } satisfies Memo), {
        mode: 0o600,
      });
      await rename(temporary, path);
    },
  };
}
