import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dockerLines, expectCode, run } from './command.ts';

export const REPOSITORY = join(import.meta.dirname, '..', '..');

/** What git would commit, as it is in the working tree now. */
export async function workingTree(): Promise<string[]> {
  const listed = expectCode(
    await run('git', ['ls-files', '-z', '-co', '--exclude-standard'], { cwd: REPOSITORY }),
  ).stdout;
  return listed.split('\0').filter((path) => path && existsSync(join(REPOSITORY, path)));
}

/** The tag of images made of this tree: a hash of all that is in them (.dockerignore), so that it never means an older one. */
export async function imageTag(paths: string[]): Promise<string> {
  const hash = createHash('sha256');
  const inputs = paths.filter((path) =>
    /^(package|tsconfig\.base|packages\/|schema\/|docker\/|operator\.sh$|\.operator\.conf\.example$|LICENSE$)/.test(
      path,
    ),
  );
  for (const path of inputs.filter((path) => !path.includes('/test/')).sort()) {
    const { mode } = await stat(join(REPOSITORY, path));
    hash.update(`${path}\0${mode}\0`).update(await readFile(join(REPOSITORY, path)));
  }
  return `e2e-${hash.digest('hex').slice(0, 12)}`;
}

/** Removes images of earlier trees: only what these tests made. The layers stay in the build cache. */
export async function removeOtherImages(tag: string): Promise<void> {
  // Somebody tests another working tree at the same time.
  if (process.env.KG_TEST_KEEP_IMAGES) return;
  const images = await dockerLines('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}');
  const old = images.filter(
    (image) => /^kg-operator-\w+:e2e-[0-9a-f]{12}(-dev)?$/.test(image) && !image.includes(tag),
  );
  for (const image of old) await run('docker', ['image', 'rm', image]); // refused while a container uses it
}

/** Builds the production image of one service, where there is none of this tree yet; returns its name. */
export async function ensureImage(service: string): Promise<string> {
  const image = `kg-operator-${service}:${await imageTag(await workingTree())}`;
  const { code } = await run('docker', ['image', 'inspect', image]);
  if (code !== 0) {
    const build = ['build', '-q', '-t', image, '-f', `docker/${service}/Dockerfile`, '.'];
    expectCode(await run('docker', build, { cwd: REPOSITORY }));
  }
  return image;
}
