import { open, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Secret } from '@kg-operator/config';
import { Flags } from '@oclif/core';
import { type BackupSettings, readBackupSettings } from '../../../backup/settings.ts';
import { OperatorCommand } from '../../../cli/base-command.ts';
import { askForKit, newKit, showKit, storeKit } from '../../../cli/recovery-kit.ts';
import { EXIT, messageOf, OperatorError } from '../../../model/errors.ts';

export default class BackupKitNew extends OperatorCommand {
  static override summary = 'Make a recovery kit: shown once, and kept by you';
  static override examples = [
    '<%= config.bin %> backup kit new',
    '<%= config.bin %> backup kit new --export recovery-kit.txt',
  ];
  static override flags = {
    export: Flags.string({
      description: 'write it to this new file (0600) instead of showing it',
      helpValue: 'FILE',
    }),
  };

  async run(): Promise<{ kit: BackupSettings['kit']; file: string | null }> {
    const { flags } = await this.parse(BackupKitNew);
    const db = this.context.configDatabase();
    const before = (await readBackupSettings(db)).kit;
    if (before && !this.globals.yes)
      throw new OperatorError(
        'KIT_EXISTS',
        `there is a recovery kit already, of ${before.createdAt.slice(0, 10)}`,
        {
          exitCode: EXIT.precondition,
          hint: 'another one opens only backups made from then on, and the old one stays needed for the older ones; --yes makes it',
        },
      );
    if (!flags.export && !this.interactive && !this.globals.yes)
      throw new OperatorError('INPUT_MISSING', 'there is no terminal to show the recovery kit on', {
        exitCode: EXIT.usage,
        hint: 'write it to a file: --export FILE',
      });
    if (!flags.export && (this.jsonEnabled() || !process.stderr.isTTY))
      throw new OperatorError(
        'INPUT_MISSING',
        'a recovery kit is shown on a terminal, or written to a file',
        {
          exitCode: EXIT.usage,
          hint: '--export FILE',
        },
      );
    const made = await newKit(this.context);
    if (flags.export) await writeNew(resolve(flags.export), made.text);
    else {
      showKit(made);
      if (this.interactive) await askForKit(made);
    }
    const kit = await storeKit(this.context, made, { confirmed: !flags.export && this.interactive }).catch(
      async (error) => {
        // A kit that no backup will be made for must not be taken for one.
        if (flags.export) await rm(resolve(flags.export), { force: true });
        throw error;
      },
    );
    this.answer(
      kit.confirmedAt ? 'The recovery kit is confirmed.' : 'The recovery kit is made, and not confirmed yet.',
    );
    if (flags.export)
      this.say(
        `Move ${flags.export} to another place, then: ./operator.sh backup kit confirm --from-file COPY`,
      );
    return { kit, file: flags.export ?? null };
  }
}

async function writeNew(path: string, text: Secret): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(text.reveal());
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new OperatorError('NOT_WRITTEN', `the recovery kit was not written: ${messageOf(error)}`, {
      exitCode: EXIT.precondition,
      hint: 'give a file beneath the installation that does not exist yet',
      cause: error,
    });
  }
}
