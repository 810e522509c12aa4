import { Args, Flags } from '@oclif/core';
import { findBackup, type ListedBackup, listBackups } from '../../backup/catalog.ts';
import { placesOf } from '../../backup/installation.ts';
import { OperatorCommand } from '../../cli/base-command.ts';
import { takeKeys } from '../../cli/restore-source.ts';
import type { OperatorError } from '../../model/errors.ts';

export default class BackupVerify extends OperatorCommand {
  static override summary = 'Restore a backup beside the platform and compare it with what was backed up';
  static override examples = [
    '<%= config.bin %> backup verify',
    '<%= config.bin %> backup verify kg-20261123T031500Z',
  ];
  static override args = {
    backup: Args.string({ description: 'id, its beginning, or latest', default: 'latest' }),
  };

  static override flags = {
    'kit-file': Flags.string({
      description: 'file with the recovery key, for one of another ENCRYPTION_KEY (or KG_RECOVERY_KEY)',
      helpValue: 'FILE',
    }),
    'passphrase-file': Flags.string({
      description: 'file with the passphrase of the backup (or KG_BACKUP_PASSPHRASE)',
      helpValue: 'FILE',
    }),
  };

  async run(): Promise<{ backup: ListedBackup }> {
    const { args, flags } = await this.parse(BackupVerify);
    await takeKeys(this.context, flags);
    const warn = (reason: OperatorError) => this.warning(reason.message);
    const places = await placesOf(this.context, warn);
    const { id } = findBackup(await listBackups(places, warn), args.backup);
    await this.runPlan(
      { goal: `verify ${id}`, steps: [{ kind: 'verify-backup', id }], warnings: [], destructive: false },
      { beside: true },
    );
    const backup = findBackup(await listBackups(places, () => undefined), id); // whoever was silent has been named above
    this.answer(`${id}: ${backup.state}`);
    return { backup };
  }
}
