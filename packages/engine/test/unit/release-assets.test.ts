import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { type AssetsInput, buildAssets, parseSums, STANDALONE_FILES } from '../../src/release/assets.ts';
import { buildRelease } from '../../src/release/build.ts';
import { parseRelease } from '../../src/release/manifest.ts';
import { formatPublicKey } from '../../src/release/minisign.ts';
import { signDocument } from '../../src/release/sign.ts';
import { parsePins } from '../../src/upgrade/pins.ts';
import { newKey, releaseInput } from '../releases.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const key = newKey();

function input(more: Partial<AssetsInput> = {}): AssetsInput {
  const release = buildRelease(releaseInput('1.2.0'));
  return {
    manifest: parseRelease(release),
    release,
    files: Object.fromEntries(STANDALONE_FILES.map(([from, to]) => [to, readFileSync(join(root, from))])),
    installer: readFileSync(join(root, 'install.sh')),
    url: 'https://releases.example.org/kg',
    keys: { trusted: [key, newKey()], revoked: [] },
    ...more,
  };
}

describe('the assets of a release', () => {
  test('stock programs read them, and the same input gives the same bytes', async () => {
    const { archive, installer, sums } = await buildAssets(input());
    const again = await buildAssets(input({ keys: input().keys }));
    expect(again.archive.equals(archive)).toBe(true);
    const folder = mkdtempSync(join(tmpdir(), 'kg-assets-'));
    try {
      writeFileSync(join(folder, 'kg-1.2.0.tar.gz'), archive);
      writeFileSync(join(folder, 'install.sh'), installer);
      writeFileSync(join(folder, 'release.json'), input().release);
      writeFileSync(join(folder, 'SHA256SUMS'), sums);
      execFileSync('sha256sum', ['-c', '--strict', 'SHA256SUMS'], { cwd: folder, stdio: 'ignore' });
      execFileSync('tar', ['-xzf', 'kg-1.2.0.tar.gz'], { cwd: folder });
      const read = (name: string) => readFileSync(join(folder, 'kg-1.2.0', name), 'utf8');
      expect(read('operator.sh')).toContain('\nKG_VERSION=1.2.0\n');
      expect(read('docker-compose.ghcr.yml')).toContain('{IMAGE_TAG:-1.2.0}');
      expect(statSync(join(folder, 'kg-1.2.0/operator.sh')).mode & 0o777).toBe(0o755);
      expect(statSync(join(folder, 'kg-1.2.0/operator.sh')).mtime).toEqual(new Date('2026-11-01T00:00:00Z'));
      expect(parsePins(read('.operator/release.env'))).toEqual({
        version: '1.2.0',
        images: {
          api: `registry.example/kg-operator-api@sha256:${'a'.repeat(64)}`,
          operator: `registry.example/kg-operator-operator@sha256:${'b'.repeat(64)}`,
        },
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('install.sh gets the keys that are not revoked, the registry and the URL', async () => {
    const [old, current] = [newKey(), newKey()];
    const keys = { trusted: [old, current], revoked: [old.id] };
    const text = String((await buildAssets(input({ keys }))).installer);
    expect(text).toContain(`\nRELEASE_KEYS='${formatPublicKey(current)}' `);
    expect(text).toContain("\nRELEASES_URL='https://releases.example.org/kg' ");
    expect(text).toContain("\nREGISTRY_DEFAULT='registry.example'\n");
  });

  test('no URL that a shell would run, no installer without a place for keys', async () => {
    await expect(buildAssets(input({ url: "https://x/';id'" }))).rejects.toMatchObject({
      code: 'SOURCE_INVALID',
    });
    await expect(buildAssets(input({ installer: Buffer.from('#!/bin/sh\n') }))).rejects.toMatchObject({
      code: 'TEMPLATE_INVALID',
    });
  });

  test('an image with several platforms needs the digest of their index', async () => {
    const { manifest } = input();
    const digest = `sha256:${'d'.repeat(64)}`;
    const platforms = { 'linux/amd64': { digest, config: null }, 'linux/arm64': { digest, config: null } };
    const images = {
      ...manifest.images,
      api: { name: 'registry.example/kg-operator-api', digest: null, platforms },
    };
    await expect(buildAssets(input({ manifest: { ...manifest, images } }))).rejects.toMatchObject({
      code: 'IMAGE_AMBIGUOUS',
    });
  });

  test('SHA256SUMS is signed with its version, and nothing else under that name', async () => {
    const { sums } = await buildAssets(input());
    expect(parseSums(sums).version).toBe('1.2.0');
    expect(signDocument('SHA256SUMS', sums, [key])).toContain(
      '\ntrusted comment: kg-operator assets 1.2.0\n',
    );
    for (const text of ['', 'x', `${'0'.repeat(64)}  other\n`, `${sums}../x\n`, sums.subarray(0, -1)])
      expect(() => parseSums(Buffer.from(text))).toThrow('no SHA256SUMS');
  });

  test('the operator image carries the same files', () => {
    const lines = readFileSync(join(root, 'docker/operator/Dockerfile'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('COPY') && line.includes(' standalone/'));
    const copied = lines.flatMap((line) =>
      line.split(' ').filter((word) => !/^(COPY|--|standalone)/.test(word)),
    );
    expect(copied.sort()).toEqual(STANDALONE_FILES.map(([from]) => from).sort());
  });
});
