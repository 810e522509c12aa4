import { OperatorCommand } from '../../cli/base-command.ts';
import { readMigrations } from '../../migrations/files.ts';
import { assertHistoryFits, compareWithLedger } from '../../migrations/history.ts';
import { readLedger } from '../../migrations/ledger.ts';
import type { SchemaObservation } from '../../model/observation.ts';

export default class MigrateStatus extends OperatorCommand {
  static override summary = 'Show which migrations are applied and which are pending';
  static override examples = ['<%= config.bin %> migrate status', '<%= config.bin %> migrate status --json'];

  async run(): Promise<SchemaObservation> {
    await this.parse(MigrateStatus);
    const migrations = await readMigrations();
    const session = await this.context.openSession();
    try {
      const applied = await readLedger(session);
      await assertHistoryFits(session, migrations, applied);
      const ids = migrations.map(({ id }) => id);
      const schema = compareWithLedger(ids, applied);
      for (const id of ids) this.answer(`${schema.pending.includes(id) ? 'pending' : 'applied'}  ${id}`);
      return schema;
    } finally {
      await session.close();
    }
  }
}
