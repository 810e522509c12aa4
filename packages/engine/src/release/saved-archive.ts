import { messageOf } from '../model/errors.ts';
import { collect, IMAGES, invalid, type Member } from './bundle-members.ts';
import type { BundledImage } from './bundle-source.ts';
import { DOCUMENT_LIMIT, sha256 } from './document.ts';

/** Manifests and configurations are a few kilobytes; what is larger is a layer. */
const BLOB_LIMIT = 256 * 1024;
/** All that are kept, in bytes. */
const BLOBS_LIMIT = 16 * DOCUMENT_LIMIT;

/**
 * Finds out of the members of what `docker save` wrote which images it holds. `manifest.json` names the configurations:
 * https://github.com/moby/docker-image-spec/blob/main/spec.md, section "Combined Image JSON". Since Docker 25 it is an OCI layout, too, whose
 * `index.json` leads to the same: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export function savedArchive(path: string): { add(member: Member): Promise<void>; images(): BundledImage[] } {
  const names = new Set<string>();
  /** Small blobs by their digest, which was checked. */
  const blobs = new Map<string, Descriptors>();
  let kept = 0;
  let saved: Buffer | null = null;
  let index: Descriptors = {};
  return {
    async add({ name, size, body }) {
      names.add(name);
      const [, hex] = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name) ?? [];
      if (name === 'manifest.json' || name === 'index.json') {
        if (size > DOCUMENT_LIMIT)
          throw invalid(path, `${name} of ${IMAGES} is larger than ${DOCUMENT_LIMIT} bytes`);
        const bytes = await collect(body);
        if (name === 'manifest.json') saved = bytes;
        else index = descriptorsIn(bytes) ?? {};
      } else if (hex && size <= BLOB_LIMIT && kept + size <= BLOBS_LIMIT) {
        const bytes = await collect(body);
        const found = sha256(bytes) === hex ? descriptorsIn(bytes) : null;
        if (found) {
          blobs.set(`sha256:${hex}`, found);
          kept += size;
        }
      }
    },
    images() {
      if (!saved) throw invalid(path, `${IMAGES} holds no manifest.json: it is not from docker save`);
      return parseSaved(saved.toString('utf8'), path)
        .filter(({ file }) => names.has(file))
        .map(({ config, tags }) => ({
          ...{ tags, config },
          target: (index.manifests ?? []).find((one) => leadsTo(one, config, blobs))?.digest ?? null,
        }));
    },
  };
}

/** What an index or a manifest refers to. */
interface Descriptors {
  manifests?: { digest?: string }[];
  config?: { digest?: string };
}

/** Null for what is neither. */
function descriptorsIn(bytes: Buffer): Descriptors | null {
  if (bytes[0] !== '{'.charCodeAt(0)) return null;
  try {
    const { manifests, config } = JSON.parse(bytes.toString('utf8'));
    if (Array.isArray(manifests)) return { manifests };
    return typeof config?.digest === 'string' ? { config } : null;
  } catch {
    return null; // a layer that happens to begin with a brace
  }
}

/** Whether a descriptor is of the manifest with this configuration, or of an index that has it. */
function leadsTo(
  { digest = '' }: { digest?: string },
  config: string,
  blobs: ReadonlyMap<string, Descriptors>,
  depth = 0,
): boolean {
  const blob = blobs.get(digest);
  if (!blob || depth > 2) return false;
  if (blob.config) return blob.config.digest === config;
  return (blob.manifests ?? []).some((one) => leadsTo(one, config, blobs, depth + 1));
}

function parseSaved(text: string, path: string): { config: string; file: string; tags: string[] }[] {
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
    const [file, hex] = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.json)?$/.exec(String(Config)) ?? [];
    if (!hex || !file) throw invalid(path, `manifest.json of ${IMAGES} names no configuration by its digest`);
    return { config: `sha256:${hex}`, file, tags: Array.isArray(RepoTags) ? RepoTags.map(String) : [] };
  });
}
