import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { Secret } from '@kg-operator/config';
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { EXIT, OperatorError } from '../model/errors.ts';

/*
 * The age format, version 1 (https://age-encryption.org/v1). The `age` program encrypts at over 350 MB/s and is used where it is
 * installed, as in the operator image; npm's age-encryption, 66 MB/s, elsewhere, and for passphrases, which the program reads only from a
 * terminal. Both write the same format.
 */

/** Whom a bundle is encrypted to: public keys (`age1…`), or a passphrase. */
export type Recipients = { keys: string[] } | { passphrase: Secret };
/** What opens one: private keys (`AGE-SECRET-KEY-1…`), of which one must fit, or the passphrase. */
export type Identities = { keys: Secret[] } | { passphrase: Secret };

type Bytes = AsyncIterable<Uint8Array>;

/** A new key pair. */
export async function newIdentity(): Promise<{ identity: Secret; recipient: string }> {
  const identity = await generateX25519Identity();
  return { identity: new Secret(identity), recipient: await identityToRecipient(identity) };
}

/** The public half of a private key. @throws OperatorError KIT_INVALID */
export async function recipientOf(identity: Secret): Promise<string> {
  try {
    return await identityToRecipient(identity.reveal());
  } catch {
    // The library's message may quote the key.
    throw new OperatorError('KIT_INVALID', 'that is not a recovery key', {
      exitCode: EXIT.usage,
      hint: 'it begins with AGE-SECRET-KEY-1 and has 74 characters; a character may be missing',
    });
  }
}

/** Encrypts a stream. @throws OperatorError AGE_FAILED */
export async function* encrypted(plain: Bytes, to: Recipients): AsyncGenerator<Uint8Array> {
  if ('keys' in to && hasProgram()) {
    yield* throughProgram(
      'age',
      to.keys.flatMap((key) => ['-r', key]),
      plain,
    );
    return;
  }
  const encrypter = new Encrypter();
  if ('keys' in to) for (const key of to.keys) encrypter.addRecipient(key);
  else encrypter.setPassphrase(to.passphrase.reveal());
  yield* (await encrypter.encrypt(webStream(plain))) as unknown as Bytes;
}

/**
 * Decrypts a stream. What it yields is authentic up to there; that the whole is, and was not cut short, is known when it ends.
 * @throws OperatorError BACKUP_KEY_WRONG, BACKUP_DAMAGED
 */
export async function* decrypted(sealed: Bytes, by: Identities): AsyncGenerator<Uint8Array> {
  if ('keys' in by && hasProgram()) {
    const keys = by.keys.map((key) => `${key.reveal()}\n`).join('');
    yield* throughProgram('sh', ['-c', DECRYPT], sealed, keys);
    return;
  }
  const decrypter = new Decrypter();
  if ('keys' in by) for (const key of by.keys) decrypter.addIdentity(key.reveal());
  else decrypter.addPassphrase(by.passphrase.reveal());
  try {
    yield* (await decrypter.decrypt(webStream(sealed))) as unknown as Bytes;
  } catch (error) {
    throw refusal(error instanceof Error ? error.message : String(error), error);
  }
}

function webStream(bytes: Bytes): globalThis.ReadableStream<Uint8Array> {
  return Readable.toWeb(Readable.from(bytes, { objectMode: false })) as ReadableStream<Uint8Array> as never;
}

let program: boolean | undefined;
function hasProgram(): boolean {
  program ??= (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, 'age'), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return program;
}

/**
 * The keys come through a pipe: neither the process list nor the disk sees them. What Node calls a pipe is a socket, which can't be opened
 * by the name /dev/fd/3; `cat` makes a real one of it.
 */
const DECRYPT = 'exec 4<&0; cat <&3 | age -d -i /dev/fd/5 5<&0 0<&4';

async function* throughProgram(
  file: string,
  args: string[],
  input: Bytes,
  keys?: string,
): AsyncGenerator<Uint8Array> {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
  const complaint: Buffer[] = [];
  child.stderr?.on('data', (chunk: Buffer) => complaint.push(chunk));
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const keyPipe = child.stdio[3] as Writable;
  keyPipe.on('error', () => undefined); // the program left before it read them; its exit code says why
  keyPipe.end(keys);
  let inputFailure: unknown;
  const fed = pipeline(input, child.stdin as Writable).catch((error: NodeJS.ErrnoException) => {
    // EPIPE: the program has ended early, and its exit code says why.
    if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_PREMATURE_CLOSE') inputFailure = error;
    child.stdin?.destroy();
    if (inputFailure) child.kill();
  });
  try {
    yield* child.stdout as Readable;
    const [code] = await Promise.all([ended, fed]);
    if (inputFailure) throw inputFailure;
    if (code !== 0) throw refusal(Buffer.concat(complaint).toString('utf8'));
  } finally {
    child.kill();
  }
}

function refusal(complaint: string, cause?: unknown): OperatorError {
  const wrongKey = /no identity matched|incorrect (identity|passphrase)|passphrase/i.test(complaint);
  return wrongKey
    ? new OperatorError('BACKUP_KEY_WRONG', 'none of the given keys opens this backup', {
        exitCode: EXIT.precondition,
        hint: 'use the recovery kit that was valid when it was made',
        cause,
      })
    : new OperatorError('BACKUP_DAMAGED', `the backup can't be decrypted: ${firstLine(complaint)}`, {
        exitCode: EXIT.precondition,
        hint: 'the file was altered or cut short: use another copy or another backup',
        cause,
      });
}

function firstLine(text: string): string {
  return (
    text
      .replace(/^age: (error: )?/, '')
      .split('\n')[0]
      ?.slice(0, 200) ?? ''
  );
}
