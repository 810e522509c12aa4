import type { CertificateStatus } from '../../checks/certificate.ts';
import { OperatorCommand } from '../../cli/base-command.ts';
import { showCertificate } from '../../cli/show-certificate.ts';
import { EXIT } from '../../model/errors.ts';
import { internalRoot, observeCertificate } from '../../run/certificate.ts';

export default class CertStatus extends OperatorCommand {
  static override summary =
    'Show the certificate that the gateway shows, how long it is good, and who trusts it';
  static override description =
    `Connects as a client does. Exits ${EXIT.unhealthy} when there is none, or it has expired, is for another name, or was not renewed in time.`;
  static override examples = ['<%= config.bin %> cert status', '<%= config.bin %> cert status --json'];

  async run(): Promise<CertificateStatus> {
    await this.parse(CertStatus);
    this.requireContainers();
    const status = await observeCertificate(this.context, await this.#root());
    this.answer(showCertificate(status));
    if (!status.ok) process.exitCode = EXIT.unhealthy;
    return status;
  }

  /** Without a gateway there is no root either; that the gateway is not there, the answer says. */
  async #root(): Promise<string | null> {
    const { settings, runtime } = this.context;
    if (settings.tls?.mode !== 'internal') return null;
    const containers = await runtime.listContainers(settings.project);
    const runs = containers.some(({ service, state }) => service === 'gateway' && state === 'running');
    return runs ? internalRoot(this.context) : null;
  }
}
