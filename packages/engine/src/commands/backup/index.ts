import { Flags } from '@oclif/core';
import { findBackup, type ListedBackup, listBackups } from '../../backup/catalog.ts';
import { backupFolder, copiesGoTo, localDestination, newBackupId } from '../../backup/installation.ts';
import { readBackupSettings } from '../../backup/settings.ts';
import { assertBackupSpace } from '../../backup/space-needs.ts';
import { OperatorCommand } from '../../cli/base-command.ts';
import { failedBackup } from '../../cli/failed-backup.ts';
import { askForKit, newKit, showKit, storeKit } from '../../cli/recovery-kit.ts';
import { givenSecret } from '../../cli/secret-input.ts';
import { showPlan } from '../../cli/show-plan.ts';
import { megabytes } from '../../model/disk.ts';
import type { Plan } from '../../model/plan.ts';
import { planBackup } from '../../plan/backup.ts';
import { hooksOf } from '../../upgrade/hooks.ts';

export default class Backup extends OperatorCommand {
  static override summary = 'Back up everything, encrypted, and restore it once to prove it';
  static override description =
    'Database, documents, configuration and secrets of one moment, while the platform serves. Opens with the recovery kit, or on this installation. The first one on a terminal makes the kit.';
  static override examples = [
    '<%= config.bin %> backup',
    '<%= config.bin %> backup list',
    '<%= config.bin %> backup schedule "30 3 * * *" && <%= config.bin %> backup retention --last 3 --daily 7 --weekly 4',
  ];
  static override flags = {
    'no-verify': Flags.boolean({ description: 'do not restore it; it stays marked "unverified"' }),
    'passphrase-file': Flags.string({
      description: 'encrypt with the passphrase in this file instead (or KG_BACKUP_PASSPHRASE)',
      helpValue: 'FILE',
    }),
    'dry-run': Flags.boolean({ description: 'show the plan and change nothing' }),
  };

  async run(): Promise<{ plan: Plan; backup: ListedBackup | null }> {
    const { flags } = await this.parse(Backup);
    const passphrase = await givenSecret({
      what: 'passphrase',
      variable: 'KG_BACKUP_PASSPHRASE',
      file: flags['passphrase-file'],
      fileFlag: '--passphrase-file',
    });
    this.context.backup.passphrase = passphrase?.secret ?? null;
    const settings = await readBackupSettings(this.context.configDatabase());
    const folder = backupFolder(this.context.settings);
    const id = newBackupId(this.context);
    const copyTo = await copiesGoTo(this.context);
    const plan = planBackup({
      id,
      verify: !flags['no-verify'],
      copyTo,
      prune: settings.retention !== null,
      hooks: await hooksOf(this.context.settings),
    });
    await assertBackupSpace(this.context, plan);
    if (flags['dry-run']) {
      this.answer(showPlan(plan));
      return { plan, backup: null };
    }
    if (!settings.kit && !this.context.backup.passphrase) await this.#makeKit();
    await this.runPlan(plan, { beside: true }).catch((error) => {
      throw failedBackup(error);
    });
    const made = findBackup(await listBackups([localDestination(this.context)]), id);
    const backup = { ...made, destinations: [...made.destinations, ...copyTo] };
    const { rows, vertices, edges, objects } = backup.counts;
    this.answer(`${backup.id}: ${megabytes(backup.size)}, ${backup.state}; written in ${backup.seconds} s`);
    this.say(`${rows} rows, ${vertices} vertices, ${edges} edges, ${objects} objects; ${folder}`);
    if (copyTo.length === 0)
      this.say('It is on this host only: ./operator.sh backup destination add keeps copies elsewhere');
    return { plan, backup };
  }

  /** Before the first backup: later ones would open with the kit, but not this one. */
  async #makeKit(): Promise<void> {
    if (!this.interactive) {
      this.warning(
        "there is no recovery kit: this backup opens only with this installation's .env. Make one: ./operator.sh backup kit new",
      );
      return;
    }
    this.say('There is no recovery kit yet. It opens your backups on any host, and only you have it:');
    const kit = await newKit(this.context);
    showKit(kit);
    await askForKit(kit);
    await storeKit(this.context, kit, { confirmed: true });
    this.say('The recovery kit is confirmed.');
  }
}
