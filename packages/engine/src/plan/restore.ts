import type { Observation } from '../model/observation.ts';
import type { Plan, Step } from '../model/plan.ts';
import { planStart } from './start.ts';

export type RestorePart = 'database' | 'objects' | 'config';

export interface RestoreGoal {
  /** The backup's id, for people. */
  backup: string;
  /** Null: everything. */
  only: RestorePart | null;
  /** Names that nothing has yet. */
  incoming: string;
  outgoing: string;
  bucket: string;
  /** What of the backup a person must know before. */
  warnings?: string[];
}

/**
 * The steps of a restore. Until `swap-database` the live data is only looked at, and the swap is one transaction; the database before is
 * kept. Pure.
 */
export function planRestore(observed: Observation, goal: RestoreGoal): Plan {
  return {
    goal: goalName(goal),
    steps: stepsOf(observed, goal),
    warnings: [...warningsOf(goal), ...(goal.warnings ?? [])],
    destructive: true,
  };
}

function stepsOf(observed: Observation, { backup, only, incoming, outgoing, bucket }: RestoreGoal): Step[] {
  if (only === 'objects') return [{ kind: 'restore-objects', backup }];
  if (only === 'config') return [{ kind: 'restore-configuration', backup, database: incoming }];
  return [
    { kind: 'load-backup', backup, database: incoming, bucket: only === 'database' ? null : bucket },
    ...replaceDatabase(observed, { incoming, outgoing }),
  ];
}

/** What comes before the plan where the file is pg_dump's: only when it was loaded once is it known what is in it. */
export function planConversion(file: string): Plan {
  return {
    goal: `read ${file}`,
    steps: [{ kind: 'convert-dump', file }],
    warnings: [],
    destructive: false,
  };
}

/** The way back from a restore, or from the way back: exchanges the live database with one that was put aside. Pure. */
export function planReturn(observed: Observation, names: { incoming: string; outgoing: string }): Plan {
  return {
    goal: `put database ${names.incoming} back`,
    steps: replaceDatabase(observed, names),
    warnings: [
      `everything written since it was put aside is not in it; it stays in database ${names.outgoing} until ./operator.sh backup prune --previous`,
    ],
    destructive: true,
  };
}

/** Stops what uses the database, swaps, migrates what is older than this engine, and starts again. Also the way back, with names exchanged. */
export function replaceDatabase(
  observed: Observation,
  names: { incoming: string; outgoing: string },
): Step[] {
  const application = observed.services
    .filter(({ layer, oneShot, self }) => layer === 'application' && !oneShot && !self)
    .map(({ name }) => name);
  return [
    ...(application.length > 0 ? [{ kind: 'compose-stop' as const, services: application }] : []),
    { kind: 'swap-database', ...names },
    { kind: 'migrate', pending: null },
    ...planStart(observed, { infrastructure: false, application: true }).steps.filter(
      ({ kind }) => application.length > 0 || kind !== 'probe', // without services nothing serves yet
    ),
  ];
}

function goalName({ backup, only }: RestoreGoal): string {
  if (only === null) return `restore ${backup}`;
  return `restore ${{ database: 'the database', objects: 'the documents', config: 'the configuration' }[only]} of ${backup}`;
}

function warningsOf({ only, outgoing }: RestoreGoal): string[] {
  if (only === 'objects') return [];
  if (only === 'config') return ['configuration that was changed since the backup is replaced'];
  return [
    `everything written since the backup is not in it; it stays in database ${outgoing} until ./operator.sh backup prune --previous`,
  ];
}
