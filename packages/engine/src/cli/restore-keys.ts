import { randomBytes } from 'node:crypto';
import type { CheckedBundle } from '../backup/read.ts';
import { INCOMING_PREFIX, OUTGOING_PREFIX } from '../backup/restore-names.ts';
import { listMigrationIds } from '../migrations/files.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RestoreGoal, RestorePart } from '../plan/restore.ts';
import type { RunContext } from '../run/context.ts';
import { givenSecret } from './secret-input.ts';

export interface KeyFlags {
  'kit-file'?: string | undefined;
  'passphrase-file'?: string | undefined;
}

/** Keys beside this installation's own, by flags or variables. @throws OperatorError SECRET_UNREADABLE */
export async function takeKeys({ backup }: RunContext, flags: KeyFlags): Promise<void> {
  const kit = await givenSecret({
    what: 'recovery key',
    variable: 'KG_RECOVERY_KEY',
    file: flags['kit-file'],
    fileFlag: '--kit-file',
  });
  if (kit) backup.recovery = [kit.secret];
  const passphrase = await givenSecret({
    what: 'passphrase',
    variable: 'KG_BACKUP_PASSPHRASE',
    file: flags['passphrase-file'],
    fileFlag: '--passphrase-file',
  });
  backup.passphrase = passphrase?.secret ?? null;
}

export function goalOf(backup: string, only: RestorePart | null): RestoreGoal {
  const random = randomBytes(4).toString('hex');
  const at = new Date()
    .toISOString()
    .replace(/[-:]|\.\d+Z/g, '')
    .toLowerCase();
  return {
    backup,
    only,
    incoming: `${INCOMING_PREFIX}${random}`,
    outgoing: `${OUTGOING_PREFIX}${at}_${random}`,
    bucket: `kg-documents-${random}`,
  };
}

/** @throws OperatorError SCHEMA_NEWER */
export async function assertKnownSchema({ manifest }: CheckedBundle): Promise<void> {
  const { schemaHead, engineVersion } = manifest;
  if (schemaHead === null || (await listMigrationIds()).includes(schemaHead)) return;
  throw new OperatorError(
    'SCHEMA_NEWER',
    `the backup has schema ${schemaHead}, which this engine does not know`,
    {
      exitCode: EXIT.schema,
      hint: `use engine ${engineVersion} or newer; nothing was changed`,
    },
  );
}
