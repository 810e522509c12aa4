import { describe, expect, test } from '@jest/globals';
import { buildChannels, buildRelease, type ReleaseInput } from '../../src/release/build.ts';
import { type Channels, parseChannels, type YankedRelease } from '../../src/release/channels.ts';
import { type LintInput, lintReleases } from '../../src/release/lint.ts';
import { parseRelease } from '../../src/release/manifest.ts';
import { MIGRATIONS, releaseInput } from '../releases.ts';

function folder(
  inputs: ReleaseInput[],
  {
    yanked = [],
    channels,
    previous = null,
  }: { yanked?: YankedRelease[]; channels?: Record<string, string>; previous?: Channels | null } = {},
): LintInput & { channels: Channels } {
  const releases = inputs.map((input) => {
    const bytes = buildRelease(input);
    return { bytes, manifest: parseRelease(bytes) };
  });
  const list = buildChannels({
    previous,
    releases,
    channels: channels ?? { stable: inputs.at(-1)?.version as string },
    yanked,
    issuedAt: '2026-11-01T00:00:00Z',
    expiresAt: '2027-02-01T00:00:00Z',
  });
  return {
    channels: parseChannels(list),
    releases,
    previous: null,
    migrations: null,
    now: new Date('2026-11-23T00:00:00Z'),
  };
}
const found = (input: LintInput) =>
  lintReleases(input).map(({ rule, file, message }) => `${rule} ${file}: ${message}`);

const good = [
  releaseInput('1.0.0'),
  releaseInput('1.1.0', { migrations: 2, rollbackTo: '1.0.0', requiredStop: true }),
  releaseInput('2.0.0', { migrations: 4, upgradeFrom: '1.1.0' }),
];

