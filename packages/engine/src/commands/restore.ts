import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { bundleName, findBackup, listBackups } from '../backup/catalog.ts';
import { identitiesOf, placesOf } from '../backup/installation.ts';
import { megabytes } from '../backup/make.ts';
import { type BundleFile, type CheckedBundle, checkBundle } from '../backup/read.ts';
import { type RestoreNames, type Site, siteOf } from '../backup/site.ts';
import { bundleOfFile } from '../backup/steps.ts';
import { OperatorCommand } from '../cli/base-command.ts';
import { assertStarted } from '../cli/lifecycle.ts';
import { askText } from '../cli/prompts.ts';
import { givenSecret } from '../cli/secret-input.ts';
import { showPlan } from '../cli/show-plan.ts';
import { listMigrationIds } from '../migrations/files.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { Observation } from '../model/observation.ts';
import type { Plan } from '../model/plan.ts';
import { planRestore, type RestoreGoal, type RestorePart, replaceDatabase } from '../plan/restore.ts';
import { observe } from '../run/observe.ts';

const PARTS: RestorePart[] = ['database', 'objects', 'config'];

export default class Restore extends OperatorCommand {
  static override summary = 'Put a backup in the place of the live data, which is kept beside it';
  static override description =
    'The backup is loaded and compared beside the live data first; only then are the two exchanged, in one transaction.';
  static override examples = [
    '<%= config.bin %> restore latest',
    '<%= config.bin %> restore backups/kg-20261123T031500Z-a1b2c3.tar.age --kit-file kit.txt',
    '<%= config.bin %> restore latest --only config --dry-run',
  ];
  static override args = {
    backup: Args.string({ description: 'file, id, its beginning, or latest', required: true }),
  };
  static override flags = {
    only: Flags.string({ description: 'only this part', options: PARTS }),
    'kit-file': Flags.string({
      description: 'file with the recovery key, for a backup of another installation (or KG_RECOVERY_KEY)',
      helpValue: 'FILE',
    }),
    'passphrase-file': Flags.string({
      description: 'file with the passphrase of the backup (or KG_BACKUP_PASSPHRASE)',
      helpValue: 'FILE',
    }),
    confirm: Flags.string({
      description: "the installation's name, instead of typing it",
      helpValue: 'NAME',
    }),
    'dry-run': Flags.boolean({ description: 'read and check the backup, show the plan, and change nothing' }),
  };

  async run(): Promise<{ plan: Plan; backup: string; restored: boolean; previousDatabase: string | null }> {
    const { args, flags } = await this.parse(Restore);
    const site = siteOf(this.context);
    const only = (flags.only as RestorePart | undefined) ?? null;
    const replaces = only === null || only === 'database';
    if (replaces) await site.assertReplaceable();
    await this.#takeKeys(flags);
    const { backup } = this.context;
    backup.file = await this.#find(args.backup);
    this.say('Reading and checking the whole backup; nothing is changed yet');
    backup.checked = await checkBundle(backup.file);
    await assertKnownSchema(backup.checked);
    const goal = goalOf(site, backup.checked.manifest.id, only);
    const plan = planRestore(await this.#observe(), goal);
    this.#describe(backup.checked, plan);
    const result = { plan, backup: goal.backup, previousDatabase: replaces ? goal.outgoing : null };
    if (flags['dry-run']) return { ...result, restored: false, previousDatabase: null };
    await this.#confirm(site.name, flags.confirm);
    try {
      await this.runPlan(plan);
      if (replaces) assertStarted(await this.#observe(), { infrastructure: true, application: true });
    } catch (error) {
      if (replaces) await this.#putBack(site, goal, error);
      throw error;
    }
    this.answer(`Restored ${goal.backup} of ${backup.checked.manifest.createdAt}.`);
    if (replaces)
      this.say(
        `What was there before is database ${goal.outgoing}, until ./operator.sh backup prune --previous`,
      );
    return { ...result, restored: true };
  }

  async #takeKeys(flags: {
    'kit-file'?: string | undefined;
    'passphrase-file'?: string | undefined;
  }): Promise<void> {
    const kit = await givenSecret({
      what: 'recovery key',
      variable: 'KG_RECOVERY_KEY',
      file: flags['kit-file'],
      fileFlag: '--kit-file',
    });
    if (kit) this.context.backup.recovery = [kit.secret];
    const passphrase = await givenSecret({
      what: 'passphrase',
      variable: 'KG_BACKUP_PASSPHRASE',
      file: flags['passphrase-file'],
      fileFlag: '--passphrase-file',
    });
    this.context.backup.passphrase = passphrase?.secret ?? null;
  }

