import { makeScheduled } from '../../backup/scheduled.ts';
import { assertBackupSpace } from '../../backup/space-needs.ts';
import { OperatorCommand } from '../../cli/base-command.ts';
import { failedBackup } from '../../cli/failed-backup.ts';
import type { Plan } from '../../model/plan.ts';

export default class BackupScheduled extends OperatorCommand {
  static override hidden = true;
  static override summary = 'Make the backup that is due; run by the operator container';

  async run(): Promise<{ backup: string | null }> {
    await this.parse(BackupScheduled);
    const run = async (plan: Plan) => {
      await assertBackupSpace(this.context, plan);
      await this.runPlan(plan, { beside: true }).catch((error) => {
        throw failedBackup(error);
      });
    };
    return { backup: await makeScheduled(this.context, run) };
  }
}
