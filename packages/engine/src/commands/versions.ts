import { OperatorCommand } from '../cli/base-command.ts';
import { table } from '../cli/table.ts';
import { observe } from '../run/observe.ts';

interface VersionRow {
  service: string;
  update: string;
  version: string | null;
  image: string | null;
  imageId: string | null;
}

export default class Versions extends OperatorCommand {
  static override summary = 'Show the version and image of each service, the engine and the schema';
  static override examples = ['<%= config.bin %> versions', '<%= config.bin %> versions --json'];

  async run(): Promise<{ engine: string; node: string; schema: string | null; services: VersionRow[] }> {
    await this.parse(Versions);
    this.requireContainers();
    const { services, database } = await observe(this.context, { recallServices: true });
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
    return { engine: this.config.version, node: process.versions.node, schema, services: rows };
  }
}
