import { createHash } from 'node:crypto';
import { EXIT, OperatorError } from '../model/errors.ts';
import type { BundleWriter, Member, MemberSum } from './bundle.ts';
import { collect, type ObjectBucket, type ObjectFacts, type StoredObject } from './object-store.ts';

/*
 * Objects in a bundle: `objects/index/000001.jsonl`, a line of facts for each object of a batch, and then the objects of that batch,
 * `objects/00000001` and so on, as raw bytes. So a reader knows what an object is before its bytes come, and neither side ever holds more
 * than a batch.
 */

/** A line of an index. */
interface IndexLine extends ObjectFacts {
  /** The member that holds its bytes. */
  member: string;
}

export interface ObjectsManifest {
  count: number;
  bytes: number;
}

/** A batch is full with so many objects, or so many bytes; a larger object is alone in its batch and is streamed. */
const BATCH_OBJECTS = 256;
const BATCH_BYTES = 16 << 20;
/** So many requests at once. */
const PARALLEL = 8;

export function isObjectMember(name: string): boolean {
  return name.startsWith('objects/');
}

/**
 * Writes every object of a bucket. One that vanishes meanwhile is left out, unless it is among `needed`: what the database refers to.
 * @throws OperatorError OBJECT_MISSING naming the first ones
 */
export async function dumpObjects(
  bucket: ObjectBucket,
  bundle: Pick<BundleWriter, 'member' | 'stream'>,
  needed: Set<string>,
  onProgress: (bytes: number) => void = () => undefined,
): Promise<ObjectsManifest> {
  const missing = new Set(needed);
  const total: ObjectsManifest = { count: 0, bytes: 0 };
  let batches = 0;
  const writeBatch = async (objects: StoredObject[]) => {
    if (objects.length === 0) return;
    batches += 1;
    const lines = objects.map((object, n): IndexLine => {
      const { body: _body, ...facts } = object;
      return { ...facts, member: `objects/${String(total.count + n + 1).padStart(8, '0')}` };
    });
    const index = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    await bundle.member(`objects/index/${String(batches).padStart(6, '0')}.jsonl`, Buffer.from(index));
    for (const [n, { body, size, key }] of objects.entries()) {
      await bundle.stream(lines[n]?.member ?? '', size, body);
      missing.delete(key);
      total.bytes += size;
      onProgress(total.bytes);
    }
    total.count += objects.length;
  };

  for await (const batch of batchesOf(bucket.list())) {
    const [first] = batch;
    if (first && first.size > BATCH_BYTES) {
      const object = await bucket.get(first.key);
      if (object) await writeBatch([object]);
      continue;
    }
    const fetched = await inParallel(batch, async ({ key }) => {
      const object = await bucket.get(key);
      if (!object) return null;
      const bytes = await collect(object.body);
      return { ...object, size: bytes.length, body: once(bytes) };
    });
    await writeBatch(fetched.filter((object) => object !== null));
  }
  if (missing.size > 0) {
    throw new OperatorError(
      'OBJECT_MISSING',
      `${missing.size} of the objects that the database refers to are not in ${bucket.address}`,
      {
        exitCode: EXIT.unhealthy,
        details: [...missing].slice(0, 10),
        hint: 'the backup was given up: it would not have been whole',
      },
    );
  }
  return total;
}

