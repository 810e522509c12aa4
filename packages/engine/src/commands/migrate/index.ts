import { parseDatabaseUrl } from '@kg-operator/config';
import { Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { readMigrations } from '../../migrations/files.ts';
import { migrate } from '../../migrations/migrate.ts';
import { count } from '../../model/plan.ts';

export default class Migrate extends OperatorCommand {
  static override summary = 'Apply pending schema migrations (layer 2)';
  static override examples = ['<%= config.bin %> migrate', '<%= config.bin %> migrate status'];

  static override flags = {
    'database-url': Flags.string({
      description: 'PostgreSQL to migrate; better in the environment, as DATABASE_URL',
      helpValue: 'URL',
    }),
  };

  async run(): Promise<{ applied: string[] }> {
    const { flags } = await this.parse(Migrate);
    const url = flags['database-url'];
    if (url !== undefined) {
      this.environment = { ...process.env, DATABASE_URL: url };
      if (parseDatabaseUrl(url, { POSTGRES_PASSWORD: '-' }).password.reveal() !== '-')
        this.warning(
          'the password in --database-url can be seen in the process list: use DATABASE_URL instead',
        );
    }
    const migrations = await readMigrations();
    const session = await this.context.openSession();
    try {
      const applied = await migrate(session, migrations, {
        engineVersion: this.config.version,
        onStart: ({ id }) => this.say(`Applying ${id}`),
      });
      this.answer(
        applied.length === 0
          ? 'The schema is current.'
          : `Applied ${count(applied.length, 'migration')}; the schema is current.`,
      );
      return { applied: applied.map(({ id }) => id) };
    } finally {
      await session.close();
    }
  }
}
