import { type ShownCertificate, shownCertificate } from '../adapters/gateway-tls.ts';
import { type CertificateStatus, certificateStatus } from '../checks/certificate.ts';
import { EXIT, messageOf, OperatorError } from '../model/errors.ts';
import type { RunContext } from './context.ts';

const LOOK_MS = 3_000;
/** Where Caddy keeps the root of its own authority (caddyserver.com/docs/conventions#data-directory), in the volume gateway-data. */
const ROOT = '/data/caddy/pki/authorities/local/root.crt';

/**
 * The certificate that the gateway shows a client. `root`: the internal authority's, for judging whether its chain is trusted; without
 * it the usual roots are asked.
 */
export async function observeCertificate(
  { settings, clock }: Pick<RunContext, 'settings' | 'clock'>,
  root: string | null = null,
): Promise<CertificateStatus> {
  const { tls, gateway, publicUrl } = settings;
  let shown: ShownCertificate | { failure: string } = { failure: 'TLS is off' };
  if (tls) {
    try {
      shown = await shownCertificate({ url: gateway.web, host: tls.host, root, timeoutMs: LOOK_MS });
    } catch (error) {
      shown = { failure: messageOf(error) };
    }
  }
  return certificateStatus({ tls, url: publicUrl.web, shown, now: clock.date() });
}

/** The root certificate of the internal authority, PEM. @throws OperatorError TLS_NOT_INTERNAL, COMPOSE_FAILED, ROOT_MISSING */
export async function internalRoot({
  settings,
  compose,
}: Pick<RunContext, 'settings' | 'compose'>): Promise<string> {
  if (settings.tls?.mode !== 'internal')
    throw new OperatorError('TLS_NOT_INTERNAL', 'there is no authority of its own here', {
      exitCode: EXIT.precondition,
      hint: 'TLS_MODE=internal has one; with acme and files clients trust whoever issued the certificate',
    });
  const pem = await compose.exec('gateway', ['busybox', 'cat', ROOT]);
  if (pem.includes('-----BEGIN CERTIFICATE-----') && !pem.includes('PRIVATE KEY')) return pem;
  throw new OperatorError('ROOT_MISSING', `the gateway has no certificate in ${ROOT}`, {
    exitCode: EXIT.unhealthy,
    hint: './operator.sh logs gateway',
  });
}
