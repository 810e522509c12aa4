import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { collect, IMAGES, invalid, membersOf } from './bundle-members.ts';
import { DOCUMENT_LIMIT } from './document.ts';
import { savedArchive } from './saved-archive.ts';
import { missing, type ReleaseSource, tooLarge } from './source.ts';

/** All small members together, in bytes. */
const SMALL_LIMIT = 16 * DOCUMENT_LIMIT;

/** An image of a bundle. */
export interface BundledImage {
  /** As it was named when it was saved; empty where it had no tag. */
  tags: string[];
  /** Digest of its configuration, to be compared with `platforms[…].config` of release.json. */
  config: string;
  /** Digest of the manifest or index by which containerd's image store calls it; null in an archive of a Docker before 25. */
  target: string | null;
}

export interface BundleSource extends ReleaseSource {
  /** The images it holds, by the list that `docker save` writes; none without `images.tar`. Reads the file once, keeps only the list. */
  images(): Promise<BundledImage[]>;
  /** The bytes of `images.tar`, for `docker load`. To be read to its end, or destroyed. @throws OperatorError SOURCE_FILE_MISSING */
  openImages(): Promise<Readable>;
}

export function isBundle(source: ReleaseSource): source is BundleSource {
  return 'openImages' in source;
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

async function savedImages(images: Readable, path: string): Promise<BundledImage[]> {
  const archive = savedArchive(path);
  for await (const member of membersOf(images, path, { links: true })) await archive.add(member);
  return archive.images();
}
