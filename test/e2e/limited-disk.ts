import { mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { docker, expectCode, run } from './command.ts';

/** A small file system of its own, in memory, that can be filled to the last byte. Only root may make one. */
export interface LimitedDisk {
  /** A folder on it. */
  folder(name: string): Promise<string>;
  fill(): Promise<void>;
  /** Gives back what `fill` took. */
  free(): Promise<void>;
  remove(): Promise<void>;
}

/** @param at where it is mounted; otherwise in a directory of its own, which goes with it */
export async function limitedDisk(megabytes: number, at?: string): Promise<LimitedDisk> {
  const mount = at ?? (await mkdtemp(join(tmpdir(), 'kge2e-disk-')));
  await mkdir(mount, { recursive: true });
  expectCode(await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0755`, 'tmpfs', mount]));
  const ballast = (n: number) => join(mount, `.ballast-${n}`);
  let files = 0;
  return {
    async folder(name) {
      const path = join(mount, name);
      await mkdir(path, { recursive: true });
      return path;
    },
    async fill() {
      // Until not even a little is taken: what others free meanwhile is filled too.
      for (;;) {
        const { bavail, bsize } = await statfs(mount);
        if (bavail > 0) await run('fallocate', ['-l', String(bavail * bsize), ballast(files++)]);
        try {
          await writeFile(ballast(files++), Buffer.alloc(1 << 16));
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
          throw error;
        }
      }
    },
    async free() {
      for (; files > 0; files--) await rm(ballast(files - 1), { force: true });
    },
    async remove() {
      expectCode(await run('umount', ['--lazy', mount]));
      if (at === undefined) await rm(mount, { recursive: true });
    },
  };
}

/** A volume of a compose project that is that folder, made before compose would make one. */
export async function volumeIn(folder: string, project: string, name: string): Promise<void> {
  const labels = [`com.docker.compose.project=${project}`, `com.docker.compose.volume=${name}`];
  const options = ['type=none', 'o=bind', `device=${folder}`];
  await docker(
    ...['volume', 'create'],
    ...labels.flatMap((label) => ['--label', label]),
    ...options.flatMap((option) => ['--opt', option]),
    `${project}_${name}`,
  );
}
