import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { folderFlag, folderOf } from '../../cli/migration-flags.ts';
import { timeOf, writeOutput } from '../../cli/release-flags.ts';
import { readMigrations } from '../../migrations/files.ts';
import { buildRelease, parseImages, parsePolicy } from '../../release/build.ts';
import { releaseName, sha256 } from '../../release/document.ts';
import { readInput } from '../../release/published.ts';

export default class ReleaseBuild extends OperatorCommand {
  static override summary = 'Write the release.json of a version, for a pipeline that publishes';
  static override description =
    'The same input gives the same bytes. A release.json that is there already must be the same. docs/adr/0006-releases.md';
  static override examples = [
    '<%= config.bin %> release build out 1.2.0 --images digests.json --policy release-policy.json --created-at 2026-11-23T12:00:00Z',
  ];
  static override args = {
    folder: Args.string({ description: 'the folder that is published', required: true }),
    version: Args.string({ description: 'such as 1.2.0', required: true }),
  };
  static override flags = {
    images: Flags.string({
      description: 'JSON: {SERVICE: {name, digest, platforms: {linux/amd64: {digest, config}}}}',
      helpValue: 'FILE',
      required: true,
    }),
    policy: Flags.string({
      description: 'JSON: upgradeFrom, rollbackTo, requiredStop, requires, healthGate, notes, acceptsOldest',
      helpValue: 'FILE',
      required: true,
    }),
    'created-at': Flags.string({ description: 'or SOURCE_DATE_EPOCH in the environment', helpValue: 'TIME' }),
    ...folderFlag,
  };

  async run(): Promise<{ file: string; version: string; sha256: string }> {
    const { args, flags } = await this.parse(ReleaseBuild);
    const bytes = buildRelease({
      version: args.version,
      createdAt: timeOf('--created-at', flags['created-at']),
      images: parseImages(await readInput(flags.images), flags.images),
      policy: parsePolicy(await readInput(flags.policy), flags.policy),
      migrations: await readMigrations(folderOf(flags)),
    });
    const file = join(resolve(args.folder), releaseName(args.version));
    const isThere = existsSync(file) && readFileSync(file).equals(bytes);
    if (!isThere) await writeOutput(file, bytes, { exclusive: true });
    this.answer(`${file}: SHA-256 ${sha256(bytes)}${isThere ? ' (as it was)' : ''}`);
    return { file, version: args.version, sha256: sha256(bytes) };
  }
}
