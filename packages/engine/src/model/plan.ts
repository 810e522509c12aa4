/** What a plan is made of. Each kind has exactly one executor (run/execute.ts); a step is plain data. */
export type Step =
  | { kind: 'compose-up'; services: string[] }
  | { kind: 'compose-stop'; services: string[] }
  | { kind: 'wait-healthy'; services: string[]; timeoutSeconds: number }
  | { kind: 'migrate'; pending: string[] | null }
  | { kind: 'check-encryption-key' }
  | { kind: 'configure-object-store' }
  | { kind: 'require-configuration' }
  | { kind: 'probe'; target: ProbeTarget; timeoutSeconds: number }
  | BackupStep
  | UpgradeStep;

/**
 * Steps of upgrade and rollback (upgrade/steps.ts). Images are references by digest, `NAME@sha256:…`, or by the id of what a bundle brought.
 * Any of them may run again after it was cut off, or was done: each looks at what is there first.
 */
export type UpgradeStep =
  | { kind: 'run-hook'; hook: Hook }
  /** `bundle`: the file they come from, where it is not the registry. */
  | { kind: 'pull-images'; images: string[]; bundle: string | null }
  /** The engine of this version goes on with the run. */
  | { kind: 'hand-over'; version: string; image: string }
  | { kind: 'replace-operator'; version: string; image: string }
  /** Writes down which images the services named run from now on; others stay as they are. */
  | { kind: 'pin-images'; version: string; images: Record<string, string> }
  | { kind: 'roll-service'; service: string; image: string; timeoutSeconds: number }
  | { kind: 'copy-database'; database: string }
  /** A copy that is not needed any more. */
  | { kind: 'drop-copy'; database: string }
  | {
      kind: 'health-gate';
      version: string;
      checks: HealthCheck[];
      timeoutSeconds: number;
      stabilitySeconds: number;
    }
  | { kind: 'record-release'; version: string }
  /** Removes images that belong to none of these versions. */
  | { kind: 'prune-images'; keep: string[] };

export const HOOKS = [
  'pre-upgrade',
  'post-upgrade',
  'pre-migrate',
  'post-migrate',
  'pre-backup',
  'post-backup',
  'pre-start',
  'post-start',
] as const;
/** An executable in `hooks/` of the installation. */
export type Hook = (typeof HOOKS)[number];

/** The step that runs a hook, where there is one. */
export function hookStep(present: readonly Hook[], hook: Hook): Step[] {
  return present.includes(hook) ? [{ kind: 'run-hook', hook }] : [];
}

/** Asked through the gateway: a GET of `path` must answer with `status`. */
export interface HealthCheck {
  target: ProbeTarget;
  path: string;
  status: number;
}

/** Steps of backup and restore; `id` is a backup's, see backup/catalog.ts. */
export type BackupStep =
  | { kind: 'write-backup'; id: string }
  | { kind: 'verify-backup'; id: string }
  | { kind: 'copy-backup'; id: string; destinations: string[] }
  | { kind: 'prune-backups' }
  | { kind: 'convert-dump'; file: string }
  | { kind: 'load-backup'; backup: string; database: string; bucket: string | null }
  | { kind: 'swap-database'; incoming: string; outgoing: string }
  | { kind: 'restore-objects'; backup: string }
  | { kind: 'restore-configuration'; backup: string; database: string };

export type StepKind = Step['kind'];
const STEPS: Record<StepKind, true> = {
  'compose-up': true,
  'compose-stop': true,
  'wait-healthy': true,
  migrate: true,
  'check-encryption-key': true,
  'configure-object-store': true,
  'require-configuration': true,
  probe: true,
  'write-backup': true,
  'verify-backup': true,
  'copy-backup': true,
  'prune-backups': true,
  'convert-dump': true,
  'load-backup': true,
  'swap-database': true,
  'restore-objects': true,
  'restore-configuration': true,
  'run-hook': true,
  'pull-images': true,
  'hand-over': true,
  'replace-operator': true,
  'pin-images': true,
  'roll-service': true,
  'copy-database': true,
  'drop-copy': true,
  'health-gate': true,
  'record-release': true,
  'prune-images': true,
};
/** The step registry: every kind there is. */
export const STEP_KINDS = Object.keys(STEPS) as StepKind[];
export type StepOf<K extends StepKind> = Extract<Step, { kind: K }>;

/** What is asked through the gateway: the API's readiness, or the web app's page. */
export type ProbeTarget = 'api' | 'web';

export interface Plan {
  goal: string;
  steps: Step[];
  warnings: string[];
  /** Running it can lose data. */
  destructive: boolean;
}

/** One line for a person. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'compose-up':
      return `Start ${step.services.join(', ')}`;
    case 'compose-stop':
      return `Stop ${step.services.join(', ')}`;
    case 'wait-healthy':
      return `Wait until ${step.services.join(', ')} ${step.services.length === 1 ? 'is' : 'are'} healthy`;
    case 'migrate':
      return step.pending === null
        ? 'Apply pending migrations'
        : `Apply ${count(step.pending.length, 'migration')}`;
    case 'check-encryption-key':
      return 'Check the encryption key against the data';
    case 'configure-object-store':
      return 'Configure object storage';
    case 'require-configuration':
      return 'Check that configuration is complete';
    case 'probe':
      return `Ask the ${step.target === 'api' ? 'API' : 'web app'} through the gateway`;
    case 'write-backup':
      return `Write backup ${step.id}`;
    case 'verify-backup':
      return 'Restore it once, beside the platform, and compare';
    case 'copy-backup':
      return `Copy it to ${step.destinations.join(', ')}`;
    case 'prune-backups':
      return 'Remove backups that the retention policy gives up';
    case 'convert-dump':
      return `Load ${step.file} into a PostgreSQL of its own, and read it out again`;
    case 'load-backup':
      return `Load ${step.backup} beside the live data, as database ${step.database}${step.bucket ? ` and bucket ${step.bucket}` : ''}, and compare`;
    case 'swap-database':
      return `Put ${step.incoming} in the place of the live database, which is kept as ${step.outgoing}`;
    case 'restore-objects':
      return `Put back the documents of ${step.backup} that are missing or differ`;
    case 'restore-configuration':
      return `Take the configuration of ${step.backup} over, by way of database ${step.database}`;
    case 'run-hook':
      return `Run hooks/${step.hook}`;
    case 'pull-images':
      return `${step.bundle === null ? 'Pull' : `Load from ${step.bundle}`} ${count(step.images.length, 'image')}`;
    case 'hand-over':
      return `Go on with kg-operator ${step.version}`;
    case 'replace-operator':
      return `Replace the operator by ${step.version}`;
    case 'pin-images':
      return `Note the images of ${step.version} for ${Object.keys(step.images).join(', ')}`;
    case 'roll-service':
      return `Replace ${step.service} while it serves`;
    case 'copy-database':
      return `Keep the database as it is now, as ${step.database}`;
    case 'drop-copy':
      return `Drop ${step.database}, the copy of what is live`;
    case 'health-gate':
      return `Ask ${step.version} through the gateway, until it is well for ${step.stabilitySeconds} s`;
    case 'record-release':
      return `Record ${step.version} as installed`;
    case 'prune-images':
      return `Remove images older than ${step.keep.at(-1)}`;
  }
}

/** `1 migration`, `2 migrations`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
