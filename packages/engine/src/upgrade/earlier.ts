import { findBackup, listBackups } from '../backup/catalog.ts';
import { placesOf } from '../backup/installation.ts';
import { databasesBefore } from '../backup/restore-names.ts';
import type { Run, RunStep } from '../history/runs.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { imageReferences, PLATFORM } from '../release/hops.ts';
import { keptRelease, openRoom } from '../release/room.ts';
import type { RunContext } from '../run/context.ts';
import { lastRecorded } from './impact.ts';
import type { ReleasePins } from './pins.ts';
import type { OlderData } from './way-back.ts';

/** What a rollback by hand goes back to. */
export interface Earlier {
  to: ReleasePins;
  newest: ReleasePins;
  /** Null: neither a database was kept nor a backup made. */
  data: (OlderData & { at: Date }) | null;
}

/**
 * The release to go back to, and the data of its time: what the journal says of upgrades.
 * @param wanted a version, a backup; by default the release before, or the one that an unfinished upgrade began from
 * @throws OperatorError NO_RELEASE_BEFORE, VERSION_UNKNOWN, BACKUP_UNKNOWN
 */
export async function findEarlier(
  context: RunContext,
  runs: readonly Run[],
  wanted: { to?: string | undefined; backup?: string | undefined },
  report: (line: string) => void,
  keptDatabases = async () => databasesBefore(await context.databaseSettings()),
): Promise<Earlier> {
  const changes = runs.filter(({ change }) => change !== null);
  const to =
    wanted.to === undefined ? releaseBefore(changes) : await releaseNamed(context, changes, wanted.to);
  const upgrades = changes.filter(({ change }) => change?.kind === 'upgrade');
  const newest = upgrades.at(-1)?.change?.path.at(-1) ?? to;
  const since = stepsSince(upgrades, to.version);
  const kept = wanted.backup === undefined ? keptDatabase(since, await keptDatabases()) : null;
  return { to, newest, data: kept ?? (await backupOf(context, since, wanted.backup, report)) };
}

/** Pure. @throws OperatorError NO_RELEASE_BEFORE */
export function releaseBefore(changes: readonly Run[]): ReleasePins {
  const last = changes.at(-1);
  if (last?.change?.kind === 'rollback' && last.outcome !== 'finished') return targetOf(last);
  if (last?.change?.kind === 'upgrade' && last.outcome !== 'finished') return inPlaceAt(last);
  const installed = last && targetOf(last).version;
  for (const run of changes.toReversed()) {
    if (run.change?.kind !== 'upgrade') continue;
    const releases = [run.change.from, ...run.change.path];
    const index = releases.findIndex(({ version }) => version === installed);
    if (index > 0) return releases[index - 1] as ReleasePins;
  }
  throw new OperatorError('NO_RELEASE_BEFORE', 'there is no release to go back to', {
    exitCode: EXIT.precondition,
    hint: './operator.sh history shows the upgrades that were made here',
  });
}

function targetOf({ change }: Run): ReleasePins {
  return change?.path.at(-1) as ReleasePins;
}

/** What an upgrade that did not get to its end had recorded last. */
function inPlaceAt(run: Run): ReleasePins {
  const recorded = lastRecorded(run);
  const { from, path } = run.change as NonNullable<Run['change']>;
  return path.find(({ version }) => version !== null && version === recorded) ?? from;
}

/** By the journal, or by the signed release.json that was kept. @throws OperatorError VERSION_UNKNOWN */
async function releaseNamed(
  { settings, clock }: RunContext,
  changes: readonly Run[],
  version: string,
): Promise<ReleasePins> {
  const walked = changes.flatMap(({ change }) => (change ? [change.from, ...change.path] : []));
  const found = walked.findLast((release) => release.version === version);
  if (found) return found;
  const manifest = await keptRelease(
    openRoom(settings, () => clock.date()),
    version,
  );
  if (manifest) return { version, images: imageReferences(manifest, PLATFORM) };
  const names = [...new Set(walked.flatMap((release) => release.version ?? []))];
  throw new OperatorError('VERSION_UNKNOWN', `${version} was never installed here`, {
    exitCode: EXIT.usage,
    hint: names.length > 0 ? `there were: ${names.join(', ')}` : './operator.sh history shows what was',
  });
}

/** The runs in whose steps the data of a release's time was kept, with those steps: after it was recorded last. Pure. */
export function stepsSince(
  upgrades: readonly Run[],
  version: string | null,
): { run: Run; steps: RunStep[] }[] {
  for (const [index, run] of [...upgrades.entries()].toReversed()) {
    const at = run.steps.findLastIndex(
      ({ step, finishedAt }) =>
        step.kind === 'record-release' && step.version === version && finishedAt !== null,
    );
    if (at === -1 && run.change?.from.version !== version) continue;
    return [
      { run, steps: run.steps.slice(at + 1) },
      ...upgrades.slice(index + 1).map((later) => ({ run: later, steps: later.steps })),
    ];
  }
  return [];
}

/** The first copy that was made after, if it is still there: the live one at the moment before it changed. */
function keptDatabase(
  since: { steps: RunStep[] }[],
  databases: { name: string }[],
): { incoming: string; backup: null; at: Date } | null {
  const there = new Set(databases.map(({ name }) => name));
  for (const { step, finishedAt } of since.flatMap(({ steps }) => steps))
    if (step.kind === 'copy-database' && finishedAt !== null && there.has(step.database))
      return { incoming: step.database, backup: null, at: new Date(finishedAt) };
  return null;
}

async function backupOf(
  context: RunContext,
  since: { run: Run }[],
  wanted: string | undefined,
  report: (line: string) => void,
): Promise<Earlier['data']> {
  const id = wanted ?? since.find(({ run }) => run.change?.backup)?.run.change?.backup;
  if (!id) return null;
  const places = await placesOf(context, (reason) => report(reason.message));
  const backups = await listBackups(places, (reason) => report(reason.message));
  if (wanted === undefined && !backups.some((backup) => backup.id === id)) return null;
  const backup = findBackup(backups, id);
  return { incoming: null, backup: backup.id, at: new Date(backup.createdAt) };
}
