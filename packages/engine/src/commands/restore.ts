import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { needsContainers } from '../adapters/host-process.ts';
import type { DumpFile } from '../backup/dump-file.ts';
import { type CheckedBundle, checkBundle } from '../backup/read.ts';
import { newNames } from '../backup/restore-names.ts';
import { assertRestorable } from '../backup/restore-preflight.ts';
import { syncDue } from '../backup/scheduler.ts';
import { type Site, siteOf } from '../backup/site.ts';
import { assertDumpSpace } from '../backup/space-needs.ts';
import { forgetExchange } from '../backup/unfinished.ts';
import { minute } from '../cli/age.ts';
import { OperatorCommand } from '../cli/base-command.ts';
import { assertStarted } from '../cli/lifecycle.ts';
import { findPrevious } from '../cli/previous.ts';
import { askText } from '../cli/prompts.ts';
import { recoverFrom } from '../cli/restore-recovery.ts';
import {
  assertHolds,
  dumpKey,
  dumpWarnings,
  findSource,
  type KeyFlags,
  takeKeys,
} from '../cli/restore-source.ts';
import { showPlan } from '../cli/show-plan.ts';
import { megabytes } from '../model/disk.ts';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { Observation } from '../model/observation.ts';
import type { Plan } from '../model/plan.ts';
import {
  planConversion,
  planRestore,
  planReturn,
  type RestoreGoal,
  type RestorePart,
} from '../plan/restore.ts';
import { observe } from '../run/observe.ts';

const PARTS: RestorePart[] = ['database', 'objects', 'config'];

export interface RestoreResult {
  plan: Plan;
  /** The backup's id; the name of a file of pg_dump; or of the database that was put back. */
  backup: string;
  restored: boolean;
  /** What was live before, if it was exchanged. */
  previousDatabase: string | null;
}

interface RestoreFlags extends KeyFlags {
  only?: string | undefined;
  confirm?: string | undefined;
  'dry-run': boolean;
}

export default class Restore extends OperatorCommand {
  static override summary = 'Put a backup in the place of the live data, which is kept beside it';
  static override description =
    'The backup is loaded and compared beside the live data first; only then are the two exchanged, in one transaction. A file of pg_dump is taken too; it holds the database alone.';
  static override examples = [
    '<%= config.bin %> restore latest',
    '<%= config.bin %> restore backups/kg-20261123T031500Z-a1b2c3.tar.age --kit-file kit.txt',
    '<%= config.bin %> restore latest --only config --dry-run',
    '<%= config.bin %> restore ./backup.sql',
    '<%= config.bin %> restore --previous',
  ];
  static override args = {
    backup: Args.string({
      description: 'file, id, its beginning, or latest; with --previous the name of a database',
    }),
  };
  static override flags = {
    only: Flags.string({ description: 'only this part', options: PARTS, exclusive: ['previous'] }),
    previous: Flags.boolean({
      description:
        'the way back: exchange the live database with the one that the last restore has put aside',
    }),
    'kit-file': Flags.string({
      description: 'file with the recovery key, for a backup of another installation (or KG_RECOVERY_KEY)',
      helpValue: 'FILE',
    }),
    'passphrase-file': Flags.string({
      description: 'file with the passphrase of the backup (or KG_BACKUP_PASSPHRASE)',
      helpValue: 'FILE',
    }),
    'encryption-key-file': Flags.string({
      description:
        'file with the ENCRYPTION_KEY of a pg_dump of another installation, or its .env (or KG_DUMP_ENCRYPTION_KEY)',
      helpValue: 'FILE',
    }),
    confirm: Flags.string({
      description: "the installation's name, instead of typing it",
      helpValue: 'NAME',
    }),
    'dry-run': Flags.boolean({ description: 'read and check the backup, show the plan, and change nothing' }),
  };

  async run(): Promise<RestoreResult> {
    const { args, flags } = await this.parse(Restore);
    if (flags.previous) return await this.#goBack(args.backup, flags);
    if (args.backup === undefined)
      throw new OperatorError('INPUT_MISSING', 'which backup?', {
        exitCode: EXIT.usage,
        hint: 'give a file, an id of ./operator.sh backup list, latest, or --previous',
      });
    if (!flags['dry-run']) await this.requireNoUnfinishedChange();
    await takeKeys(this.context, flags);
    try {
      const result = await this.#restore(args.backup, flags);
      if (result.restored) await syncDue(this.context);
      return result;
    } finally {
      const made = this.context.backup.dump?.converted;
      if (made !== undefined) await rm(made, { force: true });
    }
  }

