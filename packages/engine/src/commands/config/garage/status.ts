import { ConfigCommand } from '../../../cli/config-command.ts';
import { type GarageStatus, garageStatus } from '../../../config/garage-status.ts';
import { count } from '../../../model/plan.ts';

export default class ConfigGarageStatus extends ConfigCommand {
  static override summary = 'Show object storage: nodes, layout, bucket, key, and whether Garage answers';
  static override examples = [
    '<%= config.bin %> config garage status',
    '<%= config.bin %> config garage status --json',
  ];

  async run(): Promise<GarageStatus> {
    await this.parse(ConfigGarageStatus);
    const status = await garageStatus(await this.readDatabase(), () => this.context.garage());
    this.answer(show(status));
    if (status.rotating)
      this.say('A rotation of the key is not finished: ./operator.sh config garage rotate-key');
    return status;
  }
}

function show(status: GarageStatus): string {
  if (status.store === 'files')
    return `Documents are files in ${status.endpoint?.slice('file:'.length)}/ of the data directory.`;
  const lines = [
    `Garage     ${status.reachable ? 'answers' : `not reachable: ${status.reason}`}`,
    `Endpoint   ${status.endpoint ?? 'not configured: ./operator.sh config garage'}`,
    `Key        ${status.accessKeyId ?? '-'}`,
  ];
  if (status.bucket) {
    const { name, objects, bytes, keyAllowed } = status.bucket;
    lines.push(
      `Bucket     ${name}: ${count(objects, 'object')}, ${count(bytes, 'byte')}${keyAllowed ? '' : '; our key may not use it'}`,
    );
  } else if (status.reachable) lines.push('Bucket     missing: ./operator.sh config garage');
  for (const { id, isUp, zone, capacity } of status.nodes) {
    const role = zone === null ? 'no role' : `zone ${zone}, capacity ${capacity ?? 0} bytes`;
    lines.push(
      `Node       ${id.slice(0, 16)} ${isUp ? 'up' : 'down'}, ${role}, layout ${status.layoutVersion}`,
    );
  }
  return lines.join('\n');
}
