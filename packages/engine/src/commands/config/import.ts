import { readConfigState } from '@kg-operator/config';
import { Args, Flags } from '@oclif/core';
import { ConfigCommand } from '../../cli/config-command.ts';
import {
  describeKept,
  importFile,
  passedOnFlag,
  readConfigurationFile,
  testFile,
  unusedHostLines,
} from '../../cli/import-file.ts';
import { describeChanges } from '../../config/document-diff.ts';
import type { ImportResult } from '../../config/document-import.ts';
import type { ProbeResult } from '../../config/probe.ts';
import { EXIT } from '../../model/errors.ts';
import { count } from '../../model/plan.ts';

export default class ConfigImport extends ConfigCommand {
  static override summary = 'Make the configuration what a file says, in one change';
  static override description =
    'YAML or JSON, secrets by reference to a variable or a file: docs/configuration.md. The same file again changes nothing; config undo takes all of it back.';
  static override examples = [
    '<%= config.bin %> config import kg.yaml --dry-run',
    'KG_OPENAI_API_KEY=… <%= config.bin %> config import kg.yaml --test',
    '<%= config.bin %> config import - < kg.yaml',
  ];
  static override args = {
    file: Args.string({ description: 'YAML or JSON file; - for standard input', required: true }),
  };
  static override flags = {
    'dry-run': Flags.boolean({ description: 'only show what would change' }),
    'exit-code': Flags.boolean({
      description: `exit ${EXIT.notAsDesired} if something would change`,
      dependsOn: ['dry-run'],
    }),
    prune: Flags.boolean({
      description: 'remove users, providers, keys and settings that a section of the file does not name',
    }),
    test: Flags.boolean({
      description: 'first ask the providers whether they take the keys and have the models',
    }),
    force: Flags.boolean({ description: 'import even if a test fails', dependsOn: ['test'] }),
    'discard-embeddings': Flags.boolean({ description: 'delete stored vectors that would no longer fit' }),
    ...passedOnFlag,
  };

  async run(): Promise<
    ImportResult & { file: string; dryRun: boolean; tests: ProbeResult[]; missing: string[] }
  > {
    const { args, flags } = await this.parse(ConfigImport);
    const file = await readConfigurationFile(args.file);
    const db = await this.database();
    const { encryptionKey, actor } = this;
    const choices = {
      encryptionKey,
      actor,
      prune: flags.prune,
      discardEmbeddings: flags['discard-embeddings'],
    };
    // oclif leaves out what was not given, whatever its types say.
    const dryRun = Boolean(flags['dry-run']);
    let result: ImportResult | undefined;
    let tests: ProbeResult[] = [];
    if (dryRun || flags.test) result = await importFile(this.context, db, file, { ...choices, dryRun: true });
    if (flags.test) {
      tests = await testFile(this.context, db, file, {
        encryptionKey,
        host: this.host,
        force: flags.force,
        say: (text) => this.say(text),
        warning: (text) => this.warning(text),
      });
    }
    if (!dryRun || !result) result = await importFile(this.context, db, file, choices);

    for (const line of unusedHostLines(this.context, file)) this.warning(line);
    this.#show(result, file.name, dryRun);
    const { items } = await readConfigState(db);
    const missing = items.filter(({ ok }) => !ok);
    if (!dryRun) for (const { item, command } of missing) this.say(`Still missing: ${item}: ${command}`);
    if (flags['exit-code'] && result.changed) process.exitCode = EXIT.notAsDesired;
    return { file: file.name, dryRun, ...result, tests, missing: missing.map(({ item }) => item) };
  }

  #show({ changes, kept }: ImportResult, name: string, dryRun: boolean): void {
    for (const line of describeChanges(changes)) this.answer(line);
    for (const line of describeKept(kept)) this.warning(line);
    const number = count(changes.length, 'value');
    if (changes.length === 0) this.answer(`${name}: nothing to change.`);
    else if (dryRun) this.say(`${name} would change ${number}; nothing was changed.`);
    else this.say(`${name} changed ${number}. Back: ./operator.sh config undo`);
  }
}
