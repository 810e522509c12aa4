import { Flags } from '@oclif/core';
import { OperatorCommand } from '../cli/base-command.ts';
import { table } from '../cli/table.ts';
import type { Observation } from '../model/observation.ts';
import type { AvailableReport } from '../release/available.ts';
import { observe } from '../run/observe.ts';
import { type InstalledRelease, readInstalled } from '../upgrade/record.ts';

interface VersionRow {
  service: string;
  update: string;
  version: string | null;
  image: string | null;
  imageId: string | null;
}

interface VersionsReport {
  engine: string;
  node: string;
  schema: string | null;
  services: VersionRow[];
  /** What an upgrade or rollback recorded last; null: there was none yet. */
  installed: InstalledRelease | null;
  available?: AvailableReport;
}

export default class Versions extends OperatorCommand {
  static override summary = 'Show what runs, and which releases it can be upgraded to';
  static override description =
    'The network is asked only with --refresh or --from; otherwise the list of releases that was fetched last counts.';
  static override examples = [
    '<%= config.bin %> versions',
    '<%= config.bin %> versions --available --json',
    '<%= config.bin %> versions --from https://releases.example.org/kg',
  ];
  static override flags = {
    available: Flags.boolean({ description: 'releases, too, and the path to each' }),
    refresh: Flags.boolean({
      description: 'fetch the list of releases from where it came from last, or KG_RELEASES',
    }),
    from: Flags.string({
      description: 'fetch it from here: https://…, a folder, or a bundle',
      helpValue: 'SOURCE',
    }),
  };

  async run(): Promise<VersionsReport> {
    const { flags } = await this.parse(Versions);
    this.requireContainers();
    const observed = await observe(this.context, { recallServices: true });
    const { services, database } = observed;
    const rows = services.map(({ name, update, containers: [container] }) => ({
      service: name,
      update,
      version: container?.version ?? null,
      image: container?.image ?? null,
      imageId: container?.imageId ?? null,
    }));
    const schema = database.reachable ? database.schema.head : null;
    this.answer(
      `kg-operator ${this.config.version} (node ${process.versions.node}), schema ${schema ?? 'unknown'}\n`,
    );
    this.answer(
      table(
        ['SERVICE', 'UPDATE', 'VERSION', 'IMAGE', 'DIGEST'],
        rows.map((row) => [
          row.service,
          row.update,
          row.version ?? '-',
          row.image ?? '-',
          row.imageId?.slice(7, 19) ?? '-',
        ]),
      ),
    );
    const report = {
      engine: this.config.version,
      node: process.versions.node,
      schema,
      services: rows,
      installed: await readInstalled(this.context.settings.stateDirectory),
    };
    if (!flags.available && !flags.refresh && flags.from === undefined) return report;
    return { ...report, available: await this.#available(observed, schema, flags) };
  }

  async #available(
    observed: Observation,
    head: string | null,
    { refresh, from }: { refresh: boolean; from: string | undefined },
  ): Promise<AvailableReport> {
    const { askForReleases } = await import('../cli/ask-for-releases.ts');
    const { showAvailable } = await import('../cli/show-available.ts');
    const { report, warnings } = await askForReleases(this.context, observed, { head, refresh, from });
    for (const warning of warnings) this.warning(warning);
    this.answer(`\n${showAvailable(report, this.context.clock.date())}`);
    return report;
  }
}
