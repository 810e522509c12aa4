import { age } from '../../../cli/age.ts';
import { ConfigCommand } from '../../../cli/config-command.ts';
import { table } from '../../../cli/table.ts';
import { type ApiKeySummary, listApiKeys } from '../../../config/api-key.ts';

export default class ConfigApiKeyList extends ConfigCommand {
  static override summary = 'List the stored credentials: fingerprint, age, source, whether each opens';
  static override examples = [
    '<%= config.bin %> config api-key list',
    '<%= config.bin %> config api-key list --json',
  ];

  async run(): Promise<{ keys: ApiKeySummary[] }> {
    await this.parse(ConfigApiKeyList);
    const keys = await listApiKeys(await this.readDatabase(), this.encryptionKey);
    const rows = keys.map(({ provider, fingerprint, setAt, source, opens, neededBy }) => [
      provider,
      fingerprint ?? '-',
      age(setAt),
      source ?? '-',
      opens ? 'yes' : 'no',
      neededBy ?? '-',
    ]);
    this.answer(table(['NAME', 'FINGERPRINT', 'SET', 'SOURCE', 'OPENS', 'NEEDED BY'], rows));
    for (const { provider, reason } of keys)
      if (reason) this.warning(`${provider} can't be decrypted: ${reason}`);
    return { keys };
  }
}