describe('release lint', () => {
  test('finds nothing in releases that are right', () => {
    expect(found({ ...folder(good), migrations: MIGRATIONS })).toEqual([]);
    const beta = [
      ...good,
      releaseInput('2.1.0-rc.1', { migrations: 4, upgradeFrom: '2.0.0', rollbackTo: '2.0.0' }),
    ];
    expect(found(folder(beta, { channels: { stable: '2.0.0', beta: '2.1.0-rc.1' } }))).toEqual([]);
  });

  test('the list: missing, expired, from the future, not counted up', () => {
    const input = folder(good);
    expect(found({ ...input, channels: null })).toEqual(['list-missing channels.json: it is missing']);
    expect(found({ ...input, now: new Date('2027-02-01T00:00:00Z') })[0]).toMatch(
      /^expired channels\.json: /,
    );
    expect(found({ ...input, now: new Date('2026-10-01T00:00:00Z') })[0]).toMatch(
      /^expired channels\.json: .*issued/,
    );
    expect(found({ ...input, previous: input.channels })).toEqual([
      'counter channels.json: the counter is 1, the published one is 1',
    ]);
  });

  test('the list and the files: what differs, what is gone, what was published before', () => {
    const input = folder(good);
    const [first, ...rest] = input.releases;
    expect(found({ ...input, releases: rest })).toContain('list-differs 1.0.0/release.json: it is missing');
    const bytes = buildRelease(releaseInput('1.0.0', { notes: 'Something else.', requiredStop: true }));
    const changed = found({ ...input, releases: [{ bytes, manifest: parseRelease(bytes) }, ...rest] });
    expect(changed).toEqual([
      'list-differs 1.0.0/release.json: requiredStop is true, channels.json says false',
      expect.stringMatching(/^list-differs 1\.0\.0\/release\.json: its SHA-256 is /),
    ]);
    const previous = { ...input.channels, counter: 0 };
    const fewer = folder(good.slice(1));
    expect(found({ ...fewer, previous })).toEqual([
      'published-changed 1.0.0/release.json: it was published, and is not listed any more',
    ]);
    const others = [releaseInput('1.0.0', { notes: 'Something else.' }), ...good.slice(1)];
    expect(found({ ...folder(others), previous })).toEqual([
      'published-changed 1.0.0/release.json: it is not the one that was published',
    ]);
    expect(first).toBeDefined();
  });

  test('paths: from every published version, withdrawn ones too, to the newest of every channel', () => {
    const gap = [
      releaseInput('1.0.0'),
      releaseInput('1.0.1'),
      releaseInput('3.0.0', { upgradeFrom: '2.0.0' }),
    ];
    expect(found(folder(gap, { yanked: [{ version: '1.0.1', reason: 'bad', replacedBy: null }] }))).toEqual([
      'no-path channels.json: stable: there is no way from 1.0.0 to 3.0.0; 3.0.0 can be installed over 2.0.0 or newer, not over 1.0.0',
      expect.stringMatching(/^no-path channels\.json: stable: there is no way from 1\.0\.1 to 3\.0\.0/),
    ]);
    const stop = { version: '1.1.0', reason: 'bad', replacedBy: null };
    expect(found(folder(good, { yanked: [stop] }))[0]).toMatch(
      /^no-path .*1\.0\.0 to 2\.0\.0; 1\.1\.0 is a required stop/,
    );
    const replaced = [
      ...good.slice(0, 2),
      releaseInput('1.1.1', { migrations: 2, upgradeFrom: '1.0.0' }),
      ...good.slice(2),
    ];
    expect(found(folder(replaced, { yanked: [{ ...stop, replacedBy: '1.1.1' }] }))).toEqual([]);
    expect(found(folder(good, { yanked: [{ version: '2.0.0', reason: 'bad', replacedBy: null }] }))).toEqual([
      'channel-withdrawn channels.json: stable: 2.0.0 was withdrawn: bad',
    ]);
  });

  test('a required stop that is a pre-release', () => {
    const rc = releaseInput('1.0.1-rc.1', { requiredStop: true });
    expect(found(folder([good[0] as ReleaseInput, rc], { channels: {} }))).toEqual([
      'stop-prerelease 1.0.1-rc.1/release.json: 1.0.1-rc.1 is a pre-release and a required stop',
    ]);
  });

  test('migrations: in the order of versions, and those of the folder', () => {
    const hotfix = {
      ...releaseInput('1.0.1'),
      migrations: [...MIGRATIONS.slice(0, 1), { id: '0002_hotfix', kind: 'expand' as const }],
    };
    expect(found(folder([good[0] as ReleaseInput, hotfix, ...good.slice(1)]))).toContain(
      'migrations-order 1.1.0/release.json: 1.0.1 has 0002_hotfix (expand) where 1.1.0 has 0002_second (expand)',
    );
    const fewer = [releaseInput('1.0.0', { migrations: 2 }), releaseInput('1.1.0', { migrations: 1 })];
    expect(found(folder(fewer))).toEqual([
      'migrations-order 1.1.0/release.json: 1.0.0 has 0002_second (expand) where 1.1.0 has nothing',
    ]);
    const input = folder(good);
    expect(found({ ...input, migrations: [...MIGRATIONS, { id: '0005_fifth', kind: 'expand' }] })).toEqual([
      'migrations-differ 2.0.0/release.json: it has nothing where the folder has 0005_fifth (expand)',
    ]);
    expect(found({ ...input, migrations: MIGRATIONS.map(({ id }) => ({ id, kind: 'expand' })) })).toEqual([
      'migrations-differ 2.0.0/release.json: it has 0003_third (contract) where the folder has 0003_third (expand)',
    ]);
  });

  test('rollbackTo past a contract migration', () => {
    const wrong = [
      ...good.slice(0, 2),
      releaseInput('2.0.0', { migrations: 4, upgradeFrom: '1.1.0', rollbackTo: '1.0.0' }),
    ];
    expect(found(folder(wrong))).toEqual([
      'rollback-schema 2.0.0/release.json: rollbackTo includes 1.1.0, which does not run on 0004_fourth, because of 0003_third (contract)',
      'rollback-schema 2.0.0/release.json: rollbackTo includes 1.0.0, which does not run on 0004_fourth, because of 0003_third (contract)',
    ]);
  });
});
