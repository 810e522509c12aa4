import { Flags } from '@oclif/core';
import { type BackupSettings, changeBackupSettings, readBackupSettings } from '../../backup/settings.ts';
import { OperatorCommand } from '../../cli/base-command.ts';
import { commandActor } from '../../config/actor.ts';

const count = (description: string) =>
  Flags.integer({ description, helpValue: 'N', min: 0, max: 1000, exclusive: ['off'] });

export default class BackupRetention extends OperatorCommand {
  static override summary = 'Which backups are kept: show or set';
  static override description = 'Old ones are given up after a newer one was verified, never before.';
  static override examples = [
    '<%= config.bin %> backup retention --last 3 --daily 7 --weekly 4 --monthly 6',
    '<%= config.bin %> backup retention --off',
  ];
  static override flags = {
    last: count('the newest ones'),
    daily: count('the newest of so many days'),
    weekly: count('of so many weeks'),
    monthly: count('of so many months'),
    off: Flags.boolean({ description: 'keep everything' }),
  };

  async run(): Promise<{ retention: BackupSettings['retention'] }> {
    const { flags } = await this.parse(BackupRetention);
    const db = this.context.configDatabase();
    const given = [flags.last, flags.daily, flags.weekly, flags.monthly].some((value) => value !== undefined);
    if (given || flags.off) {
      const { last = 1, daily = 0, weekly = 0, monthly = 0 } = flags;
      const retention = flags.off ? null : { last, daily, weekly, monthly };
      await changeBackupSettings(db, { actor: commandActor() }, 'retention', (settings) => ({
        ...settings,
        retention,
      }));
    }
    const { retention } = await readBackupSettings(db);
    this.answer(
      retention
        ? `Kept are the last ${retention.last}, and the newest of ${retention.daily} days, ${retention.weekly} weeks and ${retention.monthly} months.`
        : 'Every backup is kept: ./operator.sh backup retention --last 3 --daily 7 --weekly 4 --monthly 6',
    );
    return { retention };
  }
}
