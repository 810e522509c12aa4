import { chown, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect, type PeerCertificate } from 'node:tls';
import { expectCode, run } from './command.ts';

/** As openssl's -startdate and -enddate want it: YYYYMMDDHHMMSSZ. */
const openSslTime = (time: number) => `${new Date(time).toISOString().replace(/[-T:]|\.\d+/g, '')}`;
const DAY_MS = 86_400_000;

/** A certificate authority of a company's own, made with openssl. */
export class Authority {
  readonly #folder: string;
  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(): Promise<Authority> {
    const folder = await mkdtemp(join(tmpdir(), 'kg-ca-'));
    const authority = new Authority(folder);
    const subject = '/CN=The Company Root';
    await authority.#openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', subject, '-days', '3650', '-keyout', 'ca.key', '-out', 'ca.pem'],
    );
    await writeFile(
      join(folder, 'ca.cnf'),
      '[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\npolicy=any\ncopy_extensions=copy\nunique_subject=no\n[any]\ncommonName=supplied\n',
    );
    await writeFile(join(folder, 'index'), '');
    await writeFile(join(folder, 'serial'), '01\n');
    return authority;
  }

  root(): Promise<string> {
    return readFile(join(this.#folder, 'ca.pem'), 'utf8');
  }

  /** Puts a certificate for `name`, good for the days given from now, and its key where an installation takes them from. */
  async issue(root: string, name: string, days: { from: number; to: number }): Promise<void> {
    await this.#openssl(
      ...[
        'req',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-subj',
        `/CN=${name}`,
      ],
      ...['-addext', `subjectAltName=DNS:${name}`, '-keyout', 'leaf.key', '-out', 'leaf.csr'],
    );
    const now = Date.now();
    await this.#openssl(
      ...['ca', '-batch', '-notext', '-config', 'ca.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key'],
      ...[
        '-startdate',
        openSslTime(now + days.from * DAY_MS),
        '-enddate',
        openSslTime(now + days.to * DAY_MS),
      ],
      ...['-in', 'leaf.csr', '-out', 'leaf.pem'],
    );
    const target = join(root, 'tls');
    await mkdir(target, { recursive: true });
    for (const [from, to] of [
      ['leaf.pem', 'cert.pem'],
      ['leaf.key', 'key.pem'],
    ] as const) {
      const temporary = join(target, `.${to}`);
      await writeFile(temporary, await readFile(join(this.#folder, from)), { mode: 0o600 });
      await own(temporary);
      await rename(temporary, join(target, to));
    }
    await own(target);
  }

  /** The private key of the last certificate, PEM. */
  lastKey(): Promise<string> {
    return readFile(join(this.#folder, 'leaf.key'), 'utf8');
  }

  remove(): Promise<void> {
    return rm(this.#folder, { recursive: true });
  }

  async #openssl(...args: string[]): Promise<void> {
    expectCode(await run('openssl', args, { cwd: this.#folder }));
  }
}

/** Files of root are refused; whoever else runs the tests can't give his away, and need not. */
async function own(path: string): Promise<void> {
  if (process.getuid?.() === 0) await chown(path, 1234, 1234);
}

export interface TlsClient {
  port: number;
  /** The name asked for; the connection goes to `address`. */
  name: string;
  address?: string;
  /** The only root that it trusts. */
  ca?: string;
}

const target = ({ port, name, address = '127.0.0.1' }: TlsClient) => ({
  host: address,
  port,
  servername: name,
  agent: false as const,
});

/** A request as a careful client makes it. @throws what node throws where it does not trust the server */
export function ask(
  client: TlsClient,
  options: RequestOptions,
  body?: URLSearchParams,
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({
      ...target(client),
      ...(client.ca ? { ca: client.ca } : {}),
      ...options,
      headers: {
        host: `${client.name}:${client.port}`,
        ...(body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
        ...(options.headers as Record<string, string>),
      },
    });
    asked.once('error', reject);
    asked.once('response', (response) => {
      text(response).then(
        (read) => resolve({ status: response.statusCode ?? 0, headers: response.headers, text: read }),
        reject,
      );
    });
    asked.end(body?.toString());
  });
}

/** What the server shows and agrees to, whether trusted or not. */
export function handshake(
  client: TlsClient,
): Promise<{ certificate: PeerCertificate; protocol: string | null; alpn: string | false | null }> {
  return new Promise((resolve, reject) => {
    const options = { ...target(client), rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] };
    const socket = connect(options, () => {
      const certificate = socket.getPeerCertificate();
      const seen = { certificate, protocol: socket.getProtocol(), alpn: socket.alpnProtocol };
      socket.destroy();
      resolve(seen);
    });
    socket.once('error', reject);
  });
}
