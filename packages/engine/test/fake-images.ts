import { buffer } from 'node:stream/consumers';
import type { ImageStore, LocalImage } from '../src/adapters/images.ts';

export const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

export const image = (id: string, change: Partial<LocalImage> = {}): LocalImage => ({
  id,
  digests: [],
  tags: [],
  bytes: 100_000_000,
  version: null,
  ...change,
});

/** Docker and a registry that keep images in memory, as far as the engine can tell. */
export function fakeImages({
  here = [],
  registry = [],
  inUse = [],
}: {
  here?: LocalImage[];
  registry?: LocalImage[];
  /** Ids that containers use. */
  inUse?: string[];
} = {}) {
  const local = new Map(here.map((one) => [one.id, one]));
  const named = (list: Iterable<LocalImage>, reference: string) =>
    [...list].find(({ id, digests, tags }) => [id, ...digests, ...tags].includes(reference)) ?? null;
  const store = {
    local,
    /** References, in the order of the tries. */
    pulls: [] as string[],
    /** Thrown by the next tries, in order; null: that one goes well. */
    failures: [] as (Error | null)[],
    /** What `docker load` would bring. */
    archive: [] as LocalImage[],
    /** Pulls at one moment, at most. */
    mostAtOnce: 0,
    running: 0,
    async engine() {
      return {
        apiVersion: '1.45',
        platform: 'linux/amd64',
        store: 'classic' as const,
        memoryBytes: 8_000_000_000,
      };
    },
    async disk() {
      const used = [...local.values()].reduce((sum, { bytes }) => sum + bytes, 0);
      return { total: 100_000_000_000, available: 50_000_000_000 - used };
    },
    find: async (reference: string) => named(local.values(), reference),
    list: async () => [...local.values()],
    async ask(reference: string) {
      if (!named(registry, reference)) throw new Error(`no ${reference} in the registry`);
    },
    async pull(reference: string, report: (line: string) => void, signal: AbortSignal) {
      store.pulls.push(reference);
      store.running += 1;
      store.mostAtOnce = Math.max(store.mostAtOnce, store.running);
      try {
        await new Promise((resolve) => setImmediate(resolve));
        signal.throwIfAborted();
        const failure = store.failures.shift() ?? null;
        if (failure) throw failure;
        report('45 of 90 MB, 9 MB/s');
        const found = named(registry, reference);
        if (found) local.set(found.id, found);
      } finally {
        store.running -= 1;
      }
    },
    async load(tar: NodeJS.ReadableStream) {
      await buffer(tar);
      for (const one of store.archive) local.set(one.id, one);
    },
    async remove(id: string) {
      if (inUse.includes(id)) return false;
      local.delete(id);
      return true;
    },
  };
  return store satisfies ImageStore;
}
