import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { megabytes } from '../model/disk.ts';
import type { ReleaseManifest } from '../release/manifest.ts';
import { compareVersions, isVersion } from '../release/version.ts';
import type { Check, Finding, PreflightQuestion } from './preflight.ts';

type Requires = ReleaseManifest['requires'];

/** The first release of the path that asks for more than there is, as a finding. */
function unmet(
  { hops }: PreflightQuestion,
  findingOf: (requires: Requires, version: string) => Finding | null,
): Finding[] {
  for (const { release } of hops) {
    const finding = findingOf(release.requires, release.version);
    if (finding) return [finding];
  }
  return [];
}

export const checkDocker: Check = async ({ images }, question) => {
  const { apiVersion } = await images.engine();
  return unmet(question, ({ dockerApi: { min, max } }, version) => {
    if (compareNumbers(apiVersion, min) < 0)
      return {
        code: 'DOCKER_TOO_OLD',
        message: `this Docker speaks API ${apiVersion}, and ${version} wants ${min} or newer`,
        fix: 'update Docker Engine: https://docs.docker.com/engine/install/',
      };
    if (max !== null && compareNumbers(apiVersion, max) > 0)
      return {
        code: 'DOCKER_TOO_NEW',
        message: `this Docker speaks API ${apiVersion}, and ${version} works with ${max} at most`,
        fix: 'take a newer release (./operator.sh versions --refresh), or an older Docker Engine',
      };
    return null;
  });
};

export const checkCompose: Check = async ({ compose }, question) => {
  const found = await compose.version();
  return unmet(question, ({ compose: wanted }, version) =>
    compareNumbers(found, wanted) < 0
      ? {
          code: 'COMPOSE_TOO_OLD',
          message: `Docker Compose is ${found}, and ${version} wants ${wanted} or newer`,
          fix: 'update the docker compose plugin: https://docs.docker.com/compose/install/linux/',
        }
      : null,
  );
};

/** operator.sh says its version in a line `KG_VERSION=`. */
export const checkShim: Check = async ({ settings: { root } }, question) => {
  const path = join(root, 'operator.sh');
  const text = await readFile(path, 'utf8').catch(() => ''); // the finding says so
  const [, found = ''] = /^KG_VERSION=(\S+)$/m.exec(text) ?? [];
  return unmet(question, ({ shim }, version) => {
    const fix = `put the operator.sh of ${version} in its place; it comes with the release`;
    if (!isVersion(found))
      return {
        code: 'SHIM_UNKNOWN',
        message: `${path} does not say its version, and ${version} wants ${shim}`,
        fix,
      };
    return compareVersions(found, shim) < 0
      ? {
          code: 'SHIM_TOO_OLD',
          message: `operator.sh is ${found}, and ${version} wants ${shim} or newer`,
          fix,
        }
      : null;
  });
};

export const checkMemory: Check = async ({ images }, question) => {
  const { memoryBytes } = await images.engine();
  return unmet(question, (requires, version) =>
    memoryBytes < requires.memoryBytes
      ? {
          code: 'MEMORY_TOO_SMALL',
          message: `this host has ${megabytes(memoryBytes)} of memory, and ${version} wants ${megabytes(requires.memoryBytes)}`,
          fix: 'give the host more memory, or move the installation to a larger one (./operator.sh restore)',
        }
      : null,
  );
};

/** `2.9.0` < `2.24.4`; what follows the numbers, as in `2.26.1-4`, does not count. */
export function compareNumbers(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => (/\d+(?:\.\d+)*/.exec(text)?.[0] ?? '0').split('.').map(Number));
  for (let index = 0; index < Math.max(left?.length ?? 0, right?.length ?? 0); index += 1) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
