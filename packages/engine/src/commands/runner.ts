import { Args, Flags } from '@oclif/core';
import { OperatorCommand } from '../cli/base-command.ts';
import { toOperatorError } from '../cli/errors.ts';
import { continueChange, openChange } from '../upgrade/begin.ts';
import { runChange } from '../upgrade/run-change.ts';

// Somebody should look at what fails again and again.
const MOST_RESUMES = 5;

/** Not for people: what the container of an upgrade runs. */
export default class RunnerCommand extends OperatorCommand {
  static override hidden = true;
  static override summary = 'Go on with an upgrade or rollback';
  static override args = { run: Args.string({ description: 'id of the run' }) };
  static override flags = {
    resume: Flags.boolean({ description: 'start a runner for what was cut off, if nobody is at it' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(RunnerCommand);
    if (args.run !== undefined) await runChange(this.context, args.run, { explain: toOperatorError });
    else if (flags.resume) await this.#resume();
  }

  /** When the operator starts: the host or Docker may have been restarted in the middle. */
  async #resume(): Promise<void> {
    const open = await openChange(this.context);
    // A hand-over counts as well.
    const most = MOST_RESUMES + (open?.change?.path.length ?? 0);
    if (!open || open.continued > most || (await this.context.runner.current())) return;
    this.say(`Going on with "${open.goal}", begun ${open.startedAt}`);
    await continueChange(this.context, open);
  }
}
