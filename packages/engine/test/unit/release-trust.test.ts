import { describe, expect, test } from '@jest/globals';
import type { OperatorError } from '../../src/model/errors.ts';
import { buildRelease } from '../../src/release/build.ts';
import { CHANNELS, releaseName, sha256, signatureName } from '../../src/release/document.ts';
import { fetchHops, imageReferences, imagesToRun, loadedIds, missingImages } from '../../src/release/hops.ts';
import { parseTrustedKeys, readTrustedKeys, type TrustedKeys } from '../../src/release/keys.ts';
import { parseRelease } from '../../src/release/manifest.ts';
import { parsePublicKey, parseSecretKey, parseSignatures, signBytes } from '../../src/release/minisign.ts';
import { PROVENANCE } from '../../src/release/provenance.ts';
import {
  fetchChannels,
  fetchRelease,
  keptRelease,
  keptReleases,
  lastChannels,
  type ReleaseRoom,
  requireFresh,
} from '../../src/release/room.ts';
import { signDocument } from '../../src/release/sign.ts';
import { verifySignatures } from '../../src/release/signature.ts';
import type { ReleaseSource } from '../../src/release/source.ts';
import type { LastChannels, ReleaseStore, SignedBytes } from '../../src/release/store.ts';
import {
  formatPublicKey,
  newKey,
  newSecretKeyFile,
  publish,
  releaseInput,
  signed,
  trust,
} from '../releases.ts';

const [key, other, stranger] = [newKey(), newKey(), newKey()];
const document = Buffer.from('a document');

/** A source in memory that counts what is asked of it. */
function memorySource(files: Map<string, Buffer>): ReleaseSource & { asked: string[] } {
  const asked: string[] = [];
  return {
    address: 'memory',
    asked,
    async read(name) {
      asked.push(name);
      const bytes = files.get(name);
      if (!bytes) throw new Error(`no ${name}`);
      return bytes;
    },
  };
}

function memoryStore(): ReleaseStore & { last: LastChannels | null; releases: Map<string, SignedBytes> } {
  const store = {
    last: null as LastChannels | null,
    releases: new Map<string, SignedBytes>(),
    readLast: async () => store.last,
    writeLast: async (last: LastChannels) => {
      store.last = last;
    },
    readRelease: async (version: string) => store.releases.get(version) ?? null,
    writeRelease: async (version: string, release: SignedBytes) => void store.releases.set(version, release),
    keys: null as string | null,
    readKeys: async () => store.keys,
    writeKeys: async (text: string) => {
      store.keys = text;
    },
    versions: async () => [...store.releases.keys()],
  };
  return store;
}

const NOW = '2026-11-23T12:00:00Z';
function room(keys: TrustedKeys = trust(key), now = NOW) {
  return { keys, store: memoryStore(), now: () => new Date(now) } satisfies ReleaseRoom;
}
const inputs = [releaseInput('1.0.0'), releaseInput('1.1.0', { migrations: 2 })];

describe("minisign's format", () => {
  test('keys: the published example of minisign.1 is read, and written as it was', () => {
    // https://jedisct1.github.io/minisign/#verifying-a-file
    const text = 'RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3';
    expect(formatPublicKey(parsePublicKey(text))).toBe(text);
    expect(parsePublicKey(text).id).toBe('E7620F1842B4E81F');
  });

  test('the same key, bytes and comment give the same signature', () => {
    const file = newSecretKeyFile();
    const [a, b] = [parseSecretKey(file), parseSecretKey(file)];
    expect(signBytes(a, document, 'x')).toBe(signBytes(b, document, 'x'));
    expect(parseSignatures(signBytes(a, document, 'x'))[0]).toMatchObject({
      keyId: a.id,
      trustedComment: 'x',
    });
  });

  test.each([
    ['protected by a password', (bytes: Buffer) => void bytes.write('Sc', 2)],
    ['of an unknown kind', (bytes: Buffer) => void bytes.write('XX', 0)],
    ['do not belong together', (bytes: Buffer) => void bytes.writeUInt8((bytes[100] as number) ^ 1, 100)],
  ])('a secret key that is %s is refused, without a word of it', (why, spoil) => {
    const [comment, line = ''] = newSecretKeyFile().split('\n');
    const bytes = Buffer.from(line, 'base64');
    spoil(bytes);
    const spoilt = bytes.toString('base64');
    expect(() => parseSecretKey(`${comment}\n${spoilt}\n`)).toThrow(why);
    expect(() => parseSecretKey(`${comment}\n${spoilt}x\n`)).toThrow(/a line is not a secret key/);
    expect(() => parseSecretKey(spoilt)).toThrow(/does not begin with a comment/);
  });
});

