import type { ShownCertificate } from '../src/adapters/gateway-tls.ts';
import {
  type CertificateLook,
  type CertificateStatus,
  certificateStatus,
} from '../src/checks/certificate.ts';

export const NOW = new Date('2026-11-23T12:00:00Z');
const at = (days: number) => new Date(NOW.getTime() + days * 86_400_000).toISOString();

/** A certificate that was shown, good for the days given from now. */
export const shown = (
  days: { from: number; to: number },
  change: Partial<ShownCertificate> = {},
): ShownCertificate => ({
  issuer: 'E7',
  names: ['kg.example.org'],
  notBefore: at(days.from),
  notAfter: at(days.to),
  fingerprint: 'AB:CD',
  untrusted: null,
  namesHost: true,
  ...change,
});

export const judge = (
  look: CertificateLook['shown'],
  mode: 'internal' | 'acme' | 'files' = 'acme',
): CertificateStatus =>
  certificateStatus({
    tls: { mode, host: 'kg.example.org' },
    url: 'https://kg.example.org',
    shown: look,
    now: NOW,
  });

/** One of every state. */
export function certificates(): CertificateStatus[] {
  return [
    certificateStatus({ tls: null, url: 'http://localhost:3000', shown: { failure: '' }, now: NOW }),
    judge(shown({ from: -1, to: 89 })),
    judge(shown({ from: -62, to: 28 }), 'files'),
    judge(shown({ from: -80, to: 10 })),
    judge(shown({ from: -91, to: -1 })),
    judge(shown({ from: 1, to: 91 })),
    judge(shown({ from: -1, to: 89 }, { namesHost: false, names: [] })),
    judge({ failure: 'connect ECONNREFUSED' }, 'internal'),
  ];
}
