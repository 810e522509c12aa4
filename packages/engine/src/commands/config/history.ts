import { Flags } from '@oclif/core';
import { ConfigCommand } from '../../cli/config-command.ts';
import { showChanges } from '../../cli/show-changes.ts';
import { countChanges, type RecordedChange, readChanges } from '../../config/changes.ts';
import { CONFIG_TOPICS } from '../../config/history.ts';

export default class ConfigHistory extends ConfigCommand {
  static override summary = 'Show who changed what, and when; secrets as fingerprints';
  static override examples = [
    '<%= config.bin %> config history --limit 50',
    '<%= config.bin %> config history --topic api-key --json',
  ];
  static override flags = {
    limit: Flags.integer({
      description: 'how many changes, the last ones',
      default: 20,
      min: 1,
      max: 10_000,
    }),
    topic: Flags.string({ description: 'only this topic', options: [...CONFIG_TOPICS] }),
  };

  async run(): Promise<{ changes: RecordedChange[] }> {
    const { flags } = await this.parse(ConfigHistory);
    const { limit, topic } = flags;
    const db = await this.readDatabase();
    const changes = await readChanges(db, { limit, topic });
    if (changes.length > 0) this.answer(showChanges(changes));
    const all = topic === undefined ? await countChanges(db) : changes.length;
    if (changes.length === 0) this.say('Nothing was changed yet.');
    else if (all > changes.length) this.say(`${changes.length} of ${all} changes; --limit shows more.`);
    return { changes };
  }
}