describe('a signature', () => {
  const check = (file: Buffer | string, keys = trust(key), bytes: Uint8Array = document) =>
    verifySignatures('channels.json', bytes, Buffer.from(file), keys);
  const refusal = (...given: Parameters<typeof check>) => {
    try {
      check(...given);
    } catch (error) {
      return error as OperatorError;
    }
    throw new Error('it was taken');
  };

  test('by one trusted key suffices, whatever else is there', () => {
    expect(check(signed(document, [key]))).toEqual([key.id]);
    expect(check(signed(document, [stranger, key]))).toEqual([key.id]);
    expect(check(signed(document, [key, other]), trust(key, other))).toEqual([key.id, other.id]);
    // Rotation: an engine that knows only the new key, and one that knows only the old.
    for (const known of [key, other])
      expect(check(signed(document, [key, other]), trust(known))).toEqual([known.id]);
    expect(check(signed(document, [key]).toString().replaceAll('\n', '\r\n'))).toEqual([key.id]);
  });

  test('is refused with its file, the ids of its keys, and why', () => {
    const unknown = refusal(signed(document, [stranger]));
    expect(unknown).toMatchObject({ code: 'SIGNATURE_INVALID', exitCode: 3 });
    expect(unknown.message).toContain('channels.json');
    expect(unknown.details).toEqual([
      `channels.json.minisig: signature of key ${stranger.id}: this engine does not know the key`,
      `trusted: ${key.id}`,
    ]);
    const revoked = { trusted: [key, other], revoked: [key.id] };
    expect(refusal(signed(document, [key]), revoked).details).toEqual([
      `channels.json.minisig: signature of key ${key.id}: the key was revoked`,
      `trusted: ${other.id}`,
    ]);
    expect(refusal(signed(document, [key]), { trusted: [], revoked: [] }).details[1]).toBe(
      'this engine trusts no key',
    );
  });

  test('of other bytes, with another comment, or forged under a known id, is refused', () => {
    const file = signed(document, [key]).toString();
    const spoilt = [
      [file, Buffer.from('a document.')],
      [file.replace('made by a test', 'made by a tesT'), document],
      [Buffer.from(signBytes({ ...stranger, id: key.id }, document, 'x')), document],
    ] as const;
    for (const [signature, bytes] of spoilt)
      expect(refusal(signature, trust(key), bytes).details[0]).toMatch(/is not what was signed/);
  });

  test('with any bit of it changed is refused', () => {
    const [, line = '', comment = '', global = ''] = signed(document, [key]).toString().split('\n');
    let refused = 0;
    for (const [index, base64] of [line, global].entries()) {
      const bytes = Buffer.from(base64, 'base64');
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const changed = Buffer.from(bytes);
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
        const text = changed.toString('base64');
        const lines = index === 0 ? [text, comment, global] : [line, comment, text];
        expect(refusal(['untrusted comment: x', ...lines, ''].join('\n')).code).toBe('SIGNATURE_INVALID');
        refused += 1;
      }
    }
    expect(refused).toBe((74 + 64) * 8);
  });

  test.each([
    ['', 'it is empty'],
    ['<html>404</html>', 'a comment is missing'],
    ['untrusted comment: x\nQUJD\ntrusted comment: y\nQUJD\n', 'a line is not a signature in base64'],
    ['untrusted comment: x\nQUJD\n', 'a trusted comment is missing'],
  ])('that is no signature (%j) is refused', (text, why) =>
    expect(refusal(text).details[0]).toBe(`channels.json.minisig can't be read: ${why}`),
  );

  test('of the older kind, over the file itself, is refused with the way out', () => {
    const lines = signed(document, [key]).toString().split('\n');
    lines[1] = Buffer.concat([
      Buffer.from('Ed'),
      Buffer.from(lines[1] as string, 'base64').subarray(2),
    ]).toString('base64');
    expect(refusal(lines.join('\n')).details[0]).toMatch(/not prehashed: sign without -l/);
  });
});

