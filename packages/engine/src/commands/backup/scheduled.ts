import { findBackup, listBackups } from '../../backup/catalog.ts';
import { backupFolder, destinationsOf, localDestination, newBackupId } from '../../backup/installation.ts';
import { noteLast, noteNextDue } from '../../backup/scheduler.ts';
import { readBackupSettings } from '../../backup/settings.ts';
import { OperatorCommand } from '../../cli/base-command.ts';
import { messageOf, OperatorError } from '../../model/errors.ts';
import { planBackup } from '../../plan/backup.ts';

/** While another command runs, and after a failure, it is tried again after so long. */
const AGAIN_MS = 15 * 60_000;

export default class BackupScheduled extends OperatorCommand {
  static override hidden = true;
  static override summary = 'Make the backup that is due; run by the operator container';

  async run(): Promise<{ backup: string; ok: boolean }> {
    await this.parse(BackupScheduled);
    const { clock } = this.context;
    const at = clock.date();
    // First of all, so that a crash in the middle does not start it over at once and for ever.
    await noteNextDue(this.context, new Date(at.getTime() + AGAIN_MS));
    const id = newBackupId(this.context);
    try {
      const settings = await readBackupSettings(this.context.configDatabase());
      const destinations = await destinationsOf(this.context);
      const folder = backupFolder(this.context.settings);
      const copyTo = destinations.filter(({ address }) => address !== folder).map(({ name }) => name);
      await this.runPlan(planBackup({ id, verify: true, copyTo, prune: settings.retention !== null }));
      const { state } = findBackup(await listBackups([localDestination(this.context)]), id);
      await noteLast(this.context, { at: at.toISOString(), ok: state === 'verified', result: id });
      await noteNextDue(this.context);
      return { backup: id, ok: state === 'verified' };
    } catch (error) {
      // Another command has the lock: it is not a failure yet, only late.
      if (!(error instanceof OperatorError) || error.code !== 'LOCKED')
        await noteLast(this.context, { at: at.toISOString(), ok: false, result: messageOf(error) });
      throw error;
    }
  }
}
