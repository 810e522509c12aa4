import { request } from 'node:https';
import { isIP } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type ConnectionOptions, checkServerIdentity, connect, type DetailedPeerCertificate } from 'node:tls';
import type { Settings } from '../model/settings.ts';

/** A certificate as a client was shown it. */
export interface ShownCertificate {
  /** Common name of who signed it, or its organisation. */
  issuer: string;
  /** DNS names and addresses that it is for, as text. */
  names: string[];
  /** ISO 8601. */
  notBefore: string;
  notAfter: string;
  /** SHA-256, upper-case hexadecimal pairs with colons. */
  fingerprint: string;
  /** Null: its chain leads to a root that is trusted. Otherwise OpenSSL's reason, such as `SELF_SIGNED_CERT_IN_CHAIN`. */
  untrusted: string | null;
  /** It is for the name that was asked for (RFC 6125, as a browser judges it). */
  namesHost: boolean;
}

/**
 * The fetch that asks the gateway where it has TLS: inside the network it is called `gateway`, its certificate is for PUBLIC_HOST. Other
 * addresses, such as those of AI providers, are left to the fetch given.
 */
export function fetchThroughTls(
  { gateway, tls }: Pick<Settings, 'gateway' | 'tls'>,
  others: typeof fetch = fetch,
): typeof fetch {
  if (!tls) return others;
  const origins = [gateway.api, gateway.web].map((url) => new URL(url).origin);
  return async (input, init) => {
    const url = input instanceof Request ? null : new URL(input);
    return url?.protocol === 'https:' && origins.includes(url.origin)
      ? ask(url, tls.host, init?.signal ?? undefined)
      : others(input, init);
  };
}

/** GETs, which is all that is asked here. */
function ask(url: URL, host: string, signal: AbortSignal | undefined): Promise<Response> {
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      servername: sni(host),
      headers: { host },
      // The question is whether the platform answers, and no secret goes with it. Whether clients can trust it, `cert status` says.
      rejectUnauthorized: false,
      agent: false,
      ...(signal ? { signal } : {}),
    });
    asked.once('error', (error) => reject(explained(error)));
    asked.once('response', (message) => {
      buffer(message).then(
        (body) => resolve(new Response(body, { status: message.statusCode ?? 502 })),
        reject,
      );
    });
    asked.end();
  });
}

export interface CertificateQuestion {
  /** Where to connect to: `https://gateway:3000`. */
  url: string;
  /** What a client asks for. */
  host: string;
  /** A root in PEM to trust instead of those that node knows; null: those. */
  root: string | null;
  timeoutMs: number;
}

/** Connects as a client would, and takes what is shown, whatever it is. @throws Error where no TLS connection comes about */
export function shownCertificate({
  url,
  host,
  root,
  timeoutMs,
}: CertificateQuestion): Promise<ShownCertificate> {
  const { hostname, port } = new URL(url);
  const options: ConnectionOptions = {
    host: hostname,
    port: Number(port || 443),
    servername: sni(host),
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: false,
    // Judged apart, so that `authorizationError` is about the chain alone.
    checkServerIdentity: () => undefined,
    ...(root === null ? {} : { ca: root }),
    timeout: timeoutMs,
  };
  return new Promise((resolve, reject) => {
    const socket = connect(options, () => {
      const certificate = socket.getPeerCertificate(true);
      const untrusted = socket.authorized ? null : codeOf(socket.authorizationError);
      socket.destroy();
      resolve(toShown(certificate, host, untrusted));
    });
    socket.once('timeout', () => socket.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    socket.once('error', (error) => reject(explained(error)));
  });
}

/** TLS names no address (RFC 6066 §3): a client that opens one sends none. */
const sni = (host: string): string => (isIP(host) ? '' : host);

/** Caddy answers with this alert while it has no certificate to show. */
function explained(error: NodeJS.ErrnoException): Error {
  return error.code === 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR'
    ? new Error('the gateway has no certificate yet', { cause: error })
    : error;
}

/** Node's types say Error; it gives a text. */
function codeOf(error: Error | string | undefined): string {
  return typeof error === 'string' ? error : ((error as NodeJS.ErrnoException)?.code ?? String(error));
}

function toShown(
  certificate: DetailedPeerCertificate,
  host: string,
  untrusted: string | null,
): ShownCertificate {
  const { issuer, subjectaltname = '', valid_from, valid_to, fingerprint256 } = certificate;
  const text = (value: string | string[] | undefined) => (Array.isArray(value) ? value.join(', ') : value);
  return {
    issuer: text(issuer.CN) ?? text(issuer.O) ?? 'unknown',
    names: subjectaltname.split(', ').flatMap((name) => /^(?:DNS|IP Address):(.+)$/.exec(name)?.[1] ?? []),
    notBefore: new Date(valid_from).toISOString(),
    notAfter: new Date(valid_to).toISOString(),
    fingerprint: fingerprint256,
    untrusted,
    namesHost: checkServerIdentity(host, certificate) === undefined,
  };
}
