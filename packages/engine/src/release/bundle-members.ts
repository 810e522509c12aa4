import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';

/** The last member of a bundle: what `docker save` wrote, as it is. */
export const IMAGES = 'images.tar';

/** A file of a tar. */
export interface Member {
  name: string;
  size: number;
  body: AsyncIterable<Uint8Array>;
}

/**
 * The plain files of a tar, one after the other; what of a body is not read is skipped. Ending early closes the stream. Links are
 * passed over where they may be (older `docker save`), elsewhere refused.
 */
export async function* membersOf(
  source: Readable,
  path: string,
  { links = false } = {},
): AsyncGenerator<Member, undefined, undefined> {
  const extract = tar.extract();
  const fed: Promise<void> = pipeline(source, extract as unknown as Writable);
  fed.catch(() => undefined); // the loop below sees the same failure, and ending early is none
  try {
    for await (const entry of extract) {
      const { name, size = 0, type } = entry.header;
      if (type === 'file')
        yield {
          name: name.replace(/^(?:\.\/)+/, ''),
          size,
          body: bodyOf(entry as AsyncIterable<Uint8Array>, path),
        };
      else if (type !== 'directory' && !links) throw invalid(path, `${name} is no plain file`);
      entry.resume();
    }
    await fed;
  } catch (error) {
    throw asInvalid(path, error);
  } finally {
    extract.destroy();
    source.destroy();
  }
}

async function* bodyOf(entry: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* entry;
  } catch (error) {
    throw asInvalid(path, error);
  }
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function asInvalid(path: string, error: unknown): unknown {
  return error instanceof OperatorError ? error : invalid(path, messageOf(error), error);
}

export function invalid(path: string, why: string, cause?: unknown): OperatorError {
  return new OperatorError('BUNDLE_INVALID', `${path} is no usable bundle: ${why}`, {
    exitCode: EXIT.precondition,
    hint: `nothing was changed; a bundle is a plain tar (not compressed) of channels.json, VERSION/release.json, their .minisig files, and ${IMAGES} at the end; copy it again`,
    cause,
  });
}
