import { Args, Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { showRun } from '../../cli/show-history.ts';
import { findRun } from '../../history/find.ts';
import { readRunLog } from '../../history/log.ts';
import { type Run, runsOf } from '../../history/runs.ts';
import {
  type ImageChange,
  imageChanges,
  isRoutine,
  type RunSummary,
  type StepReport,
  stepReports,
  summaryOf,
} from '../../history/summary.ts';
import { EXIT, OperatorError } from '../../model/errors.ts';
import { activeRun } from '../../run/active-run.ts';

/** schema/json/history-show.schema.json describes it. */
export interface RunReport {
  run: RunSummary;
  /** The runs that undid it, or that it undid. */
  related: RunSummary[];
  steps: (StepReport & { lines: { at: string; line: string }[] })[];
  /** Upgrades and rollbacks: what each service ran before, and after. */
  images: ImageChange[];
  /** Every version that was walked, the last is the target. */
  path: (string | null)[];
  /** The schema's, when it began. */
  head: string | null;
  /** The backup that was made for it. */
  backup: string | null;
}

export default class HistoryShow extends OperatorCommand {
  static override summary = 'Show one run: every step, what it said, what failed, which images changed';
  static override examples = [
    '<%= config.bin %> history show latest',
    '<%= config.bin %> history show 6a1f0c2d --log',
  ];
  static override args = {
    run: Args.string({ description: 'its id, or the beginning of it; latest: the newest', required: true }),
  };
  static override flags = {
    log: Flags.boolean({ description: 'everything that the steps said, also where it is much' }),
  };

  async run(): Promise<RunReport> {
    const { args, flags } = await this.parse(HistoryShow);
    const runs = runsOf(await this.context.journal.read());
    const active = await activeRun(this.context, runs);
    const run = args.run === 'latest' ? latestOf(runs, active) : findRun(runs, args.run);
    const summary = summaryOf(run, runs, active);
    const log = await readRunLog(this.context.settings.stateDirectory, run.id);
    const report: RunReport = {
      run: summary,
      related: runs
        .filter(({ id }) => id === summary.followedBy || id === summary.undoes)
        .map((one) => summaryOf(one, runs, active)),
      steps: stepReports(run, summary.result).map((step) => ({
        ...step,
        lines: log.filter(({ index }) => index === step.index).map(({ at, line }) => ({ at, line })),
      })),
      images: imageChanges(run),
      path: run.change?.path.map(({ version }) => version) ?? [],
      head: run.change?.head ?? null,
      backup: run.change?.backup ?? null,
    };
    this.answer(showRun(report, runs, { log: flags.log, now: this.context.clock.date() }));
    return report;
  }
}

/** The first that `history` shows. @throws OperatorError RUN_UNKNOWN */
function latestOf(runs: readonly Run[], active: string | null): Run {
  const latest = runs.findLast((run) => !isRoutine(run, summaryOf(run, runs, active).result));
  if (latest) return latest;
  throw new OperatorError('RUN_UNKNOWN', 'nothing ran yet', {
    exitCode: EXIT.usage,
    hint: './operator.sh history --all lists scheduled backups, too',
  });
}
