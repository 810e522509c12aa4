import { join } from 'node:path';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { RunContext } from '../run/context.ts';
import { bundleName, findBackup, listBackups } from './catalog.ts';
import { backupFolder, localDestination, openDestination } from './installation.ts';
import { writeRecord } from './make.ts';
import { readBackupSettings } from './settings.ts';

/**
 * Copies a backup from the folder of this host to the destinations named. One that fails does not keep it from the others.
 * @throws OperatorError BACKUP_NOT_COPIED naming each that failed; the backup itself stays where it was made
 */
export async function copyBackup(
  context: RunContext,
  id: string,
  names: string[],
  report: (line: string) => void,
): Promise<void> {
  const { destinations } = await readBackupSettings(context.configDatabase());
  const { destinations: _where, ...record } = findBackup(await listBackups([localDestination(context)]), id);
  const folder = backupFolder(context.settings);
  const failed: { name: string; error: unknown }[] = [];
  for (const name of names) {
    report(name);
    try {
      const settings = destinations.find((one) => one.name === name);
      if (!settings) throw new Error('there is no such destination any more');
      const target = await openDestination(context, settings);
      await target.putFile(bundleName(id), join(folder, bundleName(id)));
      // The record last: without it, a bundle is not a backup.
      await writeRecord(target, record);
    } catch (error) {
      failed.push({ name, error });
    }
  }
  if (failed.length === 0) return;
  const where = ['local', ...names.filter((name) => !failed.some((one) => one.name === name))];
  throw new OperatorError(
    'BACKUP_NOT_COPIED',
    `${id} is ${record.state} and kept (${where.join(', ')}), but not copied to ${failed.map(({ name }) => name).join(', ')}`,
    {
      exitCode: EXIT.afterImpact,
      details: failed.map(({ name, error }) => `${name}: ${messageOf(error)}`),
      hint: `it is ${join(folder, bundleName(id))}; when the destination is back: ./operator.sh backup`,
      cause: failed[0]?.error,
    },
  );
}
