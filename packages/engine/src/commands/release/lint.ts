import { resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { folderFlag } from '../../cli/migration-flags.ts';
import { paint } from '../../cli/style.ts';
import { readMigrations } from '../../migrations/files.ts';
import { EXIT } from '../../model/errors.ts';
import { count } from '../../model/plan.ts';
import { parseChannels } from '../../release/channels.ts';
import { readTrustedKeys } from '../../release/keys.ts';
import { lintAssets, lintReleases, lintSignatures, type ReleaseFinding } from '../../release/lint.ts';
import { readInput, readPublished } from '../../release/published.ts';
import { directorySource } from '../../release/source.ts';

export default class ReleaseLint extends OperatorCommand {
  static override summary =
    'Find what would harm installations in a folder of releases, before it is published';
  static override description =
    'Replays the path solver from every published version to the newest of every channel. Exit 0: nothing found; 3: something. docs/adr/0006-releases.md lists the rules.';
  static override examples = [
    '<%= config.bin %> release lint out --previous published/channels.json --dir schema/migrations',
    '<%= config.bin %> release lint out --signatures --json',
  ];
  static override args = {
    folder: Args.string({ description: 'the folder that is published', required: true }),
  };
  static override flags = {
    previous: Flags.string({ description: 'the channels.json that is published now', helpValue: 'FILE' }),
    signatures: Flags.boolean({
      description: 'check the signatures, too, with the keys of the engine or KG_RELEASE_KEYS',
    }),
    dir: { ...folderFlag.dir, description: 'the folder with the migrations of the newest release' },
  };

  async run(): Promise<{ releases: number; findings: ReleaseFinding[] }> {
    const { args, flags } = await this.parse(ReleaseLint);
    const folder = resolve(args.folder);
    const published = await readPublished(folder);
    const { previous } = flags;
    const findings = lintReleases({
      ...published,
      previous: previous === undefined ? null : parseChannels(await readInput(previous), previous),
      migrations: flags.dir === undefined ? null : await readMigrations(resolve(flags.dir)),
      now: new Date(),
    });
    const source = directorySource(folder);
    findings.push(...(await lintAssets(source, published)));
    if (flags.signatures) findings.push(...(await lintSignatures(source, published, readTrustedKeys())));
    for (const { file, rule, message } of findings)
      this.answer(`${file}: ${paint('red', rule, process.stdout)}: ${message}`);
    this.answer(`${count(published.releases.length, 'release')}: ${count(findings.length, 'finding')}.`);
    if (findings.length > 0) process.exitCode = EXIT.precondition;
    return { releases: published.releases.length, findings };
  }
}
