import { OperatorCommand } from '../../cli/base-command.ts';
import { internalRoot } from '../../run/certificate.ts';

export default class CertRoot extends OperatorCommand {
  static override summary =
    'Print the root certificate of the internal authority, for clients to trust (PEM)';
  static override description = 'It is public. It stays the same until the data is destroyed.';
  static override examples = ['<%= config.bin %> cert root > kg-root.pem'];

  async run(): Promise<{ pem: string }> {
    await this.parse(CertRoot);
    this.requireContainers();
    const pem = await internalRoot(this.context);
    this.answer(pem.trimEnd());
    return { pem };
  }
}
