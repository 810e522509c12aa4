import { Flags } from '@oclif/core';
import { siteOf } from '../../backup/site.ts';
import { expiredBackups, pruneBackups } from '../../backup/steps.ts';
import { OperatorCommand } from '../../cli/base-command.ts';
import { askText } from '../../cli/prompts.ts';
import { megabytes } from '../../model/disk.ts';
import { EXIT, OperatorError } from '../../model/errors.ts';
import { planLock, takeLock } from '../../run/lock.ts';

export default class BackupPrune extends OperatorCommand {
  static override summary =
    'Remove backups that the retention policy gives up, and with --previous what restores have put aside';
  static override examples = [
    '<%= config.bin %> backup prune --dry-run',
    '<%= config.bin %> backup prune --previous',
  ];
  static override flags = {
    previous: Flags.boolean({ description: 'also the databases from before restores, with their documents' }),
    'dry-run': Flags.boolean({ description: 'show what would be removed' }),
  };

  async run(): Promise<{ backups: string[]; databases: string[]; removed: boolean }> {
    const { flags } = await this.parse(BackupPrune);
    const site = siteOf(this.context);
    const backups = await expiredBackups(this.context);
    const previous = flags.previous ? await site.previous() : [];
    const databases = previous.map(({ name }) => name);
    for (const id of backups) this.answer(`backup    ${id}`);
    for (const { name, bytes } of previous) this.answer(`database  ${name}  ${megabytes(bytes)}`);
    if (backups.length + databases.length === 0) {
      this.answer('There is nothing to remove.');
      return { backups, databases, removed: false };
    }
    if (flags['dry-run']) return { backups, databases, removed: false };
    if (!this.globals.yes && !(this.interactive && /^y/i.test(await askText('Remove them? [y/N]', 'n'))))
      throw new OperatorError('NOT_CONFIRMED', 'not confirmed, and nothing was removed', {
        exitCode: EXIT.usage,
        hint: 'give --yes',
      });
    // A restore under way may be about to put one of these databases back.
    const release = await takeLock(await planLock(this.context.settings), 'backup prune');
    try {
      await pruneBackups(this.context);
      for (const name of databases) await site.dropPrevious(name);
    } finally {
      await release();
    }
    this.answer('Removed.');
    return { backups, databases, removed: true };
  }
}
