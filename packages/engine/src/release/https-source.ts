import http from 'node:http';
import https from 'node:https';
import { type Clock, growingPause } from '../adapters/clock.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import { throwIfInterrupted } from '../run/wait.ts';
import { missing, type ReleaseSource, tooLarge } from './source.ts';

const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 500;
/** What a server may ask for with Retry-After; longer ones are cut, a person is waiting. */
const LONGEST_PAUSE_MS = 30_000;
const ATTEMPT_TIMEOUT_MS = 30_000;
const MAX_REDIRECTS = 5;

interface HttpsOptions {
  clock: Clock;
  /** `https_proxy`, `http_proxy` and `no_proxy` are read from it, as Node does (Agent's `proxyEnv`). */
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
  attemptTimeoutMs?: number;
}

/**
 * A web server. Only HTTPS, also after a redirect; plain HTTP is for this very host, where a mirror or a test may listen.
 * Each file is asked for up to four times: after 429, 5xx, a name that does not resolve, a broken connection, a timeout.
 * @throws OperatorError SOURCE_INVALID
 */
export function httpsSource(address: string, options: HttpsOptions): ReleaseSource {
  const base = baseOf(address);
  const { clock, env = process.env, signal } = options;
  const agents = { 'http:': new http.Agent({ proxyEnv: env }), 'https:': new https.Agent({ proxyEnv: env }) };

  async function attempt(name: string, limit: number): Promise<Buffer> {
    const timeout = AbortSignal.timeout(options.attemptTimeoutMs ?? ATTEMPT_TIMEOUT_MS);
    const cancel = signal ? AbortSignal.any([signal, timeout]) : timeout;
    let url = new URL(name, base);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
      const response = await get(url, agents[url.protocol as keyof typeof agents], cancel);
      const { statusCode = 0, headers } = response;
      if (statusCode === 200) return collect(response, limit, () => tooLarge(name, base.href, limit));
      response.destroy();
      if ([301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined)
        url = redirectTarget(url, headers.location, base);
      else throw refusalOf(statusCode, headers['retry-after'], name, base.href);
    }
    throw new OperatorError('SOURCE_UNREACHABLE', `${new URL(name, base)} redirects without end`, {
      exitCode: EXIT.docker,
    });
  }

  return {
    address: base.href,
    async read(name, limit) {
      for (let tried = 1; ; tried += 1) {
        try {
          return await attempt(name, limit);
        } catch (error) {
          if (signal) throwIfInterrupted(signal);
          if (!isTemporary(error))
            throw error instanceof OperatorError ? error : unreachable(base, error, tried);
          if (tried === ATTEMPTS) throw unreachable(base, error, tried);
          await clock.sleep(pauseAfter(error, tried));
          if (signal) throwIfInterrupted(signal);
        }
      }
    },
  };
}

/** A status that another try may change. */
class TemporaryStatus extends Error {
  readonly retryAfterMs: number;

  constructor(status: number, retryAfter: string | undefined) {
    super(`the server answers ${status}`);
    // RFC 9110, section 10.2.3: seconds, or a date, which no server of files uses.
    this.retryAfterMs = /^\d+$/.test(retryAfter ?? '') ? Number(retryAfter) * 1000 : 0;
  }
}

function pauseAfter(error: unknown, tried: number): number {
  const pause = growingPause(FIRST_PAUSE_MS, tried);
  const asked = error instanceof TemporaryStatus ? error.retryAfterMs : 0;
  return Math.min(LONGEST_PAUSE_MS, Math.max(pause, asked));
}

const TEMPORARY = ['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'].concat([
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ERR_PROXY_TUNNEL',
]);

function isTemporary(error: unknown): boolean {
  if (error instanceof TemporaryStatus) return true;
  const { name, code } = error as NodeJS.ErrnoException;
  return name === 'TimeoutError' || name === 'AbortError' || TEMPORARY.includes(code ?? '');
}

function baseOf(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (!url || !isAllowed(url) || url.username || url.password || url.search || url.hash)
    throw new OperatorError('SOURCE_INVALID', 'that is no place to fetch releases from', {
      exitCode: EXIT.usage,
      hint: 'name it as https://HOST/PATH, without a password and without ? or #',
    });
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

function isAllowed({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isThisHost(hostname));
}

function isThisHost(hostname: string): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
}

/** Where a redirect leads. From the web nothing leads to plain HTTP, nor to this host. @throws OperatorError SOURCE_REDIRECT */
export function redirectTarget(from: URL, location: string, base: URL): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (to && (to.protocol === 'https:' || (base.protocol === 'http:' && isAllowed(to)))) return to;
  throw new OperatorError(
    'SOURCE_REDIRECT',
    `${from} redirects to ${to?.origin ?? 'nowhere'}, which is not https`,
    {
      exitCode: EXIT.docker,
      hint: 'nothing was fetched from there; name the address that it should lead to',
    },
  );
}

function get(url: URL, agent: http.Agent, signal: AbortSignal): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { 'user-agent': 'kg-operator', accept: 'application/octet-stream, */*' };
    const request = (url.protocol === 'https:' ? https : http).get(url, { agent, headers, signal });
    request.once('response', resolve);
    // `on`: a connection can fail again after it has failed.
    request.on('error', (error) => reject(signal.aborted ? signal.reason : error));
  });
}

async function collect(
  response: http.IncomingMessage,
  limit: number,
  refusal: () => OperatorError,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Leaving the loop closes the connection.
    if (size > limit) throw refusal();
    chunks.push(chunk);
  }
  if (!response.complete) throw Object.assign(new Error('the connection broke off'), { code: 'ECONNRESET' });
  return Buffer.concat(chunks);
}

function refusalOf(status: number, retryAfter: string | undefined, name: string, address: string): Error {
  if (status === 429 || status >= 500) return new TemporaryStatus(status, retryAfter);
  if (status === 404 || status === 410) return missing(name, address);
  return new OperatorError('SOURCE_UNREACHABLE', `${address}${name}: the server answers ${status}`, {
    exitCode: EXIT.docker,
    hint: 'check the address',
  });
}

function unreachable({ href, hostname }: URL, error: unknown, tried: number): OperatorError {
  const { code = '' } = error as NodeJS.ErrnoException;
  const isCertificate = /CERT|TLS|SSL|SELF_SIGNED/.test(code);
  return new OperatorError(
    'SOURCE_UNREACHABLE',
    `${href} can't be reached${tried > 1 ? ` after ${tried} tries` : ''}: ${messageOf(error)}`,
    {
      exitCode: EXIT.docker,
      hint: isCertificate
        ? `the certificate of ${hostname} is not accepted: is the clock of this host right, and is there a proxy whose authority it does not know (NODE_EXTRA_CA_CERTS)?`
        : 'nothing was changed; check network, DNS and the proxy variables (https_proxy, no_proxy), or use a bundle: --from FILE',
      cause: error,
    },
  );
}
