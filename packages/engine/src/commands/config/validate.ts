import { keyIdOf } from '@kg-operator/config';
import { examineConfiguration } from '../../checks/configuration.ts';
import { ConfigCommand } from '../../cli/config-command.ts';
import { EXIT, OperatorError } from '../../model/errors.ts';
import { count } from '../../model/plan.ts';
import { encryptionKeyIfAny } from '../../model/settings.ts';

export default class ConfigValidate extends ConfigCommand {
  static override summary =
    'Check the configuration: complete, in range, every credential opens with ENCRYPTION_KEY';
  static override description =
    `Names everything that is wrong at once, and then exits ${EXIT.configuration}. Asks no provider: config api-key test does.`;
  static override examples = [
    '<%= config.bin %> config validate',
    '<%= config.bin %> config validate --json',
  ];

  async run(): Promise<{ valid: true; version: string; credentials: number; settings: number }> {
    await this.parse(ConfigValidate);
    const db = await this.readDatabase();
    const key = encryptionKeyIfAny(this.context.settings);
    const { findings, version, apiKeys, settings, claim } = await examineConfiguration(
      db,
      key && { id: keyIdOf(key), key },
    );
    if (findings.length > 0)
      throw new OperatorError(
        'CONFIGURATION_INVALID',
        `the configuration is not valid: ${count(findings.length, 'finding')}`,
        {
          exitCode: EXIT.configuration,
          details: findings.map(({ problem, fix }) => `${problem}: ${fix}`),
          hint: 'run what is named above, then this again',
        },
      );
    const set = settings.filter(({ isSet }) => isSet).length;
    this.answer(
      `The configuration is valid: complete, ${count(apiKeys.length, 'credential')} opened, ${count(set, 'setting')} in range.`,
    );
    if (claim) this.say('Nobody has claimed the platform yet: ./operator.sh config claim');
    return { valid: true, version, credentials: apiKeys.length, settings: set };
  }
}
