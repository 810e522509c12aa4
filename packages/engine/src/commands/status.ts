import type { ConfigItem } from '@kg-operator/config';
import { Flags } from '@oclif/core';
import { assessLayers, type LayerStatus, nextCommands } from '../checks/layers.ts';
import { OperatorCommand } from '../cli/base-command.ts';
import { showStatus } from '../cli/show-status.ts';
import { EXIT } from '../model/errors.ts';
import type { Observation, ServiceObservation } from '../model/observation.ts';
import { readDevRecord } from '../run/dev-record.ts';
import { observe } from '../run/observe.ts';

interface ServiceStatus {
  name: string;
  layer: string;
  update: string;
  /** Docker's state of its container; `missing` without one; `mixed` when copies differ. */
  state: string;
  health: string;
  version: string | null;
  /** The first 12 hexadecimal digits of the image's SHA-256. */
  digest: string | null;
}

export interface StatusReport {
  project: string;
  engine: string;
  ok: boolean;
  url: string;
  layers: LayerStatus[];
  configuration: ConfigItem[];
  services: ServiceStatus[];
  next: string[];
}

export default class Status extends OperatorCommand {
  static override summary = 'Show the four layers, every service, and what to do next';
  static override examples = ['<%= config.bin %> status', '<%= config.bin %> status --json --exit-code'];
  static override flags = {
    'exit-code': Flags.boolean({
      description: `exit ${EXIT.notAsDesired} when a layer is not as it should be`,
    }),
  };

  async run(): Promise<StatusReport> {
    const { flags } = await this.parse(Status);
    const report = reportOf(
      await observe(this.context, { recallServices: true }),
      this.config.version,
      await this.#url(),
    );
    this.answer(showStatus(report));
    if (flags['exit-code'] && !report.ok) process.exitCode = EXIT.notAsDesired;
    return report;
  }

  async #url(): Promise<string> {
    const { mode, publicUrl, dataDirectory } = this.context.settings;
    return mode === 'containers' ? publicUrl.web : ((await readDevRecord(dataDirectory))?.url ?? '');
  }
}

function reportOf(observed: Observation, engine: string, url: string): StatusReport {
  const layers = assessLayers(observed);
  return {
    project: observed.project,
    engine,
    ok: layers.every(({ ok }) => ok),
    url,
    layers,
    configuration: observed.database.reachable ? (observed.database.config?.items ?? []) : [],
    services: observed.services
      .filter(({ oneShot, containers }) => !oneShot || containers.length > 0)
      .map(serviceStatus),
    next: nextCommands(observed, layers),
  };
}

function serviceStatus({ name, layer, update, containers }: ServiceObservation): ServiceStatus {
  const same = (pick: (container: (typeof containers)[number]) => string): string => {
    const values = new Set(containers.map(pick));
    return values.size > 1 ? 'mixed' : ([...values][0] ?? '');
  };
  const [first] = containers;
  return {
    name,
    layer,
    update,
    state: first ? same(({ state }) => state) : 'missing',
    health: first ? same(({ health }) => health) : '-',
    version: first?.version ?? null,
    digest: first?.imageId.replace('sha256:', '').slice(0, 12) ?? null,
  };
}