async function* batchesOf(list: AsyncIterable<{ key: string; size: number }>) {
  let batch: { key: string; size: number }[] = [];
  let bytes = 0;
  for await (const found of list) {
    const alone = found.size > BATCH_BYTES;
    if (batch.length > 0 && (alone || batch.length === BATCH_OBJECTS || bytes + found.size > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    if (alone) {
      yield [found];
      continue;
    }
    batch.push(found);
    bytes += found.size;
  }
  if (batch.length > 0) yield batch;
}

/**
 * Puts the objects of a bundle into a bucket, member by member, and reads each back. `finish` waits for the last ones.
 * @throws OperatorError OBJECT_DIFFERS, BACKUP_DAMAGED
 */
export function objectLoader(bucket: ObjectBucket) {
  const announced = new Map<string, IndexLine>();
  const running = new Set<Promise<void>>();
  const loaded: ObjectsManifest = { count: 0, bytes: 0 };
  let failure: { reason: unknown } | undefined;

  const start = (work: Promise<void>) => {
    const tracked: Promise<void> = work
      .catch((reason) => {
        failure ??= { reason };
      })
      .finally(() => running.delete(tracked));
    running.add(tracked);
  };
  return {
    async take({ name, body }: Pick<Member, 'name' | 'body'>): Promise<void> {
      if (failure) throw failure.reason;
      if (name.startsWith('objects/index/')) {
        for (const facts of await indexLines(body)) announced.set(facts.member, facts);
        return;
      }
      const facts = announced.get(name);
      if (!facts) throw unannounced(name);
      announced.delete(name);
      loaded.count += 1;
      loaded.bytes += facts.size;
      if (facts.size > BATCH_BYTES) {
        await putAndCompare(bucket, facts, body);
        return;
      }
      const bytes = await collect(body);
      while (running.size >= PARALLEL) await Promise.race(running);
      start(putAndCompare(bucket, facts, once(bytes)));
    },
    async finish(): Promise<ObjectsManifest> {
      await Promise.all(running);
      if (failure) throw failure.reason;
      const [left] = announced.keys();
      if (left !== undefined) throw unannounced(left);
      return loaded;
    },
  };
}

/** Puts those objects of a bundle into a bucket that are missing there or differ; `sums` are the manifest's. */
export function objectUpdater(bucket: ObjectBucket, sums: Record<string, MemberSum>) {
  const announced = new Map<string, IndexLine>();
  const outcome = { written: 0, same: 0 };
  return {
    async take({ name, body }: Pick<Member, 'name' | 'body'>): Promise<void> {
      if (name.startsWith('objects/index/')) {
        for (const facts of await indexLines(body)) announced.set(facts.member, facts);
        return;
      }
      const facts = announced.get(name);
      if (!facts) throw unannounced(name);
      announced.delete(name);
      const stored = await bucket.get(facts.key);
      if (stored && (await sha256(stored.body)) === sums[name]?.sha256) {
        outcome.same += 1;
        return;
      }
      await putAndCompare(bucket, facts, body);
      outcome.written += 1;
    },
    async finish() {
      const [left] = announced.keys();
      if (left !== undefined) throw unannounced(left);
      return outcome;
    },
  };
}

async function indexLines(body: AsyncIterable<Uint8Array>): Promise<IndexLine[]> {
  const lines = (await collect(body)).toString('utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as IndexLine);
}

async function putAndCompare(
  bucket: ObjectBucket,
  facts: ObjectFacts,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  const given = createHash('sha256');
  await bucket.put(
    facts,
    (async function* () {
      for await (const chunk of body) {
        given.update(chunk);
        yield chunk;
      }
    })(),
  );
  const stored = await bucket.get(facts.key);
  if (stored && given.digest('hex') === (await sha256(stored.body))) return;
  throw new OperatorError('OBJECT_DIFFERS', `${facts.key} reads back differently from ${bucket.address}`, {
    exitCode: EXIT.unhealthy,
    hint: 'the store may be damaged or full: ./operator.sh logs garage',
  });
}

async function sha256(body: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of body) hash.update(chunk);
  return hash.digest('hex');
}

function unannounced(member: string): OperatorError {
  return new OperatorError('BACKUP_DAMAGED', `the backup is damaged: index and objects differ at ${member}`, {
    exitCode: EXIT.precondition,
    hint: 'use another copy of it, or another backup',
  });
}

async function inParallel<In, Out>(items: In[], work: (item: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const at = next++;
      results[at] = await work(items[at] as In);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return results;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
