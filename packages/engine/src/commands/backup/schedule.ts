import { Args, Flags } from '@oclif/core';
import { checkCron } from '../../backup/schedule.ts';
import { nextScheduled, readDue, writeDue } from '../../backup/scheduler.ts';
import { type BackupSettings, changeBackupSettings, readBackupSettings } from '../../backup/settings.ts';
import { minute } from '../../cli/age.ts';
import { OperatorCommand } from '../../cli/base-command.ts';
import { commandActor } from '../../config/actor.ts';
import { EXIT, OperatorError } from '../../model/errors.ts';

export default class BackupSchedule extends OperatorCommand {
  static override summary = 'Make backups by themselves: show, set or switch off when';
  static override description =
    'Five fields of cron, in UTC. The operator container makes them; no cron of the host is needed.';
  static override examples = [
    '<%= config.bin %> backup schedule',
    '<%= config.bin %> backup schedule "30 3 * * *"',
    '<%= config.bin %> backup schedule off',
  ];
  static override args = { when: Args.string({ description: 'minute hour day month weekday, or off' }) };
  static override flags = {
    jitter: Flags.integer({
      description: 'put off by up to so many seconds, so that many hosts do not meet at one store',
      helpValue: 'SECONDS',
      min: 0,
      max: 86_400,
      default: 600,
    }),
  };

  async run(): Promise<{ schedule: BackupSettings['schedule']; next: string | null }> {
    const { args, flags } = await this.parse(BackupSchedule);
    const db = this.context.configDatabase();
    if (args.when !== undefined) {
      if (args.when !== 'off' && this.context.settings.mode !== 'containers') throw noScheduler();
      if (args.when !== 'off') checkCron(args.when);
      const schedule = args.when === 'off' ? null : { cron: args.when, jitterSeconds: flags.jitter };
      await changeBackupSettings(db, { actor: commandActor() }, 'schedule', (settings) => ({
        ...settings,
        schedule,
      }));
      await writeDue(this.context, await nextScheduled(this.context, schedule));
    }
    const { schedule } = await readBackupSettings(db);
    const next = schedule && ((await readDue(this.context)) ?? (await nextScheduled(this.context, schedule)));
    this.answer(
      schedule
        ? `Backups are made at "${schedule.cron}" (UTC), put off by up to ${schedule.jitterSeconds} s; next: ${next ? `${minute(next)} UTC` : 'never'}`
        : 'Backups are made only by hand: ./operator.sh backup schedule "30 3 * * *"',
    );
    return { schedule, next: next?.toISOString() ?? null };
  }
}

function noScheduler(): OperatorError {
  return new OperatorError(
    'NEEDS_CONTAINERS',
    'scheduled backups are made by the operator container, and here is none',
    {
      exitCode: EXIT.precondition,
      hint: 'let this machine make them, for example by a line of its crontab: 30 3 * * * cd FOLDER && kg-operator backup',
    },
  );
}
