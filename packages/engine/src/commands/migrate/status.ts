import { OperatorCommand } from '../../cli/base-command.ts';
import {
  databaseFlag,
  environmentOf,
  folderFlag,
  folderOf,
  searchPathOf,
} from '../../cli/migration-flags.ts';
import { table } from '../../cli/table.ts';
import { openSession } from '../../database/session.ts';
import { readMigrations } from '../../migrations/files.ts';
import { type MigrationStatus, readStatus, type StatusReport } from '../../migrations/status.ts';
import { EXIT } from '../../model/errors.ts';
import { count } from '../../model/plan.ts';

export default class MigrateStatus extends OperatorCommand {
  static override summary = 'Show which migrations are applied, by whom and when, and which are pending';
  static override description =
    'Exit 0: folder and database fit; 8: they contradict each other, and migrate would refuse.';
  static override examples = ['<%= config.bin %> migrate status', '<%= config.bin %> migrate status --json'];
  static override flags = { ...folderFlag, ...databaseFlag };

  async run(): Promise<StatusReport> {
    const { flags } = await this.parse(MigrateStatus);
    this.environment = environmentOf(flags, (text) => this.warning(text));
    const migrations = await readMigrations(folderOf(flags));
    const session = await openSession(await this.context.databaseSettings(), {
      searchPath: searchPathOf(flags),
    });
    try {
      const report = await readStatus(session, migrations);
      this.#show(report);
      if (report.problems.length > 0) process.exitCode = EXIT.schema;
      return report;
    } finally {
      await session.close();
    }
  }

  #show({ migrations, applied, pending, problems }: StatusReport): void {
    const rows = migrations.map((migration) => [
      stateOf(migration),
      migration.id,
      migration.kind,
      migration.durationMs === null ? '' : `${migration.durationMs} ms`,
      migration.appliedAt?.replace('T', ' ').replace(/\.\d+Z$/, 'Z') ?? '',
      migration.appliedBy ?? '',
      migration.description ?? '',
    ]);
    this.answer(table(['STATE', 'MIGRATION', 'KIND', 'DURATION', 'APPLIED AT', 'BY', 'DESCRIPTION'], rows));
    this.answer(`${applied} applied, ${pending.length} pending.`);
    for (const { drift } of migrations) for (const line of drift) this.answer(line);
    for (const { message, hint } of problems) this.answer(`${message}\n  Fix: ${hint}`);
    const accepted = migrations.filter(({ decisions }) =>
      decisions.some(({ action }) => action === 'accept-drift'),
    );
    if (accepted.length > 0)
      this.answer(`Drift was accepted of ${count(accepted.length, 'migration')}: --json says who and when.`);
  }
}

function stateOf({ state, drift, hasFile, partsDone }: MigrationStatus): string {
  if (!hasFile) return `${state}, no file`;
  if (drift.length > 0) return `${state}, changed`;
  return state === 'running' ? `running (${partsDone ?? 0} parts done)` : state;
}
