import { ConfigCommand } from '../../cli/config-command.ts';
import { requireTerminal, showClaim } from '../../cli/show-claim.ts';
import { issueClaim } from '../../config/claim.ts';
import { readDevRecord } from '../../run/dev-record.ts';

export default class ConfigClaim extends ConfigCommand {
  static override summary = 'Print a one-time token with which the first admin is made in the web app';
  static override description =
    'It counts for 30 minutes, and ends the one before. It goes to a terminal and nowhere else: only its hash is stored.';
  static override examples = [
    '<%= config.bin %> config claim',
    'ssh -t kg.example.org ./kg-operator/operator.sh config claim',
  ];

  async run(): Promise<{ expiresAt: string }> {
    await this.parse(ConfigClaim);
    requireTerminal(this.jsonEnabled());
    const claim = await issueClaim(await this.database(), { actor: this.actor });
    this.answer(showClaim(claim, await this.#web()));
    return { expiresAt: claim.expiresAt.toISOString() };
  }

  async #web(): Promise<string> {
    const { mode, publicUrl, dataDirectory } = this.context.settings;
    return (mode === 'containers' ? undefined : (await readDevRecord(dataDirectory))?.url) ?? publicUrl.web;
  }
}
