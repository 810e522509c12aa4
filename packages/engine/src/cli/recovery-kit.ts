import { Secret } from '@kg-operator/config';
import { newIdentity } from '../backup/age.ts';
import { type BackupSettings, changeBackupSettings } from '../backup/settings.ts';
import { commandActor } from '../config/actor.ts';
import type { RunContext } from '../run/context.ts';
import { askSecret } from './prompts.ts';

export type Kit = NonNullable<BackupSettings['kit']>;

export interface NewKit {
  identity: Secret;
  recipient: string;
  createdAt: string;
  /** What its owner keeps: an age identity file. */
  text: Secret;
}

/** A new recovery kit; it is nowhere yet. */
export async function newKit({ settings, clock }: RunContext): Promise<NewKit> {
  const { identity, recipient } = await newIdentity();
  const createdAt = clock.date().toISOString();
  const text = [
    `# Recovery kit of ${settings.project}, ${createdAt}. It opens every backup made from then on.`,
    '# Keep it away from this host. Restore: ./operator.sh restore FILE --kit-file THIS; by hand: age -d -i THIS BACKUP | tar t',
    `# public key: ${recipient}`,
    identity.reveal(),
    '',
  ].join('\n');
  return { identity, recipient, createdAt, text: new Secret(text) };
}

/** Shows it on the terminal, once. */
export function showKit({ text }: NewKit): void {
  process.stderr.write(
    `\n${text.reveal()}\nWrite it down or print it now: it is not stored, and not shown again.\n\n`,
  );
}

/** Waits until it is typed or pasted from the owner's copy. */
export async function askForKit({ identity }: NewKit): Promise<void> {
  await askSecret(
    'Type or paste the line that begins with AGE-SECRET-KEY-1, from your copy',
    (again) => keyIn(again).reveal() === identity.reveal() || 'that is not it',
  );
}

/** From now on backups are made for it, too. Only its public half is stored. */
export async function storeKit(
  context: RunContext,
  { recipient, createdAt }: NewKit,
  { confirmed }: { confirmed: boolean },
): Promise<Kit> {
  const kit = { recipient, createdAt, confirmedAt: confirmed ? context.clock.date().toISOString() : null };
  await changeBackupSettings(context.configDatabase(), { actor: commandActor() }, 'kit', (settings) => ({
    ...settings,
    kit,
  }));
  return kit;
}

/** The first key of a kit file, or the text itself. */
export function keyIn(text: Secret): Secret {
  const [first = new Secret(text.reveal().trim())] = keysIn(text);
  return first;
}

/** Every key of a kit file: kits of several years may stand in one. */
export function keysIn(text: Secret): Secret[] {
  return text
    .reveal()
    .split('\n')
    .map((line) => line.trim().toUpperCase())
    .filter((line) => line.startsWith('AGE-SECRET-KEY-1'))
    .map((line) => new Secret(line));
}
