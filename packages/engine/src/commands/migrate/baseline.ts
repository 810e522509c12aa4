import { Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import {
  databaseFlag,
  environmentOf,
  folderFlag,
  folderOf,
  searchPathOf,
} from '../../cli/migration-flags.ts';
import { baseline } from '../../migrations/baseline.ts';
import { readMigrations } from '../../migrations/files.ts';
import { count } from '../../model/plan.ts';

export default class MigrateBaseline extends OperatorCommand {
  static override summary = 'Adopt a database that has its schema already';
  static override description =
    'Replays the migrations up to --to into a scratch database; if they make the schema that is there, they are recorded as applied without being run.';
  static override examples = ['<%= config.bin %> migrate baseline --dir db/migrations --to 0041_orders'];
  static override flags = {
    ...folderFlag,
    ...databaseFlag,
    to: Flags.string({ description: 'the last migration the database has', helpValue: 'ID', required: true }),
  };
  protected override interruptRemark = '\nStopping; the scratch database is dropped first.';

  async run(): Promise<{ baseline: string[] }> {
    const { flags } = await this.parse(MigrateBaseline);
    this.environment = environmentOf(flags, (text) => this.warning(text));
    const migrations = await readMigrations(folderOf(flags));
    const recorded = await baseline(await this.context.databaseSettings(), migrations, flags.to, {
      engineVersion: this.config.version,
      searchPath: searchPathOf(flags),
      signal: this.context.signal,
      onStep: (text) => this.say(text),
      onRemark: (text) => this.warning(text),
    });
    this.answer(
      `The schema is the one that ${count(recorded.length, 'migration')} make: recorded as applied, up to ${flags.to}.`,
    );
    return { baseline: recorded };
  }
}
