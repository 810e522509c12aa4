import type { CertificateState, CertificateStatus } from '../checks/certificate.ts';
import { minute } from './age.ts';
import { paint } from './style.ts';

const STATES: Record<CertificateState, string> = {
  off: 'TLS is off',
  good: 'good',
  due: 'good, and due for renewal',
  overdue: 'good still, but overdue for renewal',
  expired: 'EXPIRED',
  'not-yet-valid': 'NOT YET VALID',
  'wrong-name': 'FOR ANOTHER NAME',
  'not-served': 'NOT SERVED',
};

/** One screen: all that `cert status` knows. */
export function showCertificate(status: CertificateStatus, now = new Date()): string {
  if (status.state === 'off')
    return `TLS is off: ${status.url}\nTLS_MODE and PUBLIC_HOST in .operator.conf switch it on; docs/tls.md says which mode is for whom.`;
  const rows: [string, string][] = [
    ['State', paintState(status)],
    ['Address', status.url],
    ['From', FROM[status.mode]],
  ];
  if (status.notBefore && status.notAfter && status.renewFrom)
    rows.push(
      ['Issuer', status.issuer ?? '-'],
      ['Names', status.names.join(', ') || '-'],
      [
        'Good',
        `${minute(new Date(status.notBefore))} to ${minute(new Date(status.notAfter))} UTC, ${left(Date.parse(status.notAfter) - now.getTime())}`,
      ],
      [
        'Renewal',
        `from ${minute(new Date(status.renewFrom))} UTC on${status.mode === 'files' ? ', by you' : ', by itself'}`,
      ],
      ['Trusted', trust(status)],
      ['SHA-256', status.fingerprint ?? '-'],
    );
  const lines = rows.map(([name, value]) => `${name.padEnd(9)}${value}`);
  return [...lines, ...problemLine(status)].join('\n');
}

/** One line for `status`, and one more where something is to be done. */
export function certificateLines(status: CertificateStatus | null): string[] {
  if (!status) return [];
  const line = `${paint('bold', 'Certificate', process.stdout)}  ${status.host}, ${
    status.notAfter
      ? `${paintState(status)}, until ${minute(new Date(status.notAfter))} UTC`
      : paintState(status)
  }`;
  return [line, ...problemLine(status)];
}

const FROM: Record<CertificateStatus['mode'], string> = {
  off: '-',
  internal: "the gateway's own authority (TLS_MODE=internal)",
  acme: 'a public authority, by ACME (TLS_MODE=acme)',
  files: 'tls/cert.pem (TLS_MODE=files)',
};

function problemLine({ problem, fix }: CertificateStatus): string[] {
  return problem ? [`  ${paint('yellow', '!', process.stdout)} ${problem}: ${fix}`] : [];
}

function paintState({ state, ok }: CertificateStatus): string {
  const colour = ok ? (state === 'due' ? 'yellow' : 'green') : 'red';
  return paint(colour, STATES[state], process.stdout);
}

function left(milliseconds: number): string {
  const hours = Math.floor(milliseconds / 3_600_000);
  if (milliseconds <= 0) return 'over';
  return hours < 48 ? `${hours} hours left` : `${Math.floor(hours / 24)} days left`;
}

function trust({ mode, trusted, untrustedBecause }: CertificateStatus): string {
  if (mode === 'internal')
    return trusted
      ? 'by clients that were given ./operator.sh cert root'
      : `not even with ./operator.sh cert root (${untrustedBecause})`;
  return trusted
    ? 'by everybody'
    : `not by everybody (${untrustedBecause}): clients need its authority's root`;
}
