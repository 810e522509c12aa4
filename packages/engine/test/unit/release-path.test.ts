import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { OperatorError } from '../../src/model/errors.ts';
import type { ListedRelease, YankedRelease } from '../../src/release/channels.ts';
import { findPath, type PathQuestion, rollbackTargets } from '../../src/release/path.ts';
import { compareVersions, isPrerelease, isVersion } from '../../src/release/version.ts';
import { listed } from '../releases.ts';

const FULL = process.env.KG_TEST_FULL === '1';

/** What findPath throws. */
function refusal(question: Partial<PathQuestion>): OperatorError {
  try {
    findPath({ installed: '1.0.0', target: '3.0.0', releases: [], yanked: [], ...question });
  } catch (error) {
    if (error instanceof OperatorError) return error;
    throw error;
  }
  throw new Error('there is a path');
}
const gone = (version: string, replacedBy: string | null = null): YankedRelease => ({
  version,
  reason: 'it lost data',
  replacedBy,
});

describe('versions', () => {
  // The example of https://semver.org/#spec-item-11
  const ordered = [
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '1.0.1',
    '1.2.0',
    '1.10.0',
    '2.0.0',
  ];
  test('are ordered as semver.org orders them', () => {
    for (const [i, a] of ordered.entries())
      for (const [j, b] of ordered.entries())
        expect([a, b, Math.sign(compareVersions(a, b))]).toEqual([a, b, Math.sign(i - j)]);
  });

  test.each([
    '1.0',
    'v1.0.0',
    '01.0.0',
    '1.0.0-',
    '1.0.0-01',
    '1.0.0+build',
    '1.0.0 ',
    '1.0.0\n',
    '',
    'dev',
    '../1.0.0',
  ])('%j is none', (text) => expect(isVersion(text)).toBe(false));
});

