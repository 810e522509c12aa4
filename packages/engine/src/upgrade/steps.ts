import type { UpgradeStep } from '../model/plan.ts';
import type { Executors } from '../run/execute.ts';
import { copyDatabase, dropCopy } from './database-copy.ts';
import { healthGate } from './health-gate.ts';
import { runHook } from './hooks.ts';
import { pullImages } from './images.ts';
import { handOver, replaceOperator } from './operator.ts';
import { pruneImages } from './prune-images.ts';
import { pinImages, recordRelease } from './record.ts';
import { rollService } from './roll-service.ts';

/** What the steps of upgrade and rollback do; they join run/execute.ts's. */
export const upgradeExecutors: Executors<UpgradeStep['kind']> = {
  'run-hook': runHook,
  'pull-images': pullImages,
  'hand-over': handOver,
  'replace-operator': replaceOperator,
  'pin-images': pinImages,
  'roll-service': rollService,
  'copy-database': copyDatabase,
  'drop-copy': dropCopy,
  'health-gate': healthGate,
  'record-release': recordRelease,
  'prune-images': pruneImages,
};
