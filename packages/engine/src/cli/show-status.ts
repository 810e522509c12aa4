import type { OperationStatus } from '../checks/operation.ts';
import type { StatusReport } from '../checks/report.ts';
import type { ConfigFinding } from '../model/observation.ts';
import { age, duration, minute } from './age.ts';
import { certificateLines } from './show-certificate.ts';
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
    ...(report.operation ? [operationLine(report.operation), ''] : []),
  ];
  for (const [index, { name, ok, summary }] of report.layers.entries()) {
    const mark = ok ? paint('green', '✓', out) : paint('red', '✗', out);
    lines.push(`${mark} ${index + 1} ${LAYER_TITLES[name].padEnd(14)} ${summary}`);
  }
  const rows = report.services.map(({ name, layer, state, health, version, digest, update, drift }) => [
    name,
    layer,
    state,
    health,
    version ?? '-',
    digest ?? '-',
    update,
    drift === null ? '' : paint('yellow', `runs ${drift}`, out),
  ]);
  lines.push('', table(['SERVICE', 'LAYER', 'STATE', 'HEALTH', 'VERSION', 'DIGEST', 'UPDATE', ''], rows));
  lines.push(
    '',
    ...backupLines(report.backup),
    ...certificateLines(report.certificate),
    ...findingLines(report.findings),
  );
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
  return [`${paint('bold', 'Backup', out)}  ${last}; ${planned}`, ...findingLines(remarks)];
}

function findingLines(findings: ConfigFinding[]): string[] {
  return findings.map(({ problem, fix }) => `  ${paint('yellow', '!', process.stdout)} ${problem}: ${fix}`);
}

function operationLine({ state, goal, step, of, title, since, problem, next }: OperationStatus): string {
  const out = process.stdout;
  const what = goal.charAt(0).toUpperCase() + goal.slice(1);
  const at = `step ${step} of ${of}${title === null ? '' : `, ${title}`}`;
  switch (state) {
    case 'running': {
      const seconds = Math.max(0, (Date.now() - Date.parse(since)) / 1000);
      return `${paint('cyan', `${what}:`, out)} ${at}, for ${duration(seconds)}; follow it: ${next[0]}`;
    }
    case 'interrupted':
      return `${paint('yellow', `${what} was interrupted`, out)} at ${at}; it goes on with ${next[0]}${next[1] ? `, and back with ${next[1]}` : ''}`;
    case 'recovery-needed':
      return `${paint('red', 'RECOVERY NEEDED', out)}  ${what} failed at ${at}: ${problem}`;
  }
}
