import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Flags } from '@oclif/core';
import { newIdentity } from '../../../backup/age.ts';
import { type BackupSettings, changeBackupSettings, readBackupSettings } from '../../../backup/settings.ts';
import { OperatorCommand } from '../../../cli/base-command.ts';
import { askSecret } from '../../../cli/prompts.ts';
import { commandActor } from '../../../config/actor.ts';
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
    const { identity, recipient } = await newIdentity();
    const at = this.context.clock.date().toISOString();
    const text = [
      `# Recovery kit of ${this.context.settings.project}, ${at}. It opens every backup made from then on.`,
      '# Keep it away from this host. Restore: ./operator.sh restore FILE --kit-file THIS; by hand: age -d -i THIS BACKUP | tar t',
      `# public key: ${recipient}`,
      identity.reveal(),
      '',
    ].join('\n');
    let confirmedAt: string | null = null;
    if (flags.export) await writeNew(resolve(flags.export), text);
    else {
      process.stderr.write(
        `\n${text}\nWrite it down or print it now: it is not stored, and not shown again.\n\n`,
      );
      if (this.interactive) {
        await askSecret(
          'Type or paste the line that begins with AGE-SECRET-KEY-1, from your copy',
          (again) => again.reveal().trim().toUpperCase() === identity.reveal() || 'that is not it',
        );
        confirmedAt = at;
      }
    }
    const kit = { recipient, createdAt: at, confirmedAt };
    await changeBackupSettings(db, { actor: commandActor() }, 'kit', (settings) => ({ ...settings, kit }));
    this.answer(
      confirmedAt ? 'The recovery kit is confirmed.' : 'The recovery kit is made, and not confirmed yet.',
    );
    if (flags.export)
      this.say(
        `Move ${flags.export} to another place, then: ./operator.sh backup kit confirm --from-file COPY`,
      );
    return { kit, file: flags.export ?? null };
  }
}

async function writeNew(path: string, text: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(text);
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
