import { readConfigState } from '@kg-operator/config';
import { Flags } from '@oclif/core';
import { databasesBefore } from '../backup/restore-names.ts';
import { syncDue } from '../backup/scheduler.ts';
import { forgetExchange, unfinishedExchange } from '../backup/unfinished.ts';
import { OperatorCommand } from '../cli/base-command.ts';
import { assertStarted } from '../cli/lifecycle.ts';
import { showPlan } from '../cli/show-plan.ts';
import type { Plan } from '../model/plan.ts';
import { planStart } from '../plan/start.ts';
import { observe } from '../run/observe.ts';
import { presentHooks } from '../upgrade/hooks.ts';

export default class Start extends OperatorCommand {
  static override summary =
    'Start the platform, layer by layer: infrastructure, schema, configuration check, application';
  static override examples = [
    '<%= config.bin %> start',
    '<%= config.bin %> start --infra-only',
    '<%= config.bin %> start --dry-run --json',
  ];
  static override flags = {
    'infra-only': Flags.boolean({ description: 'only infrastructure and schema', exclusive: ['app-only'] }),
    'app-only': Flags.boolean({ description: 'only the application; infrastructure must be up' }),
    'dry-run': Flags.boolean({ description: 'show the plan and change nothing' }),
  };

  async run(): Promise<{ plan: Plan; started: boolean; url?: string }> {
    const { flags } = await this.parse(Start);
    this.requireContainers();
    const goal = { infrastructure: !flags['app-only'], application: !flags['infra-only'] };
    const hooks = await presentHooks(this.context.settings.root);
    const plan = planStart(await observe(this.context), { ...goal, hooks });
    if (flags['dry-run']) {
      this.answer(showPlan(plan));
      return { plan, started: false };
    }
    await this.runPlan(plan);
    assertStarted(await observe(this.context), goal);
    await syncDue(this.context);
    const { web } = this.context.settings.publicUrl;
    if (!goal.application) {
      this.answer('The infrastructure is up, the schema is current.');
      this.say(
        'Next: ./operator.sh config admin (or config claim), config ai-provider, config embedding, then ./operator.sh start --app-only',
      );
      return { plan, started: true };
    }
    this.answer(`The platform is running: ${web}`);
    await this.#tellClaim();
    await this.#tellExchange();
    return { plan, started: true, url: web };
  }

  async #tellClaim(): Promise<void> {
    const { claim } = await readConfigState(this.context.configDatabase());
    if (claim) this.say('Nobody has claimed it yet. Next: ./operator.sh config claim');
  }

  /** A restore was cut off while it exchanged databases. Which one is live shows in the names; the platform runs on it now. */
  async #tellExchange(): Promise<void> {
    const { stateDirectory } = this.context.settings;
    const exchange = await unfinishedExchange(stateDirectory);
    if (!exchange) return;
    const { incoming, outgoing } = exchange;
    const aside = await databasesBefore(await this.context.databaseSettings());
    this.warning(
      aside.some(({ name }) => name === outgoing)
        ? `a restore was cut off: the platform runs on what was ${incoming}; what was live before is database ${outgoing}, and comes back with ./operator.sh restore --previous ${outgoing}`
        : `a restore was cut off before it exchanged anything: the data is as it was`,
    );
    await forgetExchange(stateDirectory, outgoing);
  }
}
