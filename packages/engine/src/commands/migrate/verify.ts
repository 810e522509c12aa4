import { OperatorCommand } from '../../cli/base-command.ts';
import {
  databaseFlag,
  environmentOf,
  folderFlag,
  folderOf,
  searchPathOf,
} from '../../cli/migration-flags.ts';
import { readMigrations } from '../../migrations/files.ts';
import { describeDifference, type VerifyReport, verify } from '../../migrations/verify.ts';
import { EXIT } from '../../model/errors.ts';
import { count } from '../../model/plan.ts';

export default class MigrateVerify extends OperatorCommand {
  static override summary = 'Compare the schema with what the applied migrations make';
  static override description =
    'Replays the applied migrations into a scratch database and lists what the database has otherwise. Exit 0: nothing; 8: differences.';
  static override examples = [
    '<%= config.bin %> migrate verify',
    '<%= config.bin %> migrate verify --dir db/migrations --json',
  ];
  static override flags = { ...folderFlag, ...databaseFlag };
  protected override interruptRemark = '\nStopping; the scratch database is dropped first.';

  async run(): Promise<VerifyReport> {
    const { flags } = await this.parse(MigrateVerify);
    this.environment = environmentOf(flags, (text) => this.warning(text));
    const files = await readMigrations(folderOf(flags));
    const report = await verify(await this.context.databaseSettings(), files, {
      engineVersion: this.config.version,
      searchPath: searchPathOf(flags),
      signal: this.context.signal,
      onStep: (text) => this.say(text),
      onRemark: (text) => this.warning(text),
    });
    for (const difference of report.differences) this.answer(describeDifference(difference));
    const compared = `${count(report.objects, 'object')}, ${count(report.migrations, 'migration')}`;
    if (report.differences.length === 0) this.answer(`The schema is what the migrations make (${compared}).`);
    else {
      this.answer(`${count(report.differences.length, 'difference')} (${compared}).`);
      process.exitCode = EXIT.schema;
    }
    return report;
  }
}
