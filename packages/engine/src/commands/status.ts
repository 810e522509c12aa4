import { Flags } from '@oclif/core';
import { observeBackups } from '../backup/observe.ts';
import { backupStatus } from '../checks/backup.ts';
import { reportOf, type StatusReport } from '../checks/report.ts';
import { OperatorCommand } from '../cli/base-command.ts';
import { showStatus } from '../cli/show-status.ts';
import { EXIT } from '../model/errors.ts';
import { observeCertificate } from '../run/certificate.ts';
import { readDevRecord } from '../run/dev-record.ts';
import { observe } from '../run/observe.ts';

export default class Status extends OperatorCommand {
  static override summary = 'Show the four layers, every service, backups, and what to do next';
  static override examples = ['<%= config.bin %> status', '<%= config.bin %> status --json --exit-code'];
  static override flags = {
    'exit-code': Flags.boolean({
      description: `exit ${EXIT.notAsDesired} when a layer is not as it should be`,
    }),
  };

  async run(): Promise<StatusReport> {
    const { flags } = await this.parse(Status);
    const [observed, certificate] = await Promise.all([
      observe(this.context, { recallServices: true }),
      this.context.settings.tls ? observeCertificate(this.context) : null,
    ]);
    const backup = backupStatus(await observeBackups(this.context, observed), this.context.clock.date());
    const report = reportOf(observed, backup, this.config.version, await this.#url(), certificate);
    this.answer(showStatus(report));
    if (flags['exit-code'] && !report.ok) process.exitCode = EXIT.notAsDesired;
    return report;
  }

  async #url(): Promise<string> {
    const { mode, publicUrl, dataDirectory } = this.context.settings;
    return mode === 'containers' ? publicUrl.web : ((await readDevRecord(dataDirectory))?.url ?? '');
  }
}
