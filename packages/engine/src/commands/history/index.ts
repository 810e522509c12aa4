import { Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { showHistory } from '../../cli/show-history.ts';
import { runsOf } from '../../history/runs.ts';
import { isRoutine, type RunSummary, summaryOf } from '../../history/summary.ts';
import { count } from '../../model/plan.ts';
import { activeRun } from '../../run/active-run.ts';

export interface History {
  /** Newest first. */
  runs: RunSummary[];
  /** How many scheduled backups, all of them well, and how many older runs are not among them. */
  leftOut: { routine: number; older: number };
}

export default class HistoryList extends OperatorCommand {
  static override summary = 'Show what ran here, when, for how long, and what came of it';
  static override description =
    'Scheduled backups that went well are left out unless --all is given: they would hide the rest.';
  static override examples = [
    '<%= config.bin %> history',
    '<%= config.bin %> history --all --limit 100 --json',
  ];
  static override flags = {
    limit: Flags.integer({ description: 'how many runs, the last ones', default: 20, min: 1, max: 10_000 }),
    all: Flags.boolean({ description: 'scheduled backups, too' }),
  };

  async run(): Promise<History> {
    const { flags } = await this.parse(HistoryList);
    const runs = runsOf(await this.context.journal.read());
    const active = await activeRun(this.context, runs);
    const newestFirst = runs.map((run) => ({ run, summary: summaryOf(run, runs, active) })).reverse();
    const wanted = newestFirst.filter(({ run, summary }) => flags.all || !isRoutine(run, summary.result));
    const shown = wanted.slice(0, flags.limit).map(({ summary }) => summary);
    const leftOut = { routine: newestFirst.length - wanted.length, older: wanted.length - shown.length };
    if (shown.length > 0) this.answer(showHistory(shown, runs, this.context.clock.date()));
    else this.say(leftOut.routine > 0 ? 'Only scheduled backups ran.' : 'Nothing ran yet.');
    if (leftOut.older > 0) this.say(`${count(leftOut.older, 'older run')}; --limit shows more.`);
    if (leftOut.routine > 0)
      this.say(`${count(leftOut.routine, 'scheduled backup')} that went well left out; --all shows them.`);
    return { runs: shown, leftOut };
  }
}
