import { Flags } from '@oclif/core';
import { OperatorCommand } from '../cli/base-command.ts';
import { showPlan } from '../cli/show-plan.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Plan } from '../model/plan.ts';
import { planStop } from '../plan/stop.ts';
import { observe } from '../run/observe.ts';

export default class Stop extends OperatorCommand {
  static override summary = 'Stop the platform, application first; data stays';
  static override examples = [
    '<%= config.bin %> stop',
    '<%= config.bin %> stop --keep-infra',
    '<%= config.bin %> stop web',
  ];
  static override strict = false;
  static override flags = {
    'keep-infra': Flags.boolean({ description: 'leave the infrastructure running' }),
    'dry-run': Flags.boolean({ description: 'show the plan and change nothing' }),
  };

  async run(): Promise<{ plan: Plan; stopped: boolean }> {
    const { argv, flags } = await this.parse(Stop);
    this.requireContainers();
    const services = argv as string[];
    const observed = await observe(this.context);
    const unknown = services.find((name) => !observed.services.some((service) => service.name === name));
    if (unknown) {
      throw new OperatorError('SERVICE_UNKNOWN', `there is no service "${unknown}"`, {
        exitCode: EXIT.usage,
        hint: `services: ${observed.services.map(({ name }) => name).join(', ')}`,
      });
    }
    const goal = { keepInfrastructure: flags['keep-infra'], services };
    const plan = planStop(observed, goal);
    if (flags['dry-run']) {
      this.answer(showPlan(plan));
      return { plan, stopped: false };
    }
    await this.runPlan(plan, { beside: true });
    const left = planStop(await observe(this.context), goal).steps;
    if (left.length > 0) {
      throw new OperatorError(
        'STILL_RUNNING',
        `still running: ${left.flatMap((step) => ('services' in step ? step.services : [])).join(', ')}`,
        {
          exitCode: EXIT.unhealthy,
          hint: './operator.sh status',
        },
      );
    }
    this.answer(
      plan.steps.length === 0
        ? 'Nothing was running.'
        : 'Stopped. Data and settings stay; ./operator.sh start brings it back.',
    );
    return { plan, stopped: true };
  }
}
