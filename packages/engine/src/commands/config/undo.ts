import { syncDue } from '../../backup/scheduler.ts';
import { ConfigCommand } from '../../cli/config-command.ts';
import { showChanges } from '../../cli/show-changes.ts';
import type { RecordedChange } from '../../config/changes.ts';
import { findUndo, undo } from '../../config/undo.ts';

export default class ConfigUndo extends ConfigCommand {
  static override summary = 'Take back the last change of the configuration; again, and it is redone';
  static override examples = ['<%= config.bin %> config undo', '<%= config.bin %> config undo --yes --json'];

  async run(): Promise<{ undone: RecordedChange; changed: boolean }> {
    await this.parse(ConfigUndo);
    const db = await this.database();
    const change = await findUndo(db);
    this.say(`${showChanges([change])}\n`);
    await this.confirm('Take this back?');
    const undone = await undo(db, { expected: change, actor: this.actor });
    if (undone.entries.some(({ topic }) => topic === 'backup')) await syncDue(this.context);
    this.answer('It is taken back, and recorded: ./operator.sh config history.');
    return { undone, changed: true };
  }
}
