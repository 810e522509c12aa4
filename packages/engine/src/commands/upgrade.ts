import { Flags } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.ts';
import { askConfirmation } from '../cli/prompts.ts';
import { showPlan } from '../cli/show-plan.ts';
import type { Run } from '../history/runs.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Observation } from '../model/observation.ts';
import { takeLock } from '../run/lock.ts';
import { observe } from '../run/observe.ts';
import { beginChange, environmentOf } from '../upgrade/begin.ts';
import { type Finding, preflight } from '../upgrade/preflight.ts';
import { type PreparedUpgrade, prepareUpgrade, type UpgradeWish } from '../upgrade/prepare.ts';

type UpgradeFlags = Omit<UpgradeWish, 'backup'> & { 'no-backup': boolean; 'dry-run': boolean };

export default class Upgrade extends ChangeCommand {
  static override summary = 'Upgrade to a newer release, and go back by itself if it is not healthy';
  static override description =
    'Checks everything first, pulls images by digest, makes a backup and restores it once. It runs in a container of its own: a closed terminal does not stop it, and the same command goes on with one that was cut off.';
  static override examples = [
    '<%= config.bin %> upgrade',
    '<%= config.bin %> upgrade --to 1.2.0 --dry-run',
    '<%= config.bin %> upgrade --from ./kg-1.2.0.tar',
    '<%= config.bin %> upgrade --attach',
  ];
  static override flags = {
    to: Flags.string({ description: 'this version', helpValue: 'VERSION', exclusive: ['channel'] }),
    channel: Flags.string({ description: 'the newest version of this channel (stable)', helpValue: 'NAME' }),
    from: Flags.string({
      description: 'where releases come from: https://…, a folder, or a bundle',
      helpValue: 'SOURCE',
    }),
    'no-backup': Flags.boolean({ description: 'make no backup; what a migration destroys is lost' }),
    'dry-run': Flags.boolean({ description: 'check, show the plan, and change nothing' }),
    attach: Flags.boolean({
      description: 'show the upgrade that is under way, or how the last one ended',
      exclusive: ['to', 'channel', 'from', 'no-backup', 'dry-run'],
    }),
  };

  async run(): Promise<ChangeResult> {
    const { flags } = await this.parse(Upgrade);
    this.requireReleases();
    if (flags.attach) return await this.watch((await this.lastChange()).id);
    const open = await this.openChange();
    if (open) {
      assertSame(open.run, flags.to);
      if (!open.running) await this.goOn(open.run);
      return await this.watch(open.run.id);
    }
    const { observed, prepared } = await this.#prepare(flags);
    const { installed, target, plan } = prepared;
    const result = { plan, run: null, from: installed, to: target, downtimeSeconds: null };
    if (prepared.hops.length === 0) {
      this.answer(`${installed} is installed already: there is nothing to do.`);
      return result;
    }
    if (flags['dry-run']) {
      this.answer(showPlan(plan));
      return result;
    }
    for (const warning of plan.warnings) this.warning(warning);
    if (this.interactive) {
      this.say(showPlan({ ...plan, warnings: [] }));
      if (!(await askConfirmation(`Upgrade from ${installed} to ${target}?`))) {
        this.answer('Nothing was changed.');
        return result;
      }
    }
    return await this.watch(await this.#begin(observed, prepared));
  }

  /** Of several at once only one goes this far: each needs many processes, and the operator may have so many and no more. */
  async #prepare(flags: UpgradeFlags): Promise<{ observed: Observation; prepared: PreparedUpgrade }> {
    const release = flags['dry-run']
      ? async () => undefined
      : await takeLock(this.context.settings.stateDirectory, this.#command());
    try {
      let observed = await observe(this.context);
      // Twenty commands at once keep a small host busy for longer than a database may take to answer.
      if (!observed.database.reachable) observed = await observe(this.context);
      const prepared = await prepareUpgrade(this.context, observed, {
        ...flags,
        backup: !flags['no-backup'],
      });
      if (prepared.hops.length > 0) await this.#assertReady(observed, prepared);
      return { observed, prepared };
    } finally {
      await release();
    }
  }

  #command(): string {
    return `${this.config.bin} ${this.commandName()}`;
  }

  async #assertReady(observed: Observation, { hops, goal }: PreparedUpgrade): Promise<void> {
    const findings = await preflight(this.context, {
      hops,
      observed,
      pins: goal.from,
      images: [...new Set(goal.hops.flatMap(({ images }) => Object.values(images)))],
      bundle: goal.bundle,
      backup: goal.backup !== null,
    });
    if (findings.length === 0) return;
    throw notReady(findings);
  }

  #begin(observed: Observation, { goal, plan }: PreparedUpgrade): Promise<string> {
    const { database } = observed;
    return beginChange(this.context, {
      command: this.#command(),
      plan,
      change: {
        kind: 'upgrade',
        from: goal.from,
        path: goal.hops.map(({ version, images }) => ({ version, images })),
        head: database.reachable ? database.schema.head : null,
        undoes: null,
        backup: goal.backup?.id ?? null,
        environment: environmentOf(),
      },
    });
  }
}

/** One that was cut off is gone on with; it must not be taken for another one. */
function assertSame(run: Run, to: string | undefined): void {
  const { goal, change } = run;
  if (change?.kind === 'rollback')
    throw new OperatorError(
      'ROLLBACK_UNFINISHED',
      `"${goal}" was begun ${run.startedAt} and is not finished`,
      {
        exitCode: EXIT.precondition,
        hint: './operator.sh rollback goes on with it',
      },
    );
  const target = change?.path.at(-1)?.version;
  if (to === undefined || to === target) return;
  throw new OperatorError('UPGRADE_UNFINISHED', `"${goal}" was begun ${run.startedAt} and is not finished`, {
    exitCode: EXIT.precondition,
    hint: './operator.sh upgrade goes on with it, ./operator.sh rollback goes back',
  });
}

function notReady(findings: Finding[]): OperatorError {
  const [first] = findings as [Finding];
  const rest = findings.length > 1 ? ` and ${findings.length - 1} more` : '';
  return new OperatorError('PREFLIGHT_FAILED', `not ready for an upgrade: ${first.message}${rest}`, {
    exitCode: EXIT.precondition,
    details: findings.map(({ code, message, fix }) => `${code}: ${message}. ${fix}`),
    hint: 'nothing was changed; mend these, then the same command again',
  });
}
