import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { OperatorError } from '../../src/model/errors.ts';
import { buildChannels, buildRelease, parseImages, parsePolicy } from '../../src/release/build.ts';
import { type Channels, chooseTarget, freshnessProblem, parseChannels } from '../../src/release/channels.ts';
import { DOCUMENT_LIMIT } from '../../src/release/document.ts';
import { parseRelease } from '../../src/release/manifest.ts';
import { classify, isSchemaAccepted } from '../../src/release/schema.ts';
import { listed, MIGRATIONS, POLICY, releaseInput } from '../releases.ts';

const schemaOf = (name: string) => {
  const url = new URL(`../../../../schema/json/${name}.schema.json`, import.meta.url);
  return new Ajv2020({
    strict: true,
    allowUnionTypes: true,
    strictRequired: false,
    strictTypes: false,
  }).compile(JSON.parse(readFileSync(url, 'utf8')));
};
const fits = { release: schemaOf('release'), channels: schemaOf('channels') };
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));
/** A document with the member at `path` set to a value, or removed. */
function changed(document: object, path: (string | number)[], value: unknown): unknown {
  const copy = structuredClone(document);
  const [last, ...before] = path.toReversed();
  // biome-ignore lint/suspicious/noExplicitAny: it goes into JSON of any shape
  const parent = before.reverse().reduce((at: any, name) => at[name], copy);
  if (value === undefined) delete parent[last as string];
  else parent[last as string] = value;
  return copy;
}
function refusal(read: () => unknown): OperatorError {
  try {
    read();
  } catch (error) {
    if (error instanceof OperatorError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

const release = JSON.parse(
  buildRelease(releaseInput('1.2.0', { migrations: 3, rollbackTo: '1.1.0' })).toString(),
);
const channels: Channels = {
  schemaVersion: 1,
  counter: 3,
  issuedAt: '2026-11-01T00:00:00Z',
  expiresAt: '2027-02-01T00:00:00Z',
  channels: { stable: '1.1.0', beta: '1.2.0' },
  releases: [listed('1.0.0'), listed('1.1.0'), listed('1.2.0', { rollbackTo: '1.1.0', requiredStop: true })],
  yanked: [{ version: '1.0.0', reason: 'it lost data', replacedBy: '1.1.0' }],
};

describe('release.json', () => {
  test('is read as it was built; members that are not known are ignored', () => {
    const known = parseRelease(bytesOf(release));
    expect(known).toEqual(release);
    const more = { ...release, colour: 'blue', schema: { ...release.schema, more: 1 } };
    expect(parseRelease(bytesOf(more))).toEqual(release);
    expect(parseRelease(bytesOf(changed(release, ['images', 'api', 'platforms'], undefined)))).toEqual(
      release,
    );
  });

  test('of a later format wants a newer engine, however it looks', () => {
    expect(refusal(() => parseRelease(bytesOf({ schemaVersion: 2, everything: 'else' })))).toMatchObject({
      code: 'MANIFEST_TOO_NEW',
      exitCode: 3,
      hint: 'use a newer engine',
    });
  });

  const digest = 'sha256:short';
  test.each([
    [['version'], '1.2', 'version must be a version such as 1.4.0, not "1.2"'],
    [['version'], undefined, 'version is missing: a version such as 1.4.0'],
    [['createdAt'], '2026-02-31T00:00:00Z', 'createdAt must be a time such as 2026-11-23T12:00:00Z'],
    [['createdAt'], '2026-11-23 12:00', 'createdAt must be a time'],
    [['images'], {}, 'images: there is none'],
    [
      ['images', 'api', 'digest'],
      digest,
      'images.api.digest must be sha256: and 64 hexadecimal digits, not "sha256:short"',
    ],
    [['images', 'api', 'digest'], null, 'images.api has no digest, neither of an index nor of a platform'],
    [
      ['images', 'api', 'name'],
      'api:latest',
      'images.api.name must be the name of an image without tag and digest',
    ],
    [
      ['images', 'operator', 'platforms', 'amd64'],
      {},
      'images.operator.platforms: "amd64" is no platform such as linux/amd64',
    ],
    [['images', 'API'], { name: 'x' }, 'images: "API" is no name of a service'],
    [['schema'], [], 'schema must be an object, not []'],
    [['schema', 'head'], '0001_first', 'schema.head must be the last migration, 0003_third'],
    [['schema', 'accepts', 'newest'], '0001_first', 'schema.accepts.newest must be schema.head, 0003_third'],
    [
      ['schema', 'accepts', 'oldest'],
      '0009_other',
      'schema.accepts.oldest: 0009_other is not among schema.migrations',
    ],
    [
      ['schema', 'migrations', 1, 'kind'],
      'both',
      'schema.migrations[1].kind must be expand or contract, not "both"',
    ],
    [
      ['schema', 'migrations', 1, 'id'],
      '0000_zero',
      'schema.migrations[1].id: 0000_zero must come before 0001_first',
    ],
    [['upgradeFrom'], '1.3.0', 'upgradeFrom: 1.3.0 is newer than 1.2.0 itself'],
    [['rollbackTo'], '1.2.0', 'rollbackTo: 1.2.0 is not older than 1.2.0 itself'],
    [['rollbackTo'], undefined, 'rollbackTo is missing'],
    [['requiredStop'], 'yes', 'requiredStop must be true or false, not "yes"'],
    [
      ['requires', 'dockerApi', 'min'],
      '1',
      'requires.dockerApi.min must be an API version such as 1.44, not "1"',
    ],
    [['requires', 'diskBytes'], -1, 'requires.diskBytes must be a whole number from 0 to'],
    [['healthGate', 'checks'], [], 'healthGate.checks must be a list with at least 1 item, not []'],
    [['healthGate', 'checks', 0, 'target'], 'db', 'healthGate.checks[0].target must be api or web, not "db"'],
    [
      ['healthGate', 'timeoutSeconds'],
      0.5,
      'healthGate.timeoutSeconds must be a whole number from 1 to 86400, not 0.5',
    ],
    [['notes'], 7, 'notes must be a text, not 7'],
  ])('%j = %j: %s', (path, value, message) => {
    const error = refusal(() => parseRelease(bytesOf(changed(release, path, value)), '1.2.0/release.json'));
    expect(error).toMatchObject({ code: 'MANIFEST_INVALID', exitCode: 3 });
    expect(error.message).toContain('1.2.0/release.json');
    expect(error.details.join('\n')).toContain(message);
  });

  test.each([
    ['', 'it is not JSON'],
    ['{"schemaVersion":1', 'it is not JSON'],
    ['null', 'the document must be an object, not null'],
    [' '.repeat(DOCUMENT_LIMIT + 1), 'it is larger than 1048576 bytes'],
  ])('%.20j: %s', (text, message) =>
    expect(refusal(() => parseRelease(Buffer.from(text))).details.join('\n')).toContain(message),
  );

  test('that is not UTF-8 is refused', () =>
    expect(
      refusal(() => parseRelease(Buffer.from('{"schemaVersion":1,"notes":"\xff"}', 'latin1'))).details[0],
    ).toMatch(/not JSON/));

  test('all problems are told at once', () => {
    const { details } = refusal(() => parseRelease(bytesOf({ schemaVersion: 1 })));
    expect(details).toHaveLength(10);
  });
});

describe('channels.json', () => {
  test('is read as it is', () => expect(parseChannels(bytesOf(channels))).toEqual(channels));

  test.each([
    [['counter'], 0, 'counter must be a whole number from 1 to'],
    [['counter'], 2 ** 53, 'counter must be a whole number'],
    [['expiresAt'], '2026-11-01T00:00:00Z', 'expiresAt is not later than issuedAt'],
    [['channels', 'stable'], '1.9.0', 'channels.stable: 1.9.0 is not among releases'],
    [['channels', 'Stable'], '1.1.0', 'channels: "Stable" is no name of a channel'],
    [['releases', 1, 'version'], '1.0.0', 'releases[1].version: 1.0.0 is there twice'],
    [['releases', 1, 'sha256'], 'abc', 'releases[1].sha256 must be 64 hexadecimal digits, not "abc"'],
    [['yanked', 0, 'reason'], '', 'yanked[0].reason must be a text that is not empty, not ""'],
    [['yanked', 0, 'replacedBy'], '0.9.0', 'yanked[0].replacedBy: 0.9.0 is not newer than 1.0.0'],
    [['yanked', 1], channels.yanked[0], 'yanked[1].version: 1.0.0 is there twice'],
  ])('%j = %j: %s', (path, value, message) => {
    const error = refusal(() => parseChannels(bytesOf(changed(channels, path, value))));
    expect(error.code).toBe('MANIFEST_INVALID');
    expect(error.details.join('\n')).toContain(message);
  });

  test('has expired at its very end, and says what the clock says', () => {
    const at = (time: string) => freshnessProblem(channels, new Date(time));
    expect(at('2027-01-31T23:59:59Z')).toBeNull();
    expect(at('2027-02-01T00:00:00Z')).toMatchObject({ code: 'CHANNEL_EXPIRED', exitCode: 3 });
    expect(at('2027-02-01T00:00:00Z')?.message).toMatch(
      /good until 2027-02-01.*clock of this host says 2027-02-01T00:00Z/,
    );
    expect(at('2027-02-01T00:00:00Z')?.hint).toMatch(/keeps running.*if it is wrong, set it/);
    // A day is forgiven.
    expect(at('2026-10-31T00:00:01Z')).toBeNull();
    expect(at('2026-10-30T23:00:00Z')).toMatchObject({ code: 'CLOCK_BEHIND' });
  });

  test('says which version a channel means', () => {
    expect(chooseTarget(channels, { channel: 'beta' })).toBe('1.2.0');
    expect(chooseTarget(channels, { to: '1.1.0' })).toBe('1.1.0');
    expect(refusal(() => chooseTarget(channels, { channel: 'stabel' }))).toMatchObject({
      code: 'CHANNEL_UNKNOWN',
      exitCode: 2,
      hint: 'did you mean stable?',
    });
    expect(refusal(() => chooseTarget(channels, { channel: 'constructor' })).code).toBe('CHANNEL_UNKNOWN');
    expect(refusal(() => chooseTarget(channels, { to: '1.0.0' })).code).toBe('VERSION_YANKED');
    const withdrawn = { ...channels, channels: { stable: '1.0.0' } };
    expect(refusal(() => chooseTarget(withdrawn, { channel: 'stable' })).code).toBe('VERSION_YANKED');
  });
});

/** Changes that a publisher might make by mistake: a member gone, or of another kind. */
const mutation = fc.record({
  at: fc.nat(),
  value: fc.constantFrom<unknown>(
    undefined,
    null,
    '',
    'x',
    '1.0.0',
    '0001_first',
    '2026-11-01T00:00:00Z',
    -1,
    0,
    1,
    1.5,
    2 ** 53,
    true,
    [],
    {},
    [{}],
  ),
});
const pathsOf = (value: unknown, at: (string | number)[] = []): (string | number)[][] => [
  ...(at.length > 0 ? [at] : []),
  ...(typeof value === 'object' && value !== null
    ? Object.keys(value).flatMap((key) =>
        pathsOf(value[key as never], [...at, Array.isArray(value) ? Number(key) : key]),
      )
    : []),
];

test.each([
  ['release', release, parseRelease],
  ['channels', channels, parseChannels],
] as const)(
  'the JSON Schema of %s.json refuses nothing that the parser takes, and takes only what it leaves to check',
  (name, document, parse) => {
    const paths = pathsOf(document);
    // What needs more than one member to be seen, or a calendar.
    const beyond =
      /there is none|twice|not among|must come before|must be the last|must be schema\.head|itself|not later|not newer|must be a time such/;
    let refused = 0;
    fc.assert(
      fc.property(mutation, ({ at, value }) => {
        const mutant = changed(document, paths[at % paths.length] as (string | number)[], value);
        const accepted = fits[name](mutant);
        try {
          parse(bytesOf(mutant));
          expect([mutant, accepted, fits[name].errors]).toEqual([mutant, true, null]);
        } catch (error) {
          if (!(error instanceof OperatorError)) throw error;
          refused += 1;
          if (error.details.every((detail) => !beyond.test(detail)))
            expect([mutant, accepted]).toEqual([mutant, false]);
        }
      }),
      { numRuns: 2000, seed: 1 },
    );
    expect(refused).toBeGreaterThan(1000);
    expect(refused).toBeLessThan(2000);
  },
);

describe('what is built', () => {
  test('is the same for the same input, in whatever order it is given', () => {
    const input = releaseInput('1.0.0');
    const turned = { ...input, images: Object.fromEntries(Object.entries(input.images).reverse()) };
    expect(buildRelease(turned).equals(buildRelease(input))).toBe(true);
    const releases = ['1.0.0', '1.1.0', '1.10.0'].map((version) => {
      const bytes = buildRelease(releaseInput(version));
      return { bytes, manifest: parseRelease(bytes) };
    });
    const list = {
      previous: channels,
      channels: { stable: '1.10.0' },
      yanked: [],
      issuedAt: '2026-12-01T00:00:00Z',
      expiresAt: '2027-03-01T00:00:00Z',
    };
    const beta = { ...list, channels: { ...list.channels, beta: '1.1.0' } };
    const bytes = buildChannels({ ...beta, releases });
    expect(buildChannels({ ...beta, releases: releases.toReversed() }).equals(bytes)).toBe(true);
    expect(parseChannels(bytes)).toMatchObject({
      counter: 4,
      channels: { beta: '1.1.0', stable: '1.10.0' },
      releases: [{ version: '1.0.0' }, { version: '1.1.0' }, { version: '1.10.0' }],
      yanked: channels.yanked,
    });
    // A channel that is not named keeps its version, so that one must still be there.
    expect(refusal(() => buildChannels({ ...list, releases })).details).toEqual([
      'channels.beta: 1.2.0 is not among releases',
    ]);
  });

  test('is checked before it is written', () => {
    expect(refusal(() => buildRelease(releaseInput('1.0'))).code).toBe('MANIFEST_INVALID');
    expect(refusal(() => buildRelease({ ...releaseInput('1.0.0'), migrations: [] })).code).toBe(
      'MANIFEST_INVALID',
    );
  });

  test('comes of files that are checked, too', () => {
    expect(parsePolicy(bytesOf(POLICY), 'policy.json')).toEqual(POLICY);
    expect(refusal(() => parsePolicy(bytesOf({ ...POLICY, requires: {} }), 'policy.json')).details[0]).toBe(
      'requires.dockerApi is missing: an object',
    );
    expect(parseImages(bytesOf(release.images), 'images.json')).toEqual(release.images);
    expect(refusal(() => parseImages(bytesOf({ api: { name: 'x' } }), 'images.json')).details).toEqual([
      'images.api has no digest, neither of an index nor of a platform',
    ]);
  });
});

describe('the schema', () => {
  const at = (migrations: number, more = {}) =>
    parseRelease(buildRelease(releaseInput('1.0.0', { migrations, ...more })));

  test.each([
    // release with n migrations, accepting from; head; migrations of the newer release; accepted
    [2, '0001_first', '0001_first', 0, true],
    [2, '0001_first', '0002_second', 0, true],
    [2, '0002_second', '0001_first', 0, false],
    [1, '0001_first', '0002_second', 0, false],
    [1, '0001_first', '0002_second', 2, true],
    [2, '0001_first', '0003_third', 4, false],
    [2, '0001_first', '0004_fourth', 4, false],
    [3, '0003_third', '0004_fourth', 4, true],
    [3, '0003_third', '0005_of_somebody_else', 4, false],
    [3, '0003_third', '0003_of_somebody_else', 4, false],
    [3, '0003_third', null, 4, false],
  ])(
    'of %i migrations, from %s: a database at %s, known to %i: %s',
    (n, acceptsOldest, head, newer, accepted) =>
      expect(isSchemaAccepted(at(n, { acceptsOldest }), head, MIGRATIONS.slice(0, newer))).toBe(accepted),
  );

  test.each([
    ['0001_first', 2, { class: 'rolling', pending: ['0002_second'], contract: [] }],
    ['0002_second', 2, { class: 'rolling', pending: [], contract: [] }],
    [
      '0001_first',
      4,
      {
        class: 'planned-downtime',
        pending: ['0002_second', '0003_third', '0004_fourth'],
        contract: ['0003_third'],
      },
    ],
    ['0003_third', 4, { class: 'rolling', pending: ['0004_fourth'], contract: [] }],
    [null, 1, { class: 'rolling', pending: ['0001_first'], contract: [] }],
  ])('from %s to a release of %i migrations: %j', (head, migrations, expected) =>
    expect(classify(at(migrations), head)).toEqual(expected),
  );
});
