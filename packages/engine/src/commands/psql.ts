import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { OperatorCommand } from '../cli/base-command.ts';
import { EXIT, OperatorError } from '../model/errors.ts';

export default class Psql extends OperatorCommand {
  static override summary = "Open psql on the platform's database; every argument goes to psql";
  static override examples = [
    '<%= config.bin %> psql',
    '<%= config.bin %> psql -c "SELECT * FROM kg_operator.schema_migrations"',
  ];
  static override strict = false;
  static override enableJsonFlag = false;
  static override flags = {};
  static override baseFlags = {} as typeof OperatorCommand.baseFlags;

  async run(): Promise<void> {
    const { host, port, user, database, password, tls } = await this.context.databaseSettings();
    const child = spawn(
      'psql',
      ['--host', host, '--port', String(port), '--username', user, '--dbname', database, ...this.argv],
      {
        stdio: 'inherit',
        env: {
          ...process.env,
          PGPASSWORD: password.reveal(),
          PGOPTIONS: '-c search_path=public,ag_catalog',
          PGAPPNAME: 'kg-operator psql',
          ...(tls ? { PGSSLMODE: tls === 'verify' ? 'verify-full' : 'require' } : {}),
        },
      },
    );
    child.once('error', () => undefined); // reported below: 'close' follows with a null code, 'error' only without a child
    const [code] = (await Promise.race([once(child, 'close'), once(child, 'error')])) as [
      number | NodeJS.ErrnoException | null,
    ];
    if (code instanceof Error) {
      throw new OperatorError('PSQL_MISSING', 'psql is not installed here', {
        exitCode: EXIT.precondition,
        hint: 'install postgresql-client, or use ./operator.sh psql',
      });
    }
    // psql: 0 ok, 1 its own error, 2 no connection, 3 a script's error: https://www.postgresql.org/docs/17/app-psql.html
    process.exitCode = code ?? EXIT.bug;
  }
}