  async #find(which: string): Promise<BundleFile> {
    const identities = await identitiesOf(this.context);
    if (which.includes('/') || existsSync(which)) return bundleOfFile(resolve(which), identities);
    const warn = (reason: OperatorError) => this.warning(reason.message);
    const places = await placesOf(this.context, warn);
    const found = findBackup(await listBackups(places, warn), which);
    if (found.state !== 'verified')
      this.warning(`${found.id} is ${found.state}${found.failure ? `: ${found.failure}` : ''}`);
    const holder = places.find(({ name }) => found.destinations.includes(name));
    if (!holder) throw new Error(`${found.id} is nowhere`);
    return { open: () => holder.read(bundleName(found.id)), identities };
  }

  #describe({ manifest }: CheckedBundle, plan: Plan): void {
    const rows = manifest.database.tables.reduce((sum, table) => sum + table.rows, 0);
    this.answer(
      `${manifest.id}, of ${manifest.createdAt}: ${rows} rows, ${manifest.objects.count} documents (${megabytes(manifest.objects.bytes)}), schema ${manifest.schemaHead ?? '-'}, engine ${manifest.engineVersion}`,
    );
    this.answer(showPlan(plan));
  }

  /** Without containers nothing serves while the database is replaced, and nothing has to be stopped or started. */
  async #observe(): Promise<Observation> {
    const observed = await observe(this.context);
    return this.context.settings.mode === 'containers' ? observed : { ...observed, services: [] };
  }

  async #confirm(name: string, given: string | undefined): Promise<void> {
    const answer = given ?? (this.interactive ? await askText(`Type ${name} to go on`, '') : '');
    if (answer === name) return;
    throw new OperatorError('NOT_CONFIRMED', 'not confirmed, and nothing was changed', {
      exitCode: EXIT.usage,
      hint: `type the installation's name, or give --confirm ${name}`,
    });
  }

  /** After the swap something failed: the data from before comes back, and the restored one is kept for a look. */
  async #putBack(site: Site, { backup, outgoing, failed }: Goal, cause: unknown): Promise<void> {
    if (!(await site.previous()).some(({ name }) => name === outgoing)) return; // not swapped: nothing has changed
    this.say('The platform does not run on what was restored: putting back what was there');
    const steps = replaceDatabase(await this.#observe(), { incoming: outgoing, outgoing: failed });
    await this.runPlan({
      goal: `put back the data from before ${backup}`,
      steps,
      warnings: [],
      destructive: true,
    });
    throw new OperatorError(
      'RESTORE_UNDONE',
      `the platform did not run on what was restored (${messageOf(cause)}); what was there before serves again`,
      {
        exitCode: EXIT.afterImpact,
        hint: `the restored data is database ${failed}; see ./operator.sh logs api`,
        cause,
      },
    );
  }
}

type Goal = RestoreGoal & RestoreNames;

function goalOf(site: Site, backup: string, only: RestorePart | null): Goal {
  const random = randomBytes(4).toString('hex');
  const at = new Date()
    .toISOString()
    .replace(/[-:]|\.\d+Z/g, '')
    .toLowerCase();
  return { backup, only, ...site.names(at, random) };
}

/** @throws OperatorError SCHEMA_NEWER */
async function assertKnownSchema({ manifest }: CheckedBundle): Promise<void> {
  const { schemaHead, engineVersion } = manifest;
  if (schemaHead === null || (await listMigrationIds()).includes(schemaHead)) return;
  throw new OperatorError(
    'SCHEMA_NEWER',
    `the backup has schema ${schemaHead}, which this engine does not know`,
    {
      exitCode: EXIT.schema,
      hint: `use engine ${engineVersion} or newer; nothing was changed`,
    },
  );
}
