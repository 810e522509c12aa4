import { createReadStream } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { DOCUMENT_LIMIT } from './document.ts';
import { missing, type ReleaseSource, tooLarge } from './source.ts';

/** The last member of a bundle: what `docker save` wrote, as it is. */
export const IMAGES = 'images.tar';
/** All small members together, in bytes. */
const SMALL_LIMIT = 16 * DOCUMENT_LIMIT;

/** An image of a bundle. */
export interface BundledImage {
  /** As it was named when it was saved; empty where it had no tag. */
  tags: string[];
  /** Digest of its configuration, to be compared with `platforms[…].config` of release.json. */
  config: string;
}

export interface BundleSource extends ReleaseSource {
  /** The images it holds, by the list that `docker save` writes; none without `images.tar`. Reads the file once, keeps only the list. */
  images(): Promise<BundledImage[]>;
  /** The bytes of `images.tar`, for `docker load`. To be read to its end, or destroyed. @throws OperatorError SOURCE_FILE_MISSING */
  openImages(): Promise<Readable>;
}

/**
 * An air-gap bundle: a plain tar with the names of every source, and `images.tar` after them. The small members are read once and kept;
 * nothing else is unpacked, and nothing is written to the disk.
 */
export function bundleSource(path: string): BundleSource {
  let small: Promise<Map<string, Buffer | null>> | undefined;
  return {
    address: path,
    async read(name, limit) {
      small ??= readSmall(path);
      const bytes = (await small).get(name);
      if (bytes === undefined) throw missing(name, path);
      // Too large to have been kept.
      if (bytes === null || bytes.length > limit) throw tooLarge(name, path, limit);
      return bytes;
    },
    async images() {
      const body = await openMember(path, IMAGES);
      return body ? savedImages(body, path) : [];
    },
    async openImages() {
      const body = await openMember(path, IMAGES);
      if (!body) throw missing(IMAGES, path);
      return body;
    },
  };
}

/** Everything before `images.tar`; null for a file that is too large to be one of ours. */
async function readSmall(path: string): Promise<Map<string, Buffer | null>> {
  const members = new Map<string, Buffer | null>();
  let total = 0;
  for await (const { name, size, body } of membersOf(createReadStream(path), path)) {
    if (name === IMAGES) break;
    if (members.has(name)) throw invalid(path, `${name} is there twice`);
    total += size;
    if (total > SMALL_LIMIT)
      throw invalid(path, `what comes before ${IMAGES} is larger than ${SMALL_LIMIT} bytes`);
    members.set(name, size > DOCUMENT_LIMIT ? null : await collect(body));
  }
  return members;
}

/** The body of one member; null where there is none. The file is closed when the body ends or is destroyed. */
async function openMember(path: string, wanted: string): Promise<Readable | null> {
  const members = membersOf(createReadStream(path, { highWaterMark: 1 << 20 }), path);
  for (;;) {
    const { value: member, done } = await members.next();
    if (done) return null;
    if (member.name !== wanted) continue;
    return Readable.from(
      (async function* () {
        try {
          yield* member.body;
        } finally {
          await members.return(undefined);
        }
      })(),
      { objectMode: false },
    );
  }
}

/** `manifest.json` of what `docker save` wrote: https://github.com/moby/docker-image-spec/blob/main/spec.md, section "Combined Image JSON". */
async function savedImages(images: Readable, path: string): Promise<BundledImage[]> {
  for await (const { name, size, body } of membersOf(images, path, { links: true })) {
    if (name !== 'manifest.json') continue;
    if (size > DOCUMENT_LIMIT) throw tooLarge(`${IMAGES}/${name}`, path, DOCUMENT_LIMIT);
    return parseSaved((await collect(body)).toString('utf8'), path);
  }
  throw invalid(path, `${IMAGES} holds no manifest.json: it is not from docker save`);
}

function parseSaved(text: string, path: string): BundledImage[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw invalid(path, `manifest.json of ${IMAGES}: ${messageOf(error)}`);
  }
  if (!Array.isArray(list)) throw invalid(path, `manifest.json of ${IMAGES} is no list`);
  return list.map((image: { Config?: unknown; RepoTags?: unknown } | null) => {
    const { Config, RepoTags } = image ?? {};
    // `blobs/sha256/HEX` in an OCI layout, `HEX.json` in the older archive.
    const [, hex] = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.json)?$/.exec(String(Config)) ?? [];
    if (!hex) throw invalid(path, `manifest.json of ${IMAGES} names no configuration by its digest`);
    return { config: `sha256:${hex}`, tags: Array.isArray(RepoTags) ? RepoTags.map(String) : [] };
  });
}

interface Member {
  name: string;
  size: number;
  body: AsyncIterable<Uint8Array>;
}

/**
 * The plain files of a tar, one after the other; what of a body is not read is skipped. Ending early closes the stream. Links are
 * passed over where they may be (older `docker save`), elsewhere refused.
 */
async function* membersOf(
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

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function asInvalid(path: string, error: unknown): unknown {
  return error instanceof OperatorError ? error : invalid(path, messageOf(error), error);
}

function invalid(path: string, why: string, cause?: unknown): OperatorError {
  return new OperatorError('BUNDLE_INVALID', `${path} is no usable bundle: ${why}`, {
    exitCode: EXIT.precondition,
    hint: `nothing was changed; a bundle is a plain tar (not compressed) of channels.json, VERSION/release.json, their .minisig files, and ${IMAGES} at the end; copy it again`,
    cause,
  });
}