describe('a path', () => {
  const releases = [
    listed('1.0.0'),
    listed('1.1.0'),
    listed('1.5.0', { requiredStop: true }),
    listed('1.6.0'),
    listed('2.0.0', { upgradeFrom: '1.5.0', requiredStop: true }),
    listed('2.0.1', { upgradeFrom: '1.5.0' }),
    listed('3.0.0-rc.1', { upgradeFrom: '2.0.0' }),
    listed('3.0.0', { upgradeFrom: '2.0.0' }),
  ];
  const walk = (installed: string, target: string, yanked: YankedRelease[] = []) =>
    findPath({ installed, target, releases, yanked });

  test('walks every required stop, and no more than it must', () => {
    expect(walk('1.0.0', '3.0.0')).toEqual(['1.5.0', '2.0.0', '3.0.0']);
    expect(walk('1.6.0', '3.0.0')).toEqual(['2.0.0', '3.0.0']);
    expect(walk('2.0.0', '3.0.0')).toEqual(['3.0.0']);
    expect(walk('3.0.0', '3.0.0')).toEqual([]);
    expect(walk('2.0.1', '3.0.0-rc.1')).toEqual(['3.0.0-rc.1']);
    expect(walk('3.0.0-rc.1', '3.0.0')).toEqual(['3.0.0']);
  });

  test('starts from a version that is not listed, or was withdrawn', () => {
    expect(walk('1.4.9', '1.6.0')).toEqual(['1.5.0', '1.6.0']);
    expect(walk('1.1.0', '1.5.0', [gone('1.1.0')])).toEqual(['1.5.0']);
  });

  test('takes the highest version between, not a pre-release', () => {
    const chain = [
      listed('1.1.0'),
      listed('1.2.0'),
      listed('1.3.0-rc.1'),
      listed('2.0.0', { upgradeFrom: '1.1.0' }),
    ];
    expect(findPath({ installed: '1.0.0', target: '2.0.0', releases: chain, yanked: [] })).toEqual([
      '1.2.0',
      '2.0.0',
    ]);
    expect(
      findPath({ installed: '1.0.0', target: '2.0.0', releases: chain, yanked: [gone('1.2.0')] }),
    ).toEqual(['1.1.0', '2.0.0']);
  });

  test('walks what replaces a withdrawn stop, through several replacements', () => {
    expect(walk('1.6.0', '3.0.0', [gone('2.0.0', '2.0.1')])).toEqual(['2.0.1', '3.0.0']);
    const more = [...releases, listed('2.0.2', { upgradeFrom: '1.5.0' })];
    const yanked = [gone('2.0.0', '2.0.1'), gone('2.0.1', '2.0.2')];
    expect(findPath({ installed: '1.6.0', target: '3.0.0', releases: more, yanked })).toEqual([
      '2.0.2',
      '3.0.0',
    ]);
    expect(findPath({ installed: '1.6.0', target: '2.0.2', releases: more, yanked })).toEqual(['2.0.2']);
  });

  test('does not pass a stop that was withdrawn and not replaced, and says so', () => {
    const error = refusal({ releases, yanked: [gone('2.0.0')] });
    expect(error).toMatchObject({ code: 'NO_UPGRADE_PATH', exitCode: 3 });
    expect(error.details.join('\n')).toMatch(/2\.0\.0 is a required stop[\s\S]*withdrawn \(it lost data\)/);
    expect(error.hint).toMatch(/versions before 2\.0\.0/);
    const between = refusal({ releases, target: '2.0.1', yanked: [gone('2.0.0', '3.0.0')] });
    expect(between.details.join('\n')).toMatch(/3\.0\.0, which replaces it, is newer than 2\.0\.1/);
    const unpublished = refusal({ releases, yanked: [gone('2.0.0', '2.0.9')] });
    expect(unpublished.details.join('\n')).toMatch(/2\.0\.9, which replaces it, is not published/);
  });

  test('that does not exist is explained: how far it leads, what is next, what would have helped', () => {
    const gap = [listed('1.1.0'), listed('1.9.0'), listed('3.0.0', { upgradeFrom: '2.5.0' })];
    const error = refusal({ releases: gap });
    expect(error).toMatchObject({ code: 'NO_UPGRADE_PATH', message: 'there is no way from 1.0.0 to 3.0.0' });
    expect(error.details).toEqual([
      'the way leads as far as 1.9.0',
      '3.0.0 can be installed over 2.5.0 or newer, not over 1.9.0',
    ]);
    expect(error.hint).toMatch(/release between 1\.9\.0 and 3\.0\.0[\s\S]*upgrade --to 1\.9\.0/);

    const island = [
      listed('2.0.0', { upgradeFrom: '1.5.0' }),
      ...gap.slice(2).map((r) => ({ ...r, upgradeFrom: '2.0.0' })),
    ];
    const withdrawn = refusal({ releases: [...island, listed('1.7.0')], yanked: [gone('1.7.0')] });
    expect(withdrawn.details).toEqual([
      '2.0.0 is next on the way to 3.0.0',
      '2.0.0 can be installed over 1.5.0 or newer, not over 1.0.0',
      '1.7.0 would have been between, but was withdrawn: it lost data',
    ]);
  });

  test.each([
    ['VERSION_UNKNOWN', { target: '1.5.1' }, /did you mean 1\.5\.0 or 1\.6\.0/],
    ['VERSION_UNKNOWN', { target: 'v2.0.1' }, /did you mean 2\.0\.1/],
    ['VERSION_UNKNOWN', { target: '9.9.9-rc.20261123' }, /the newest is 3\.0\.0/],
    ['VERSION_YANKED', { target: '2.0.1', yanked: [gone('2.0.1', '3.0.0')] }, /take 3\.0\.0/],
    ['VERSION_YANKED', { target: '2.0.1', yanked: [gone('2.0.1')] }, /versions --available/],
    ['DOWNGRADE', { installed: '2.0.0', target: '1.5.0' }, /rollback --to 1\.5\.0/],
    ['INSTALLED_UNKNOWN', { installed: 'local' }, /only releases/],
  ])('%s %j', (code, question, hint) => {
    const error = refusal({ releases, ...question });
    expect(error).toMatchObject({ code, exitCode: 3 });
    expect(error.hint).toMatch(hint);
  });
});

describe('rollbackTargets', () => {
  const releases = ['1.0.0', '1.1.0', '1.2.0', '2.0.0', '2.1.0'].map((version) =>
    listed(version, { rollbackTo: { '1.2.0': '1.0.0', '2.0.0': null, '2.1.0': '2.0.0' }[version] ?? null }),
  );
  test.each([
    ['1.2.0', ['1.1.0', '1.0.0']],
    ['2.0.0', []],
    ['2.1.0', ['2.0.0']],
    ['9.0.0', []],
  ])('of %s: %j', (installed, targets) =>
    expect(rollbackTargets({ installed, releases, yanked: [] })).toEqual(targets),
  );
  test('leave out what was withdrawn', () =>
    expect(rollbackTargets({ installed: '1.2.0', releases, yanked: [gone('1.1.0')] })).toEqual(['1.0.0']));
});

/**
 * The definition, by brute force: of all subsets of what lies between, those that are ways; of these the shortest; of these the one that
 * is highest, read from the front.
 */
