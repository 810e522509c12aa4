import { makeScheduled } from '../../backup/scheduled.ts';
import { OperatorCommand } from '../../cli/base-command.ts';

export default class BackupScheduled extends OperatorCommand {
  static override hidden = true;
  static override summary = 'Make the backup that is due; run by the operator container';

  async run(): Promise<{ backup: string | null }> {
    await this.parse(BackupScheduled);
    return { backup: await makeScheduled(this.context, (plan) => this.runPlan(plan)) };
  }
}
