import { type Hook, hookStep, type Plan } from '../model/plan.ts';

export interface BackupGoal {
  id: string;
  verify: boolean;
  /** Names of destinations beside the folder in which it is made. */
  copyTo: string[];
  /** There is a retention policy to apply. */
  prune: boolean;
  /** The executables there are. */
  hooks?: Hook[];
}

/** The steps of one backup. Old ones are given up last, and only if this one was restored. Pure. */
export function planBackup({ id, verify, copyTo, prune, hooks = [] }: BackupGoal): Plan {
  return {
    goal: `back up as ${id}`,
    steps: [
      ...hookStep(hooks, 'pre-backup'),
      { kind: 'write-backup', id },
      ...(verify ? [{ kind: 'verify-backup' as const, id }] : []),
      ...(copyTo.length > 0 ? [{ kind: 'copy-backup' as const, id, destinations: copyTo }] : []),
      ...(verify && prune ? [{ kind: 'prune-backups' as const }] : []),
      ...hookStep(hooks, 'post-backup'),
    ],
    warnings: verify ? [] : ['not verified: nobody knows whether this backup can be restored'],
    destructive: false,
  };
}

/** What is left of a backup whose copies failed. Pure. */
export function planCopies({ id, copyTo, prune }: Omit<BackupGoal, 'verify'>): Plan {
  return {
    goal: `copy ${id}`,
    steps: [
      ...(copyTo.length > 0 ? [{ kind: 'copy-backup' as const, id, destinations: copyTo }] : []),
      ...(prune ? [{ kind: 'prune-backups' as const }] : []),
    ],
    warnings: [],
    destructive: false,
  };
}
