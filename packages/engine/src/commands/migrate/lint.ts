import { resolve } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { OperatorCommand } from '../../cli/base-command.ts';
import { folderFlag, folderOf } from '../../cli/migration-flags.ts';
import { paint } from '../../cli/style.ts';
import { exitCodeOf, type Finding, type LintReport, lint } from '../../lint/lint.ts';
import { readFolder, readSource } from '../../lint/read.ts';
import { count } from '../../model/plan.ts';

export default class MigrateLint extends OperatorCommand {
  static override summary = 'Find what is dangerous in migrations, without a database';
  static override description =
    'Exit 0: nothing, or only warnings and advice; 8: errors, with --strict also warnings. docs/migrations.md lists the rules.';
  static override examples = [
    '<%= config.bin %> migrate lint --dir db/migrations --since 0041_orders',
    '<%= config.bin %> migrate lint db/migrations/0042_invoices.sql --strict --json',
  ];
  static override strict = false;
  static override args = { file: Args.string({ description: 'files; without any, those of the folder' }) };
  static override flags = {
    ...folderFlag,
    since: Flags.string({ description: 'only migrations after this one', helpValue: 'ID' }),
    strict: Flags.boolean({ description: 'warnings fail too' }),
  };

  async run(): Promise<LintReport> {
    const { flags, argv } = await this.parse(MigrateLint);
    const files = argv as string[];
    const sources =
      files.length > 0
        ? files.map((file) => readSource(resolve(file)))
        : await readFolder(folderOf(flags), flags.since);
    const report = await lint(sources);
    for (const finding of report.findings) this.answer(describe(finding));
    const number = (severity: Finding['severity']) =>
      report.findings.filter((finding) => finding.severity === severity).length;
    const allowed = report.allowed > 0 ? `; ${report.allowed} allowed by a comment` : '';
    this.answer(
      `${count(report.files, 'file')}: ${count(number('error'), 'error')}, ${count(number('warning'), 'warning')}, ${number('advice')} advice${allowed}.`,
    );
    process.exitCode = exitCodeOf(report, flags.strict);
    return report;
  }
}

const STYLE = { error: 'red', warning: 'yellow', advice: 'cyan' } as const;

function describe({ file, line, column, severity, rule, message, why, instead }: Finding): string {
  return [
    `${file}:${line}:${column}: ${paint(STYLE[severity], severity, process.stdout)} ${rule}: ${message}`,
    `  Why: ${why}`,
    `  Instead: ${instead}\n`,
  ].join('\n');
}