describe('the keys', () => {
  test('of a file replace those of the engine', () => {
    const text = `untrusted comment: minisign public key\n${formatPublicKey(key)}\n\n# old\nrevoked ${other.id}\n`;
    const keys = parseTrustedKeys(text, 'keys');
    expect(keys.trusted.map(({ id }) => id)).toEqual([key.id]);
    expect(keys.revoked).toEqual([other.id]);
    expect(keys.trusted[0]?.key.equals(key.key)).toBe(true);
  });

  test('of the engine are keys', () => expect(() => readTrustedKeys({})).not.toThrow());

  test.each([
    ['nothing in it\n', /keys: there is no public key/],
    ['RWQabc\n', /keys:1: a line is not a public key/],
    [`${formatPublicKey(key)}\nrevoked 12\n`, /keys:2: after "revoked"/],
  ])('%j is refused', (text, message) => expect(() => parseTrustedKeys(text, 'keys')).toThrow(message));

  test('that can not be read are refused', () =>
    expect(() => readTrustedKeys({ KG_RELEASE_KEYS: '/nonexistent' })).toThrow(
      expect.objectContaining({ code: 'RELEASE_KEYS_INVALID', exitCode: 3 }),
    ));
});

describe('the list of releases', () => {
  test('is fetched, kept, and read again without its source', async () => {
    const here = room();
    const known = await fetchChannels(here, memorySource(publish(inputs, { keys: [key] })));
    expect(known).toMatchObject({ source: 'memory', fetchedAt: '2026-11-23T12:00:00.000Z', problem: null });
    expect(known.channels.channels).toEqual({ stable: '1.1.0' });
    expect(await lastChannels(here)).toEqual(known);
    expect(here.store.last?.signedBy).toEqual([key.id]);
    expect(() => requireFresh(known)).not.toThrow();
    expect(await lastChannels(room())).toBeNull();
  });

  test('that is not signed right is not parsed, and not kept', async () => {
    const files = publish(inputs, { keys: [stranger] });
    files.set(CHANNELS, Buffer.from('not even JSON'));
    const here = room();
    await expect(fetchChannels(here, memorySource(files))).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
    });
    expect(here.store.last).toBeNull();
  });

  test('with a lower number than one seen is refused, and the newer one stays', async () => {
    const here = room();
    await fetchChannels(here, memorySource(publish(inputs, { keys: [key], counter: 7 })));
    const replayed = fetchChannels(
      here,
      memorySource(publish(inputs.slice(0, 1), { keys: [key], counter: 6 })),
    );
    await expect(replayed).rejects.toMatchObject({
      code: 'CHANNEL_REPLAYED',
      exitCode: 3,
      message: expect.stringMatching(/number 6.*number 7/),
      details: [expect.stringMatching(/number 7 came from memory, last fetched 2026-11-23/)],
    });
    const same = fetchChannels(here, memorySource(publish(inputs.slice(0, 1), { keys: [key], counter: 7 })));
    await expect(same).rejects.toMatchObject({
      code: 'CHANNEL_REPLAYED',
      hint: expect.stringMatching(/raise the number/),
    });
    expect((await lastChannels(here))?.channels.counter).toBe(7);
    // The very same again, and the next one, are fine.
    await fetchChannels(here, memorySource(publish(inputs, { keys: [key], counter: 7 })));
    await fetchChannels(here, memorySource(publish(inputs, { keys: [key], counter: 8 })));
    expect(here.store.last?.counter).toBe(8);
  });

  test('of a thief who set the number to the highest is forgotten when the key is revoked', async () => {
    const here = room(trust(key, other));
    const highest = publish(inputs, { keys: [key], counter: Number.MAX_SAFE_INTEGER });
    await fetchChannels(here, memorySource(highest));
    const genuine = memorySource(publish(inputs, { keys: [other], counter: 9 }));
    await expect(fetchChannels(here, genuine)).rejects.toMatchObject({ code: 'CHANNEL_REPLAYED' });
    here.keys = { trusted: [key, other], revoked: [key.id] };
    await expect(lastChannels(here)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    await fetchChannels(here, genuine);
    expect(here.store.last?.counter).toBe(9);
  });

  test('that has expired is kept and shown, and blocks upgrades', async () => {
    const late = room(trust(key), '2027-02-01T00:00:00Z');
    const known = await fetchChannels(late, memorySource(publish(inputs, { keys: [key] })));
    expect(known.problem).toMatchObject({ code: 'CHANNEL_EXPIRED' });
    expect(() => requireFresh(known)).toThrow(/upgrades are blocked/);
    // It can't be told from the list alone: the clock goes on while it is kept.
    const here = room();
    await fetchChannels(here, memorySource(publish(inputs, { keys: [key] })));
    here.now = () => new Date('2027-03-01T00:00:00Z');
    expect((await lastChannels(here))?.problem?.code).toBe('CHANNEL_EXPIRED');
  });
});

