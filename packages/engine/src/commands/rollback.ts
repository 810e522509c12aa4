import { Flags } from '@oclif/core';
import { age, minute } from '../cli/age.ts';
import { ChangeCommand, type ChangeResult, targetOf } from '../cli/change-command.ts';
import { askConfirmation, askText } from '../cli/prompts.ts';
import { showPlan } from '../cli/show-plan.ts';
import { runsOf } from '../history/runs.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import { beginChange, environmentOf } from '../upgrade/begin.ts';
import { type Earlier, findEarlier } from '../upgrade/earlier.ts';
import { type Back, planBack } from '../upgrade/way-back.ts';

export default class Rollback extends ChangeCommand {
  static override summary = 'Go back to the release before, with its data if the schema asks for it';
  static override description =
    'Where the older application runs on the schema as it is, only images change, while it serves. Where it does not, the data goes back as well: to the copy kept by the upgrade, or to its backup; what was written since is put aside.';
  static override examples = [
    '<%= config.bin %> rollback',
    '<%= config.bin %> rollback --to 1.0.0 --dry-run',
    '<%= config.bin %> rollback --confirm kg',
  ];
  static override flags = {
    to: Flags.string({ description: 'this version; by default the one before', helpValue: 'VERSION' }),
    backup: Flags.string({
      description: 'where the data has to go back: take this backup',
      helpValue: 'ID',
    }),
    confirm: Flags.string({
      description: "the installation's name, instead of typing it, where the data goes back",
      helpValue: 'NAME',
    }),
    'dry-run': Flags.boolean({ description: 'show the plan, and change nothing' }),
    attach: Flags.boolean({
      description: 'show the rollback that is under way, or how the last one ended',
      exclusive: ['to', 'backup', 'confirm', 'dry-run'],
    }),
  };

  async run(): Promise<ChangeResult> {
    const { flags } = await this.parse(Rollback);
    this.requireReleases();
    if (flags.attach) return await this.watch((await this.lastChange()).id);
    const open = await this.openChange();
    if (open?.running) return await this.watch(open.run.id);
    if (open?.run.change?.kind === 'rollback' && open.run.change.undoes === null && !flags.to) {
      await this.goOn(open.run);
      return await this.watch(open.run.id);
    }
    const runs = runsOf(await this.context.journal.read());
    const report = (line: string) => this.say(line);
    const earlier = await findEarlier(this.context, runs, flags, report);
    const undoes = open?.run.change?.kind === 'upgrade';
    const back = await planBack(this.context, { ...earlier, undoes }, report);
    const { plan, change } = back;
    const result = {
      plan,
      run: null,
      from: change.from.version,
      to: targetOf(change),
      downtimeSeconds: null,
    };
    if (flags['dry-run']) {
      this.answer(showPlan(plan));
      return result;
    }
    if (!(await this.#confirmed(back, earlier, flags))) {
      this.answer('Nothing was changed.');
      return result;
    }
    const id = await beginChange(this.context, {
      command: `${this.config.bin} ${this.commandName()}`,
      plan,
      change: { ...change, environment: environmentOf() },
      instead: open?.run ?? null,
    });
    return await this.watch(id);
  }

  /** Where data goes back, the installation's name is typed; a script gives it. @throws OperatorError SCHEMA_NOT_ACCEPTED */
  async #confirmed(
    { plan, change, reason }: Back,
    { data }: Earlier,
    flags: { to?: string | undefined; confirm?: string | undefined },
  ): Promise<boolean> {
    const { project } = this.context.settings;
    for (const warning of plan.warnings) this.warning(warning);
    if (reason === null || data === null) {
      if (!this.interactive) return true;
      this.say(showPlan({ ...plan, warnings: [] }));
      return askConfirmation(`Go back to ${targetOf(change)}?`);
    }
    const window = `what was written since ${minute(data.at)} UTC (${age(data.at)}) is put aside`;
    if (flags.confirm === project) return true;
    if (flags.confirm !== undefined || !this.interactive)
      throw new OperatorError('SCHEMA_NOT_ACCEPTED', reason, {
        exitCode: EXIT.schema,
        details: showPlan(plan).split('\n'),
        hint: `the data would go back, too, and ${window}: ./operator.sh rollback${flags.to ? ` --to ${flags.to}` : ''} --confirm ${project}`,
      });
    this.say(showPlan({ ...plan, warnings: [] }));
    this.say(`${reason}. The data goes back as well: ${window}.`);
    return (await askText(`Type ${project} to go back`, '')) === project;
  }
}
