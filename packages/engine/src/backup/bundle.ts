import { createHash } from 'node:crypto';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { EXIT, OperatorError } from '../model/errors.ts';
import { decrypted, encrypted, type Identities, type Recipients } from './age.ts';

/** Size in bytes and SHA-256 (hexadecimal) of a member. */
export interface MemberSum {
  size: number;
  sha256: string;
}

/** Writes members in the order they are given; each promise is backpressure. */
export interface BundleWriter {
  member(name: string, bytes: Uint8Array, mode?: number): Promise<void>;
  /** A member whose size in bytes is known beforehand; another number of bytes is an error. */
  stream(name: string, size: number, bytes: AsyncIterable<Uint8Array>): Promise<MemberSum>;
  /** Sums of everything written so far, for the manifest. */
  sums(): Record<string, MemberSum>;
}

/** A member as it comes from the stream: `body` is read to its end, or not at all. */
export interface Member {
  name: string;
  size: number;
  body: AsyncIterable<Uint8Array>;
}

/** The last member: what the bundle holds. */
export const MANIFEST = 'manifest.json';

/**
 * Writes an encrypted tar to `sink`: what `fill` gives, and then what it returns, as `manifest.json` with the sums of all members.
 * Nothing is kept in memory beyond one member given as bytes.
 * @throws whatever `fill` or the sink throws; the sink is destroyed then
 */
export async function writeBundle(
  sink: Writable,
  to: Recipients,
  fill: (bundle: BundleWriter) => Promise<object>,
): Promise<void> {
  const pack = tar.pack();
  const sums: Record<string, MemberSum> = {};
  const written = pipeline(
    pack as unknown as AsyncIterable<Uint8Array>,
    (plain: AsyncIterable<Uint8Array>) => encrypted(plain, to),
    sink,
  );
  const bundle = bundleWriter(pack, sums);
  const filled = (async () => {
    const manifest = await fill(bundle);
    const text = JSON.stringify({ ...manifest, members: sums }, null, 1);
    await bundle.member(MANIFEST, Buffer.from(`${text}\n`));
    pack.finalize();
  })();
  // Whichever fails first is the reason; the other then fails because of it.
  const failed = new Promise<never>((_, reject) => {
    filled.catch((error) => {
      pack.destroy(error as Error);
      reject(error);
    });
    written.catch((error) => {
      pack.destroy(error as Error);
      reject(error);
    });
  });
  await Promise.race([Promise.all([filled, written]), failed]);
}

function bundleWriter(pack: tar.Pack, sums: Record<string, MemberSum>): BundleWriter {
  async function stream(name: string, size: number, bytes: AsyncIterable<Uint8Array>, mode = 0o600) {
    if (name in sums) throw new Error(`member ${name} is written twice`);
    const hash = createHash('sha256');
    await new Promise<void>((resolve, reject) => {
      const entry = pack.entry({ name, size, mode }, (error) => (error ? reject(error) : resolve()));
      const hashed = async function* () {
        for await (const chunk of bytes) {
          hash.update(chunk);
          yield chunk;
        }
      };
      pipeline(hashed, entry as unknown as Writable).catch(reject);
    });
    const sum = { size, sha256: hash.digest('hex') };
    sums[name] = sum;
    return sum;
  }
  return {
    member: async (name, bytes, mode) => void (await stream(name, bytes.length, once(bytes), mode)),
    stream: (name, size, bytes) => stream(name, size, bytes),
    sums: () => sums,
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

/**
 * Reads a bundle from its beginning to its end, gives every member to `take`, and compares the sums of all with the manifest. Only when
 * it returns is the bundle known to be whole; what `take` did before must be taken back if it throws.
 * @returns the manifest's text, parsed
 * @throws OperatorError BACKUP_KEY_WRONG, BACKUP_DAMAGED
 */
export async function readBundle<Manifest extends object>(
  source: AsyncIterable<Uint8Array>,
  by: Identities,
  take: (member: Member) => Promise<void>,
): Promise<Manifest & { members: Record<string, MemberSum> }> {
  const sums: Record<string, MemberSum> = {};
  let manifest: (Manifest & { members: Record<string, MemberSum> }) | undefined;
  const extract = tar.extract();
  const fed: Promise<void> = pipeline(
    Readable.from(decrypted(source, by), { objectMode: false }),
    extract as unknown as Writable,
  );
  fed.catch(() => undefined); // awaited below; until then the loop reports the same failure
  let refused: { reason: unknown } | undefined;
  try {
    for await (const entry of extract) {
      const { name, size = 0, type } = entry.header;
      if (type !== 'file') throw damaged(`${name} is no plain file`);
      if (manifest) throw damaged(`${name} comes after the manifest`);
      if (name in sums) throw damaged(`${name} is there twice`);
      const hash = createHash('sha256');
      const chunks: Uint8Array[] = [];
      const body = async function* () {
        for await (const chunk of entry as AsyncIterable<Uint8Array>) {
          hash.update(chunk);
          if (name === MANIFEST) chunks.push(chunk);
          yield chunk;
        }
      };
      const bytes = body();
      if (name !== MANIFEST) {
        await take({ name, size, body: bytes }).catch((reason) => {
          refused = { reason };
          throw reason;
        });
      }
      for await (const _rest of bytes); // what was not read belongs to the sum, too
      if (name === MANIFEST) manifest = parse(Buffer.concat(chunks).toString('utf8'));
      else sums[name] = { size, sha256: hash.digest('hex') };
    }
    await fed;
  } catch (error) {
    extract.destroy();
    if (refused) throw refused.reason;
    // The pipeline knows why the stream broke off; the loop often sees only that it did.
    const cause = await fed.then(
      () => error,
      (reason) => reason,
    );
    throw [cause, error].find((reason) => reason instanceof OperatorError) ?? asDamage(error);
  }
  if (!manifest) throw damaged(`it has no ${MANIFEST}`);
  compare(manifest.members, sums);
  return manifest;
}

function parse<Manifest>(text: string): Manifest & { members: Record<string, MemberSum> } {
  try {
    const value = JSON.parse(text) as Manifest & { members?: Record<string, MemberSum> };
    if (typeof value.members === 'object' && value.members !== null) return value as never;
  } catch {
    // told below: the text itself may hold names that are nobody's business
  }
  throw damaged(`${MANIFEST} can't be read`);
}

function compare(expected: Record<string, MemberSum>, found: Record<string, MemberSum>): void {
  const names = new Set([...Object.keys(expected), ...Object.keys(found)]);
  const wrong = [...names].flatMap((name) => {
    const [want, got] = [expected[name], found[name]];
    if (!got) return [`${name} is missing`];
    if (!want) return [`${name} is not in the manifest`];
    if (want.size !== got.size || want.sha256 !== got.sha256)
      return [`${name} differs: expected SHA-256 ${want.sha256}, got ${got.sha256}`];
    return [];
  });
  if (wrong.length > 0) throw damaged('its members are not those of its manifest', wrong);
}

function asDamage(error: unknown): unknown {
  const message = error instanceof Error ? error.message : String(error);
  // tar-stream's own words for a stream that is not, or not wholly, a tar.
  return /tar|header|unexpected end|premature/i.test(message) ? damaged(message, [], error) : error;
}

function damaged(why: string, details: string[] = [], cause?: unknown): OperatorError {
  return new OperatorError('BACKUP_DAMAGED', `the backup is damaged: ${why}`, {
    exitCode: EXIT.precondition,
    details,
    hint: 'nothing was changed: use another copy of it, or another backup',
    cause,
  });
}
