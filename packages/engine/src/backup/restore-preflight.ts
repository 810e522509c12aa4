import { listMigrationIds } from '../migrations/files.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { RestorePart } from '../plan/restore.ts';
import type { RunContext } from '../run/context.ts';
import { connect } from './database-connection.ts';
import { whyNotServer } from './database-preflight.ts';
import { allAtOnce } from './findings.ts';
import { PRE_DATA } from './format.ts';
import type { CheckedBundle } from './read.ts';
import { shortageOf } from './space.ts';
import { restoreNeeds } from './space-needs.ts';

/**
 * Whether a checked backup can be restored here: schema, server and space. Its key and its integrity are known by then.
 * @throws OperatorError SCHEMA_NEWER, RESTORE_IMPOSSIBLE, DISK_FULL: the first, the others in its details
 */
export async function assertRestorable(
  context: RunContext,
  { manifest }: CheckedBundle,
  only: RestorePart | null,
): Promise<void> {
  const findings: OperatorError[] = [];
  const { schemaHead, engineVersion, database, members } = manifest;
  if (schemaHead !== null && !(await listMigrationIds()).includes(schemaHead))
    findings.push(schemaNewer(schemaHead, engineVersion));
  if (only !== 'objects') {
    const client = await connect(await context.databaseSettings(), context.signal);
    // Without a dump of its schema only the rows must fit, and they are text.
    const reasons = await whyNotServer(client, database, PRE_DATA in members).finally(() => client.end());
    for (const reason of reasons)
      findings.push(
        new OperatorError('RESTORE_IMPOSSIBLE', `this backup can't be loaded here: ${reason}`, {
          exitCode: EXIT.precondition,
          hint:
            context.settings.mode === 'containers'
              ? 'restore with the images the backup was made with, or later ones'
              : 'nothing was changed: restore it into containers, through their operator.sh',
        }),
      );
    const withDocuments = only === null;
    const shortage = shortageOf(await restoreNeeds(context, manifest, withDocuments));
    if (shortage) findings.push(shortage);
  }
  allAtOnce(findings);
}

function schemaNewer(schema: string, engine: string): OperatorError {
  return new OperatorError(
    'SCHEMA_NEWER',
    `the backup has schema ${schema}, which this engine does not know`,
    {
      exitCode: EXIT.schema,
      hint: `use engine ${engine} or newer; nothing was changed`,
    },
  );
}
