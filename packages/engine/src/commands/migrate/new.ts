import { relative } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { folderFlag, folderOf } from '../../cli/migration-flags.ts';
import type { MigrationKind } from '../../migrations/header.ts';
import { newMigration } from '../../migrations/new.ts';

export default class MigrateNew extends OperatorCommand {
  static override summary = 'Make the next migration file';
  static override examples = [
    '<%= config.bin %> migrate new add_invoices --dir db/migrations',
    '<%= config.bin %> migrate new drop_old_invoices --kind contract',
  ];
  static override args = {
    slug: Args.string({ description: 'a few words that say what it does', required: true }),
  };
  static override flags = {
    ...folderFlag,
    kind: Flags.option({
      options: ['expand', 'contract'] as const,
      default: 'expand',
      description: 'expand: only adds; contract: takes away',
    })(),
  };

  async run(): Promise<{ path: string; kind: MigrationKind }> {
    const { args, flags } = await this.parse(MigrateNew);
    const path = await newMigration(folderOf(flags), args.slug, flags.kind);
    this.answer(relative(process.cwd(), path) || path);
    return { path, kind: flags.kind };
  }
}