function bruteForce({ installed, target, releases, yanked }: PathQuestion): string[] | null {
  const gone = new Map(yanked.map((one) => [one.version, one.replacedBy]));
  const all = new Map(releases.map((release) => [release.version, release]));
  const isBetween = (version: string) =>
    compareVersions(version, installed) > 0 && compareVersions(version, target) < 0;
  const stops: string[] = [];
  for (const { version, requiredStop } of releases) {
    if (!requiredStop || !isBetween(version)) continue;
    let stop: string | null = version;
    while (stop !== null && gone.has(stop)) stop = gone.get(stop) ?? null;
    if (stop === null || !all.has(stop) || compareVersions(stop, target) > 0) return null;
    if (stop !== target) stops.push(stop);
  }
  const between = releases
    .map(({ version }) => version)
    .filter((version) => isBetween(version) && !gone.has(version))
    .filter((version) => stops.includes(version) || !isPrerelease(version) || isPrerelease(target))
    .sort(compareVersions);
  let best: string[] | null = null;
  for (let set = 0; set < 2 ** between.length; set += 1) {
    const path = [...between.filter((_, bit) => set & (1 << bit)), target];
    if (best && path.length > best.length) continue;
    if (!stops.every((stop) => path.includes(stop))) continue;
    const isWay = path.every((version, index) => {
      const from = index === 0 ? installed : (path[index - 1] as string);
      return compareVersions(from, (all.get(version) as ListedRelease).upgradeFrom) >= 0;
    });
    if (isWay && (!best || path.length < best.length || isHigher(path, best))) best = path;
  }
  return best;
}

function isHigher(a: string[], b: string[]): boolean {
  const at = a.findIndex((version, index) => version !== b[index]);
  return at >= 0 && compareVersions(a[at] as string, b[at] as string) > 0;
}

const VERSIONS = [
  '1.0.0',
  '1.0.1',
  '1.1.0-rc.1',
  '1.1.0',
  '1.2.0',
  '2.0.0-beta.1',
  '2.0.0',
  '2.1.0',
  '3.0.0',
  '3.0.1',
];

const question: fc.Arbitrary<PathQuestion> = fc.subarray(VERSIONS, { minLength: 1 }).chain((versions) => {
  const last = versions.length - 1;
  return fc.record({
    // Any known version, listed or not.
    installed: fc.constantFrom(...VERSIONS),
    target: fc.constantFrom(...versions),
    releases: fc
      .tuple(
        ...versions.map((version) =>
          fc.record({
            version: fc.constant(version),
            requiredStop: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
            upgradeFrom: fc.constantFrom(...VERSIONS.slice(0, VERSIONS.indexOf(version) + 1)),
            rollbackTo: fc.constant(null),
            sha256: fc.constant('0'.repeat(64)),
          }),
        ),
      )
      // The order of the list says nothing.
      .chain((releases) => fc.shuffledSubarray(releases, { minLength: last + 1, maxLength: last + 1 })),
    yanked: fc.subarray(VERSIONS, { maxLength: 4 }).chain((gone) =>
      fc.tuple(
        ...gone.map((version) =>
          fc.record({
            version: fc.constant(version),
            reason: fc.constant('broken'),
            replacedBy: fc.constantFrom(null, ...VERSIONS.slice(VERSIONS.indexOf(version) + 1)),
          }),
        ),
      ),
    ),
  });
});

test('findPath finds what brute force finds, over random releases', () => {
  const found = { path: 0, none: 0, refused: 0, longest: 0 };
  fc.assert(
    fc.property(question, (asked) => {
      let path: string[] | null;
      try {
        path = findPath(asked);
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error;
        if (error.code !== 'NO_UPGRADE_PATH') {
          const isGone = asked.yanked.some(({ version }) => version === asked.target);
          expect(error.code).toBe(isGone ? 'VERSION_YANKED' : 'DOWNGRADE');
          if (!isGone) expect(compareVersions(asked.target, asked.installed)).toBeLessThan(0);
          found.refused += 1;
          return;
        }
        expect(error.details.length).toBeGreaterThan(0);
        expect(error.hint).toBeTruthy();
        path = null;
      }
      if (asked.installed === asked.target) return expect(path).toEqual([]);
      expect(path).toEqual(bruteForce(asked));
      if (!path) found.none += 1;
      else found.path += 1;
      found.longest = Math.max(found.longest, path?.length ?? 0);
      // Said once more in words of its own, in case both are wrong alike.
      expect(asked.yanked.some(({ version }) => path?.includes(version))).toBe(false);
    }),
    { numRuns: FULL ? 50_000 : 3000, seed: 20261123, ...(FULL && { seed: Date.now() }) },
  );
  // All outcomes are met, and ways of several hops.
  for (const count of [found.path, found.none, found.refused])
    expect(count).toBeGreaterThan(FULL ? 5000 : 200);
  expect(found.longest).toBeGreaterThanOrEqual(3);
});