describe('a release.json', () => {
  const name = releaseName('1.1.0');
  async function fetched(change: (files: Map<string, Buffer>) => void = () => undefined) {
    const here = room();
    const files = publish(inputs, { keys: [key] });
    change(files);
    const source = memorySource(files);
    const { channels } = await fetchChannels(here, source);
    return { here, source, channels, files };
  }

  test('is fetched once, and then read from what is kept', async () => {
    const { here, source, channels, files } = await fetched();
    const release = await fetchRelease(here, source, channels, '1.1.0');
    expect(release.schema.head).toBe('0002_second');
    source.asked.length = 0;
    expect(await fetchRelease(here, source, channels, '1.1.0')).toEqual(release);
    expect(source.asked).toEqual([]);
    expect(await keptRelease(here, '1.1.0')).toEqual(release);
    expect(await keptRelease(here, '1.0.0')).toBeNull();
    expect([...(await keptReleases(here, channels)).keys()]).toEqual(['1.1.0']);

    // A copy that was changed on the disk, or whose key was revoked, is fetched anew.
    here.store.releases.set('1.1.0', { bytes: document, signatures: signed(document, [key]) });
    expect((await keptReleases(here, channels)).size).toBe(0);
    await fetchRelease(here, source, channels, '1.1.0');
    expect(source.asked).toEqual([signatureName(name), name]);
    const bytes = files.get(name) as Buffer;
    files.set(signatureName(name), signed(bytes, [key, other]));
    here.keys = { trusted: [key, other], revoked: [key.id] };
    await fetchRelease(here, source, channels, '1.1.0');
    expect(source.asked).toHaveLength(4);
  });

  test('that is another than the list says is refused, however well signed', async () => {
    const swapped = publish([inputs[0] as never], { keys: [key] }).get(releaseName('1.0.0')) as Buffer;
    const { here, source, channels, files } = await fetched((files) => {
      files.set(name, swapped);
      files.set(signatureName(name), signed(swapped, [key]));
    });
    await expect(fetchRelease(here, source, channels, '1.1.0')).rejects.toMatchObject({
      code: 'MANIFEST_MISMATCH',
      exitCode: 3,
      details: [
        `expected SHA-256 ${channels.releases[1]?.sha256}`,
        `actual   SHA-256 ${sha256(files.get(name) as Buffer)}`,
      ],
    });
    expect(here.store.releases.size).toBe(0);
    const lying = { ...channels, releases: [{ ...channels.releases[1], sha256: sha256(swapped) } as never] };
    await expect(fetchRelease(here, source, lying, '1.1.0')).rejects.toMatchObject({
      code: 'MANIFEST_MISMATCH',
      details: ['expected 1.1.0', 'actual   1.0.0'],
    });
  });

  test('that was changed after it was signed is refused, and nothing is kept', async () => {
    const { here, source, channels } = await fetched((files) =>
      files.set(name, Buffer.concat([files.get(name) as Buffer, Buffer.from(' ')])),
    );
    await expect(fetchRelease(here, source, channels, '1.1.0')).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
      message: expect.stringContaining(name),
    });
    expect(here.store.releases.size).toBe(0);
  });

  test('of a version that is withdrawn or not listed is not even asked for', async () => {
    const { here, source, channels } = await fetched();
    source.asked.length = 0;
    const yanked = [{ version: '1.1.0', reason: 'it lost data', replacedBy: null }];
    await expect(fetchRelease(here, source, { ...channels, yanked }, '1.1.0')).rejects.toMatchObject({
      code: 'VERSION_YANKED',
    });
    await expect(fetchRelease(here, source, channels, '1.1.1')).rejects.toMatchObject({
      code: 'VERSION_UNKNOWN',
    });
    expect(source.asked).toEqual([]);
  });
});

