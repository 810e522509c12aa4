import { Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import {
  databaseFlag,
  environmentOf,
  folderFlag,
  folderOf,
  searchPathOf,
} from '../../cli/migration-flags.ts';
import { describeDryRun } from '../../cli/show-dry-run.ts';
import { openSession } from '../../database/session.ts';
import { type DryRunMigration, dryRun } from '../../migrations/dry-run.ts';
import { readMigrations } from '../../migrations/files.ts';
import { parseDuration } from '../../migrations/header.ts';
import { type AppliedNow, type MigrateOptions, migrate } from '../../migrations/migrate.ts';
import { readStatus } from '../../migrations/status.ts';
import { describeBlocker } from '../../migrations/watch.ts';
import { EXIT, OperatorError } from '../../model/errors.ts';
import { count, type Hook } from '../../model/plan.ts';
import { hooksOf, runHook } from '../../upgrade/hooks.ts';

const duration = Flags.custom<number>({
  async parse(text) {
    const ms = parseDuration(text);
    if (ms !== undefined) return ms;
    throw new OperatorError('USAGE', `"${text}" is no time`, {
      exitCode: EXIT.usage,
      hint: 'write it like 30s, 500ms, 5min, 2h or 0',
    });
  },
  helpValue: 'TIME',
});

/** Something that runs longer is announced before it is done. */
const LONG_MS = 1000;

export interface MigrateResult {
  /** Ids, in order; empty after a dry run. */
  applied: string[];
  migrations: AppliedNow[];
  dryRun?: DryRunMigration[];
}

export default class Migrate extends OperatorCommand {
  static override summary = 'Apply pending schema migrations (layer 2)';
  static override description =
    'Each file commits together with its record; the first failure ends the run. With --dir and DATABASE_URL for any PostgreSQL and any folder of NNNN_words.sql.';
  static override examples = [
    '<%= config.bin %> migrate',
    '<%= config.bin %> migrate --dry-run',
    '<%= config.bin %> migrate --dir db/migrations --database-url postgres://app@localhost/app',
  ];

  static override flags = {
    ...folderFlag,
    ...databaseFlag,
    'dry-run': Flags.boolean({
      description: 'run what is pending in a transaction that is rolled back; report locks and rows',
      exclusive: ['accept-drift', 'interrupted'],
    }),
    wait: duration({
      description: 'how long to wait for another runner; default 5min',
    }),
    'lock-timeout': duration({
      description: 'how long a statement may wait for a lock; default 5s',
    }),
    'lock-retry': duration({
      description: 'how long to try again while a lock is not given; default 1min',
    }),
    'statement-timeout': duration({
      description: 'how long a statement may run; default 0, any time',
    }),
    'accept-drift': Flags.string({
      description: 'an applied file has changed, and is right as it is; recorded',
      helpValue: 'ID',
      multiple: true,
      multipleNonGreedy: true,
    }),
    interrupted: Flags.option({
      options: ['done', 'redo'] as const,
      description: 'what became of the statement that a run was interrupted in',
    })(),
  };
  protected override interruptRemark = '\nStopping after the migration that runs; once more to stop at once.';

  async run(): Promise<MigrateResult> {
    const { flags } = await this.parse(Migrate);
    this.environment = environmentOf(flags, (text) => this.warning(text));
    // What a migration was interrupted in may have to be said before an upgrade can go on.
    const own = flags.dir === undefined && flags['database-url'] === undefined;
    if (own && !flags['dry-run'] && !flags.interrupted) await this.requireNoUnfinishedChange();
    const migrations = await readMigrations(folderOf(flags));
    const session = await openSession(await this.context.databaseSettings(), {
      searchPath: searchPathOf(flags),
    });
    const options = this.#options(flags);
    try {
      if (flags['dry-run']) {
        const reports = await dryRun(session, migrations, options);
        for (const line of describeDryRun(reports)) this.answer(line);
        return { applied: [], migrations: [], dryRun: reports };
      }
      const hooks = flags.dir === undefined ? await hooksOf(this.context.settings) : [];
      const isPending = hooks.length > 0 && (await readStatus(session, migrations)).pending.length > 0;
      const runIfThere = async (hook: Hook) => {
        if (isPending && hooks.includes(hook))
          await runHook({ kind: 'run-hook', hook }, this.context, (line) =>
            this.say(`hooks/${hook}: ${line}`),
          );
      };
      await runIfThere('pre-migrate');
      const applied = await migrate(session, migrations, options);
      await runIfThere('post-migrate');
      this.answer(
        applied.length === 0
          ? 'The schema is current.'
          : `Applied ${count(applied.length, 'migration')}; the schema is current.`,
      );
      return { applied: applied.map(({ id }) => id), migrations: applied };
    } finally {
      await session.close();
    }
  }

  #options(flags: {
    wait?: number | undefined;
    'lock-timeout'?: number | undefined;
    'lock-retry'?: number | undefined;
    'statement-timeout'?: number | undefined;
    'accept-drift'?: string[] | undefined;
    interrupted?: 'done' | 'redo' | undefined;
  }): MigrateOptions {
    let announcement: NodeJS.Timeout | undefined;
    return {
      engineVersion: this.config.version,
      waitMs: flags.wait,
      lockTimeoutMs: flags['lock-timeout'],
      lockRetryMs: flags['lock-retry'],
      statementTimeoutMs: flags['statement-timeout'],
      acceptDrift: flags['accept-drift'] ?? [],
      interrupted: flags.interrupted,
      signal: this.context.signal,
      onStart: ({ id }) => {
        clearTimeout(announcement);
        announcement = setTimeout(() => this.say(`Applying ${id} …`), LONG_MS).unref();
      },
      onApplied: ({ id }, durationMs) => {
        clearTimeout(announcement);
        this.say(`Applied ${id} (${durationMs} ms)`);
      },
      onWait: (holder) => this.say(`Waiting for another runner: ${holder}`),
      onBlocked: ({ id }, blockers) =>
        this.say(`${id} waits for a lock: ${blockers.map(describeBlocker).join('; ')}`),
      onRetry: ({ id }, waitMs) =>
        this.say(`${id}: the lock was not given; rolled back, again in ${(waitMs / 1000).toFixed(1)} s`),
      onRemark: (text) => this.say(text),
    };
  }
}
