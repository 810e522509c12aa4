import type { StatusReport } from '../checks/report.ts';
import { age, minute } from './age.ts';
import { paint } from './style.ts';
import { table } from './table.ts';

const LAYER_TITLES = {
  secrets: 'Secrets',
  schema: 'Schema',
  configuration: 'Configuration',
  application: 'Application',
} as const;

/** One screen: the four layers, the services, backups, and what to do next. */
export function showStatus(report: StatusReport): string {
  const out = process.stdout;
  const lines = [
    `${paint('bold', report.project, out)}  kg-operator ${report.engine}  ${report.ok ? report.url : ''}`.trimEnd(),
    '',
  ];
  for (const [index, { name, ok, summary }] of report.layers.entries()) {
    const mark = ok ? paint('green', '✓', out) : paint('red', '✗', out);
    lines.push(`${mark} ${index + 1} ${LAYER_TITLES[name].padEnd(14)} ${summary}`);
  }
  const rows = report.services.map(({ name, layer, state, health, version, digest, update }) => [
    name,
    layer,
    state,
    health,
    version ?? '-',
    digest ?? '-',
    update,
  ]);
  lines.push('', table(['SERVICE', 'LAYER', 'STATE', 'HEALTH', 'VERSION', 'DIGEST', 'UPDATE'], rows));
  lines.push('', ...backupLines(report.backup));
  if (report.next.length > 0)
    lines.push('', `${paint('cyan', 'Next:', out)} ${report.next.join('\n      ')}`);
  return lines.join('\n');
}

function backupLines({ lastVerified, next, schedule, kit, remarks }: StatusReport['backup']): string[] {
  const out = process.stdout;
  const last = lastVerified
    ? `verified ${age(new Date(lastVerified.createdAt))}, ${lastVerified.id}`
    : 'none that was verified';
  const planned = next
    ? `next ${minute(new Date(next))} UTC`
    : schedule || kit === null
      ? 'next not known'
      : 'made by hand only';
  return [
    `${paint('bold', 'Backup', out)}  ${last}; ${planned}`,
    ...remarks.map(({ problem, fix }) => `  ${paint('yellow', '!', out)} ${problem}: ${fix}`),
  ];
}