describe('the hops of a path', () => {
  const chain = [...inputs, releaseInput('2.0.0', { migrations: 4 })];

  test('are classified by what each of them migrates', async () => {
    const [here, source] = [room(), memorySource(publish(chain, { keys: [key] }))];
    const { channels } = await fetchChannels(here, source);
    const hops = await fetchHops(here, source, channels, ['1.1.0', '2.0.0'], '0001_first');
    expect(hops.map(({ release, ...rest }) => [release.version, rest])).toEqual([
      ['1.1.0', { class: 'rolling', pending: ['0002_second'], contract: [] }],
      [
        '2.0.0',
        { class: 'planned-downtime', pending: ['0003_third', '0004_fourth'], contract: ['0003_third'] },
      ],
    ]);
    // A database that is ahead of the first hop has only the rest to do.
    const [first] = await fetchHops(here, source, channels, ['2.0.0'], '0003_third');
    expect(first).toMatchObject({ class: 'rolling', pending: ['0004_fourth'] });
  });

  test('say what to pull, or that there is nothing for this platform', () => {
    const release = parseRelease(buildRelease(releaseInput('1.0.0')));
    expect(imageReferences(release, 'linux/amd64')).toEqual({
      api: `registry.example/kg-operator-api@sha256:${'a'.repeat(64)}`,
      operator: `registry.example/kg-operator-operator@sha256:${'b'.repeat(64)}`,
    });
    expect(() => imageReferences(release, 'linux/arm64')).toThrow(
      expect.objectContaining({ code: 'PLATFORM_UNSUPPORTED', details: ['operator: only for linux/amd64'] }),
    );
  });

  test('are compared with the images of a bundle', () => {
    const release = parseRelease(buildRelease(releaseInput('1.0.0')));
    const bundled = [{ config: `sha256:${'c'.repeat(64)}`, tags: [], target: `sha256:${'d'.repeat(64)}` }];
    // The api names only an index: it can't be told.
    expect(missingImages(release, 'linux/amd64', bundled)).toEqual(['api']);
    expect(missingImages(release, 'linux/arm64', bundled)).toEqual(['api', 'operator']);
    expect(missingImages(release, 'linux/amd64', [])).toEqual(['api', 'operator']);
  });

  test('say what a service runs: a digest of the registry, or what Docker calls an image of a bundle', () => {
    const input = releaseInput('1.0.0');
    const release = parseRelease(
      buildRelease({ ...input, images: { operator: input.images.operator as never } }),
    );
    const [config, target] = [`sha256:${'c'.repeat(64)}`, `sha256:${'d'.repeat(64)}`];
    const bundled = [{ config, tags: ['moved:latest'], target }];
    expect(imagesToRun(release, 'linux/amd64', null)).toEqual(imageReferences(release, 'linux/amd64'));
    expect(imagesToRun(release, 'linux/amd64', loadedIds(bundled, 'classic'))).toEqual({ operator: config });
    expect(imagesToRun(release, 'linux/amd64', loadedIds(bundled, 'containerd'))).toEqual({
      operator: target,
    });
    const old = loadedIds([{ config, tags: [], target: null }], 'containerd');
    for (const [platform, loaded] of [
      ['linux/amd64', old],
      ['linux/arm64', loadedIds(bundled, 'classic')],
    ] as const)
      expect(() => imagesToRun(release, platform, loaded)).toThrow(
        expect.objectContaining({
          code: 'BUNDLE_INCOMPLETE',
          details: [expect.stringMatching(/^operator: /)],
        }),
      );
  });
});

test('only what installations can read is signed, and the comment says what it is', () => {
  const files = publish(inputs, { keys: [key] });
  const comments = (name: string) =>
    parseSignatures(signDocument(name.replace(/.*\//, ''), files.get(name) as Buffer, [key, other])).map(
      ({ trustedComment, keyId }) => [trustedComment, keyId],
    );
  expect(comments(CHANNELS)).toEqual([
    ['kg-operator channels 1', key.id],
    ['kg-operator channels 1', other.id],
  ]);
  expect(comments(releaseName('1.1.0'))[0]).toEqual(['kg-operator release 1.1.0', key.id]);
  const provenance = (version: unknown, type = 'https://slsa.dev/provenance/v1') =>
    Buffer.from(
      JSON.stringify({
        _type: 'https://in-toto.io/Statement/v1',
        subject: [],
        predicateType: type,
        predicate: { buildDefinition: { externalParameters: { version } } },
      }),
    );
  expect(signDocument(PROVENANCE, provenance('1.1.0'), [key])).toContain(
    '\ntrusted comment: kg-operator provenance 1.1.0\n',
  );
  for (const [name, bytes] of [
    [CHANNELS, Buffer.from('{}')],
    [PROVENANCE, Buffer.from('{}')],
    [PROVENANCE, provenance('new')],
    [PROVENANCE, provenance('1.1.0', 'https://slsa.dev/provenance/v0.2')],
  ] as const)
    expect(() => signDocument(name, bytes, [key])).toThrow(
      expect.objectContaining({ code: 'MANIFEST_INVALID' }),
    );
});
