import type { ShownCertificate } from '../adapters/gateway-tls.ts';
import type { TlsMode } from '../model/settings.ts';

/** `due`: to be renewed now. `overdue`: it should have been; whoever renews it does not get through. */
export type CertificateState =
  | 'off'
  | 'good'
  | 'due'
  | 'overdue'
  | 'expired'
  | 'not-yet-valid'
  | 'wrong-name'
  | 'not-served';

/** What `cert status` answers; schema/json/cert-status.schema.json describes it. */
export interface CertificateStatus {
  mode: TlsMode | 'off';
  host: string | null;
  url: string;
  state: CertificateState;
  /** Off, or shown, for this name, and neither expired nor overdue. */
  ok: boolean;
  issuer: string | null;
  names: string[];
  /** ISO 8601. */
  notBefore: string | null;
  notAfter: string | null;
  /** Days of 24 hours, one decimal; negative when it has expired. */
  daysLeft: number | null;
  /** From when it is to be renewed, ISO 8601. */
  renewFrom: string | null;
  nameMatches: boolean | null;
  /** By a client with the usual roots, or, for `internal`, with the root of `cert root`. */
  trusted: boolean | null;
  /** OpenSSL's reason where it is not trusted. */
  untrustedBecause: string | null;
  fingerprint: string | null;
  problem: string | null;
  fix: string | null;
}

const DAY_MS = 86_400_000;
/** Caddy renews when a third of the lifetime is left (certmagic's DefaultRenewalWindowRatio); files are a person's, who wants a month at most. */
const RENEWAL_RATIO = 1 / 3;
const RENEWAL_DAYS = 30;
/** Of the time in which it should be renewed, so much may pass. */
const PATIENCE = 1 / 2;

export interface CertificateLook {
  tls: { mode: TlsMode; host: string } | null;
  url: string;
  /** What came of connecting: the certificate, or why there was none. */
  shown: ShownCertificate | { failure: string };
  now: Date;
}

/** Judges what a client was shown. Pure. */
export function certificateStatus({ tls, url, shown, now }: CertificateLook): CertificateStatus {
  if (!tls) return { ...nothing('off', null, url), state: 'off', ok: true };
  const { mode, host } = tls;
  const base = nothing(mode, host, url);
  if ('failure' in shown)
    return {
      ...base,
      problem: `no certificate is shown: ${shown.failure}`,
      fix: NOT_SERVED[mode],
    };
  const notBefore = Date.parse(shown.notBefore);
  const notAfter = Date.parse(shown.notAfter);
  const window = Math.min((notAfter - notBefore) * RENEWAL_RATIO, RENEWAL_DAYS * DAY_MS);
  const left = notAfter - now.getTime();
  const state = stateOf(shown, { now: now.getTime(), notBefore, left, window });
  return {
    ...base,
    state,
    ok: state === 'good' || state === 'due',
    issuer: shown.issuer,
    names: shown.names,
    notBefore: shown.notBefore,
    notAfter: shown.notAfter,
    daysLeft: Math.floor((left / DAY_MS) * 10) / 10,
    renewFrom: new Date(notAfter - window).toISOString(),
    nameMatches: shown.namesHost,
    trusted: shown.untrusted === null,
    untrustedBecause: shown.untrusted,
    fingerprint: shown.fingerprint,
    ...remark(state, mode, host, shown),
  };
}

function stateOf(
  { namesHost }: ShownCertificate,
  { now, notBefore, left, window }: { now: number; notBefore: number; left: number; window: number },
): CertificateState {
  if (!namesHost) return 'wrong-name';
  if (left <= 0) return 'expired';
  if (now < notBefore) return 'not-yet-valid';
  if (left < window * PATIENCE) return 'overdue';
  return left < window ? 'due' : 'good';
}

const NOT_SERVED: Record<TlsMode, string> = {
  internal: './operator.sh start, and ./operator.sh logs gateway says why not',
  acme: './operator.sh logs gateway says what the authority answered; docs/tls.md lists the reasons',
  files: './operator.sh logs gateway says whether tls/cert.pem and tls/key.pem could be read',
};

const RENEW: Record<TlsMode, string> = {
  internal:
    './operator.sh logs gateway says why the gateway did not renew it; ./operator.sh restart gateway tries again',
  acme: './operator.sh logs gateway says what the authority answered; ./operator.sh restart gateway tries again',
  files: 'put a new one into tls/cert.pem and tls/key.pem: it is taken up by itself',
};

function remark(
  state: CertificateState,
  mode: TlsMode,
  host: string,
  { names, notAfter, notBefore }: ShownCertificate,
): Pick<CertificateStatus, 'problem' | 'fix'> {
  switch (state) {
    case 'wrong-name': {
      const others = names.length === 0 ? 'no name' : names.join(', ');
      const fix =
        mode === 'files'
          ? RENEW.files
          : './operator.sh start, after PUBLIC_HOST was changed in .operator.conf';
      return { problem: `the certificate is for ${others}, not for ${host}`, fix };
    }
    case 'expired':
      return { problem: `the certificate expired at ${notAfter}`, fix: RENEW[mode] };
    case 'not-yet-valid':
      return { problem: `the certificate is good from ${notBefore} on`, fix: "set this host's clock" };
    case 'overdue':
      return { problem: `the certificate expires at ${notAfter}, and was not renewed`, fix: RENEW[mode] };
    case 'due':
      // The gateway renews by itself: only a person's files are worth a word.
      return mode === 'files'
        ? { problem: `the certificate expires at ${notAfter}`, fix: RENEW.files }
        : { problem: null, fix: null };
    default:
      return { problem: null, fix: null };
  }
}

function nothing(mode: CertificateStatus['mode'], host: string | null, url: string): CertificateStatus {
  return {
    ...{ mode, host, url, state: 'not-served', ok: false, issuer: null, names: [] },
    ...{ notBefore: null, notAfter: null, daysLeft: null, renewFrom: null, nameMatches: null },
    ...{ trusted: null, untrustedBecause: null, fingerprint: null, problem: null, fix: null },
  };
}
