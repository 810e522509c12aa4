import { type ListedBackup, listBackups } from '../../backup/catalog.ts';
import { placesOf } from '../../backup/installation.ts';
import { OperatorCommand } from '../../cli/base-command.ts';
import { table } from '../../cli/table.ts';
import { megabytes } from '../../model/disk.ts';
import type { OperatorError } from '../../model/errors.ts';

export default class BackupList extends OperatorCommand {
  static override summary = 'Show the backups there are, newest first';
  static override examples = ['<%= config.bin %> backup list', '<%= config.bin %> backup list --json'];

  async run(): Promise<{ backups: ListedBackup[] }> {
    await this.parse(BackupList);
    const warn = (reason: OperatorError) => this.warning(reason.message);
    const backups = await listBackups(await placesOf(this.context, warn), warn);
    if (backups.length === 0) this.answer('There is no backup yet: ./operator.sh backup');
    else {
      const now = this.context.clock.date().getTime();
      this.answer(
        table(
          ['BACKUP', 'AGE', 'SIZE', 'STATE', 'SCHEMA', 'WHERE'],
          backups.map(({ id, createdAt, size, state, schemaHead, destinations }) => [
            id,
            age(now - Date.parse(createdAt)),
            megabytes(size),
            state,
            schemaHead ?? '-',
            destinations.join(', '),
          ]),
        ),
      );
    }
    return { backups };
  }
}

/** `5 min`, `3 h`, `12 d`. */
function age(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}
