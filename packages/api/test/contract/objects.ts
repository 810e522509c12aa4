import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import type { ObjectStore } from '../../src/objects/index.ts';

/** What the API relies on in every object store, fake or real. */
export function objectStoreContract(open: () => ObjectStore | Promise<ObjectStore>): void {
  const key = () => `documents/${randomUUID()}`;
  const bytes = (text: string) => new TextEncoder().encode(text);

  test('gives back what it was given, byte for byte, and to another process, too', async () => {
    const [k, body] = [key(), Uint8Array.from({ length: 100_000 }, (_, i) => i % 256)];
    await (await open()).put(k, body, 'text/plain; charset=utf-8');
    expect(Buffer.from((await (await open()).get(k)) as Uint8Array).equals(Buffer.from(body))).toBe(true);
  });

  test('an object replaced is the new one, an empty object is not a missing one', async () => {
    const store = await open();
    const k = key();
    await store.put(k, bytes('one'), 'text/plain');
    await store.put(k, bytes(''), 'text/plain');
    expect(await store.get(k)).toHaveLength(0);
    expect(await store.get(key())).toBeNull();
  });

  test('deleted is gone, and deleting again is no failure', async () => {
    const store = await open();
    const k = key();
    await store.put(k, bytes('one'), 'text/plain');
    await store.delete(k);
    await store.delete(k);
    expect(await store.get(k)).toBeNull();
  });

  test('writers of one key at once: one of them wins whole', async () => {
    const store = await open();
    const k = key();
    const bodies = Array.from({ length: 8 }, (_, i) => bytes(String(i).repeat(50_000)));
    await Promise.all(bodies.map((body) => store.put(k, body, 'text/plain')));
    const stored = Buffer.from((await store.get(k)) as Uint8Array);
    expect(bodies.some((body) => stored.equals(Buffer.from(body)))).toBe(true);
  });

  test('a store that can be used passes its check', async () => {
    await expect((await open()).check()).resolves.toBeUndefined();
  });
}
