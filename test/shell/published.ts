import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  archiveName,
  buildAssets,
  STANDALONE_FILES,
  SUMS,
} from '../../packages/engine/src/release/assets.ts';
import { buildChannels, buildRelease } from '../../packages/engine/src/release/build.ts';
import type { YankedRelease } from '../../packages/engine/src/release/channels.ts';
import { CHANNELS } from '../../packages/engine/src/release/document.ts';
import { parseRelease } from '../../packages/engine/src/release/manifest.ts';
import { formatPublicKey, type SecretKey } from '../../packages/engine/src/release/minisign.ts';
import { signDocument } from '../../packages/engine/src/release/sign.ts';
import { newKey, releaseInput } from '../../packages/engine/test/releases.ts';
import { REPOSITORY } from './shim.ts';

const DAY_MS = 86_400_000;

/** A folder of signed releases as install.sh reads it, made from the working tree by the product's own code; images are made up. */
export class Published {
  readonly folder = mkdtempSync(join(tmpdir(), 'kg-published-'));
  readonly key: SecretKey = newKey();
  readonly #versions: string[] = [];
  #server: Server | undefined;
  /** Paths that were asked for. */
  readonly requests: string[] = [];
  /** Answered with instead of now. */
  date: Date | undefined;

  [Symbol.dispose](): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Adds a version. @param change changes files of the archive before it is packed */
  async add(
    version: string,
    change: (name: string, text: string) => string = (_, text) => text,
  ): Promise<this> {
    const release = buildRelease(releaseInput(version, { upgradeFrom: '1.0.0' }));
    const read = (path: string) => readFileSync(join(REPOSITORY, path), 'utf8');
    const assets = await buildAssets({
      manifest: parseRelease(release),
      release,
      files: Object.fromEntries(
        STANDALONE_FILES.map(([from, to]) => [to, Buffer.from(change(to, read(from)))]),
      ),
      installer: Buffer.from(read('install.sh')),
      url: null,
      keys: { trusted: [this.key], revoked: [] },
    });
    this.write(`${version}/release.json`, release);
    this.write(`${version}/${archiveName(version)}`, assets.archive);
    this.write('install.sh', assets.installer);
    this.write(`${version}/${SUMS}`, assets.sums);
    this.sign(`${version}/release.json`, `${version}/${SUMS}`);
    this.#versions.push(version);
    return this;
  }

  /** Signs the list of all that were added; `stable` is the last of them. */
  issue({ yanked = [] as YankedRelease[], at = new Date() } = {}): this {
    const releases = this.#versions.map((version) => {
      const bytes = this.read(`${version}/release.json`);
      return { manifest: parseRelease(bytes), bytes };
    });
    const time = (date: Date) => `${date.toISOString().slice(0, 19)}Z`;
    const channels = { stable: this.#versions.at(-1) ?? '', old: this.#versions[0] ?? '' };
    const expiresAt = time(new Date(at.getTime() + 90 * DAY_MS));
    this.write(
      CHANNELS,
      buildChannels({ previous: null, releases, channels, yanked, issuedAt: time(at), expiresAt }),
    );
    this.sign(CHANNELS);
    return this;
  }

  sign(...names: string[]): void {
    for (const name of names)
      this.write(
        `${name}.minisig`,
        Buffer.from(signDocument(name.split('/').at(-1) ?? '', this.read(name), [this.key])),
      );
  }

  publicKey(): string {
    return formatPublicKey(this.key);
  }

  path(name = ''): string {
    return join(this.folder, name);
  }

  read(name: string): Buffer {
    return readFileSync(this.path(name));
  }

  write(name: string, bytes: Uint8Array): void {
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), bytes);
  }

  /** A copy that can be damaged; it has no server. */
  copy(): Published {
    const copy = new Published();
    cpSync(this.folder, copy.folder, { recursive: true });
    return copy;
  }

  /** Serves it on 127.0.0.1. @returns its URL */
  async serve(): Promise<string> {
    this.#server ??= await new Promise<Server>((resolve) => {
      const server = createServer((request, response) => {
        const name = decodeURIComponent(request.url ?? '').slice(1);
        this.requests.push(name);
        if (this.date) response.setHeader('date', this.date.toUTCString());
        try {
          response.end(this.read(name));
        } catch {
          response.writeHead(404).end();
        }
      });
      server.listen(0, '127.0.0.1', () => resolve(server));
    });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
}