  async #restore(which: string, flags: RestoreFlags): Promise<RestoreResult> {
    const { backup } = this.context;
    const site = siteOf(this.context);
    const only = (flags.only as RestorePart | undefined) ?? null;
    if (only === null || only === 'database') await site.assertReplaceable();
    const source = await findSource(this.context, which, (text) => this.warning(text));
    if ('dump' in source) await this.#convert(source.dump, flags);
    else {
      backup.file = source.bundle;
      this.say('Reading and checking the whole backup; nothing is changed yet');
      backup.checked = await checkBundle(backup.file);
    }
    if (!backup.checked) throw new Error('the backup was not read');
    const goal = goalOf(site, backup.checked.manifest.id, backup.dump ? (only ?? 'database') : only);
    await assertRestorable(this.context, backup.checked, goal.only);
    const observed = await this.#observe();
    const plan = planRestore(observed, {
      ...goal,
      warnings: backup.dump ? dumpWarnings(backup.dump) : [],
    });
    this.#describe(backup.checked, plan);
    const replaces = goal.only === null || goal.only === 'database';
    const result = { plan, backup: goal.backup, previousDatabase: replaces ? goal.outgoing : null };
    if (flags['dry-run']) return { ...result, restored: false, previousDatabase: null };
    await this.#confirm(site.name, flags.confirm);
    if (replaces) await this.#exchange(site, plan, { before: observed, ...goal });
    else await this.runPlan(plan);
    this.answer(`Restored ${goal.backup} of ${minute(new Date(backup.checked.manifest.createdAt))} UTC.`);
    for (const role of backup.createdRoles ?? [])
      this.warning(
        `the role ${role} was made, without a password: it can't log in until ./operator.sh psql gives it one`,
      );
    if (replaces) this.#tellPrevious(goal.outgoing);
    return { ...result, restored: true };
  }

  /** A file of pg_dump becomes a bundle first, by way of a PostgreSQL of its own: only then is it known what is in it. */
  async #convert(file: DumpFile, flags: RestoreFlags): Promise<void> {
    if (this.context.settings.mode !== 'containers') throw needsContainers('restoring a file of pg_dump');
    assertHolds(file, flags.only as RestorePart | undefined);
    await assertDumpSpace(this.context, file);
    this.context.backup.dump = { file, encryptionKey: await dumpKey(flags), missingDocuments: 0 };
    this.say(`${basename(file.path)} is of pg_dump; nothing is changed yet`);
    await this.runPlan(planConversion(basename(file.path)));
  }

  async #goBack(name: string | undefined, flags: RestoreFlags): Promise<RestoreResult> {
    const site = siteOf(this.context);
    await site.assertReplaceable();
    const incoming = await findPrevious(this.context, name);
    const { outgoing } = goalOf(site, incoming, null);
    const observed = await this.#observe();
    const plan = planReturn(observed, { incoming, outgoing });
    this.answer(showPlan(plan));
    const result = { plan, backup: incoming, restored: false, previousDatabase: null };
    if (flags['dry-run']) return result;
    await this.#confirm(site.name, flags.confirm);
    await this.#exchange(site, plan, { before: observed, incoming, outgoing });
    await syncDue(this.context);
    this.answer(`Database ${incoming} is the live one again.`);
    this.#tellPrevious(outgoing);
    return { ...result, restored: true, previousDatabase: outgoing };
  }

  /** Without containers nothing serves while the database is replaced, and nothing has to be stopped or started. */
  async #observe(): Promise<Observation> {
    const observed = await observe(this.context);
    return this.context.settings.mode === 'containers' ? observed : { ...observed, services: [] };
  }

  async #exchange(
    site: Site,
    plan: Plan,
    swap: { before: Observation; incoming: string; outgoing: string },
  ): Promise<void> {
    const { settings, signal } = this.context;
    try {
      await this.runPlan(plan);
      assertStarted(await this.#observe(), { infrastructure: true, application: true });
      await forgetExchange(settings.stateDirectory, swap.outgoing);
    } catch (error) {
      await recoverFrom(
        {
          name: site.name,
          prefixes: site.prefixes,
          signal,
          ...swap,
          observe: () => this.#observe(),
          isThere: async (database) => {
            await site.answers();
            return (await site.previous()).some(({ name }) => name === database);
          },
          run: (next) => this.runPlan(next),
          say: (text) => this.say(text),
          settled: () => forgetExchange(settings.stateDirectory, swap.outgoing),
        },
        error,
      );
    }
  }

  #tellPrevious(database: string): void {
    this.say(
      `What was there before is database ${database}, until ./operator.sh backup prune --previous; the way back: ./operator.sh restore --previous`,
    );
  }

  #describe({ manifest }: CheckedBundle, plan: Plan): void {
    const { tables, graphs } = manifest.database;
    const rows = tables.reduce((sum, table) => sum + table.rows, 0);
    const documents = this.context.backup.dump
      ? graphs
          .map(({ name, vertices, edges }) => `graph ${name} with ${vertices} vertices and ${edges} edges`)
          .join(', ')
      : `${manifest.objects.count} documents (${megabytes(manifest.objects.bytes)})`;
    this.answer(
      `${manifest.id}, of ${minute(new Date(manifest.createdAt))} UTC: ${rows} rows, ${documents}, schema ${manifest.schemaHead ?? '-'}, engine ${manifest.engineVersion}`,
    );
    this.answer(showPlan(plan));
  }

  async #confirm(name: string, given: string | undefined): Promise<void> {
    const answer = given ?? (this.interactive ? await askText(`Type ${name} to go on`, '') : '');
    if (answer === name) return;
    throw new OperatorError('NOT_CONFIRMED', 'not confirmed, and nothing was changed', {
      exitCode: EXIT.usage,
      hint: `type the installation's name, or give --confirm ${name}`,
    });
  }
}

function goalOf(site: Site, backup: string, only: RestorePart | null): RestoreGoal {
  return { backup, only, ...newNames(site.prefixes) };
}
