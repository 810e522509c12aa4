import { readdir, readFile } from 'node:fs/promises';
import { expect } from '@jest/globals';
import { type Run, runsOf } from '../../packages/engine/src/history/runs.ts';
import type { Step } from '../../packages/engine/src/model/plan.ts';
import { dockerLines, run } from './command.ts';
import { rowDigests } from './digests.ts';
import { ADMIN_PASSWORD, type Installation } from './installation.ts';
import type { Publisher } from './releases.ts';
import { until } from './wait.ts';

/** Every run that the journal tells of, oldest first. */
export async function runsIn(kg: Installation): Promise<Run[]> {
  const text = await readFile(kg.path('.operator/journal.jsonl'), 'utf8');
  return runsOf(
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  );
}

/** Upgrades and rollbacks only. */
export async function changesIn(kg: Installation): Promise<Run[]> {
  return (await runsIn(kg)).filter(({ change }) => change !== null);
}

/** The upgrade or rollback that was begun last. */
export async function lastChange(kg: Installation): Promise<Run> {
  const last = (await changesIn(kg)).at(-1);
  if (!last) throw new Error('there was no upgrade yet');
  return last;
}

/** Steps without the names that are made of the time: of a backup, and of a database that is kept. */
export function withoutTimes(steps: readonly Step[]): unknown {
  return JSON.parse(JSON.stringify(steps).replaceAll(/\d{8}T?-?\d{6}[A-Za-z0-9-]*/g, 'TIME'));
}

/** Waits until the change that was begun last is at a step of this kind. */
export async function atStep(kg: Installation, kind: Step['kind'], seconds = 60): Promise<Run> {
  return await until(
    `a run is at ${kind}`,
    async () => {
      const last = (await changesIn(kg)).at(-1);
      const at = last?.steps.find(({ startedAt, finishedAt }) => startedAt !== null && finishedAt === null);
      return last?.outcome === 'unfinished' && at?.step.kind === kind ? last : null;
    },
    { seconds, everyMs: 20 },
  );
}

export const runnerOf = (kg: Installation) => `${kg.prefix}-runner`;

/** SIGKILL to the container that an upgrade runs in; false: there is none. Returns when it is gone. */
export async function killRunner(kg: Installation): Promise<boolean> {
  const { code } = await run('docker', ['kill', runnerOf(kg)]);
  await noRunner(kg);
  return code === 0;
}

/** Waits until no runner is there. */
export async function noRunner(kg: Installation, seconds = 180): Promise<void> {
  await until('the runner is gone', async () => !(await runners(kg)).length, { seconds });
}

function runners(kg: Installation): Promise<string[]> {
  return dockerLines('ps', '-a', '--format', '{{.Names}}', '--filter', `name=^/?${runnerOf(kg)}`);
}

/** The version that the labels of its running containers say, by service. */
export async function runningVersions(kg: Installation): Promise<Record<string, string | undefined>> {
  const containers = Object.entries(await kg.containers());
  const label = 'org.opencontainers.image.version';
  return Object.fromEntries(
    containers
      .filter(([, { State }]) => State.Status === 'running')
      .map(([service, { Config }]) => [service, Config.Labels[label]]),
  );
}

/**
 * The application of this version runs, is healthy, and one can log in and read and write. The operator is of the same version, or of
 * another one that is named.
 */
export async function expectServing(kg: Installation, version: string, operator = version): Promise<void> {
  expect(await runningVersions(kg)).toMatchObject({ api: version, web: version, operator });
  expect((await kg.logIn(ADMIN_PASSWORD)).status).toBe(200);
  expect((await kg.api('GET', '/graph')).status).toBe(200);
  expect((await fetch(`http://127.0.0.1:${kg.webPort}/`)).status).toBe(200);
  const { code, document } = await kg.json<{ layers: unknown }>(['status', '--exit-code']);
  if (code !== 0) throw new Error(`status: ${code}\n${JSON.stringify(document, null, 1)}`);
}

/** Sums over all rows of the platform, but for what migrations and their ledger are. */
export async function dataDigests(kg: Installation): Promise<string[]> {
  const lines = await rowDigests(kg);
  return lines.filter((line) => !/^(kg_operator\.|kg_api\.e2e_)/.test(line));
}

/**
 * No container, file or database of a run that is over.
 * @param kept databases that are to be kept
 */
export async function expectNothingLeft(kg: Installation, kept: RegExp = /^$/): Promise<void> {
  await noRunner(kg, 20);
  const format = '{{.Label "com.docker.compose.service"}} {{.State}}';
  const ofProject = `label=com.docker.compose.project=${kg.prefix}`;
  const all = await dockerLines('ps', '-a', '--format', format, '--filter', ofProject);
  const expected = ['api', 'garage', 'gateway', 'operator', 'postgres', 'web'].map(
    (name) => `${name} running`,
  );
  const lasting = all.filter((line) => !/^(migrate exited|console running)$/.test(line));
  expect(lasting.sort()).toEqual(expected);
  const named = await dockerLines('ps', '-a', '--format', '{{.Names}}', '--filter', `name=${kg.prefix}`);
  expect(named.filter((name) => !/-(\d+|operator)$/.test(name))).toEqual([]);
  const files = await Promise.all(
    ['.operator', 'backups'].map((folder) => readdir(kg.path(folder), { recursive: true }).catch(() => [])),
  );
  expect(files.flat().filter((name) => /partial|\.tmp/.test(name))).toEqual([]);
  const databases = await kg.psql("SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'kg')");
  expect(databases.filter((name) => !/^template\d$/.test(name) && !kept.test(name))).toEqual([]);
}

/** Images of a publisher that are here are of these versions only. */
export async function expectImagesOf({ images }: Publisher, versions: string[]): Promise<void> {
  const ids = await dockerLines('image', 'ls', '-q', '--filter', `reference=${images.prefix}/*`);
  const format = '{{index .Config.Labels "org.opencontainers.image.version"}}';
  const found = ids.length > 0 ? await dockerLines('image', 'inspect', '-f', format, ...new Set(ids)) : [];
  expect([...new Set(found)].sort()).toEqual(versions.toSorted());
}
