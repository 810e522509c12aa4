import type { AvailableReport, AvailableVersion } from '../release/available.ts';
import { age, minute } from './age.ts';
import { paint } from './style.ts';
import { table } from './table.ts';

/** The releases, for a person. */
export function showAvailable({ list, installed, versions }: AvailableReport, now: Date): string {
  if (!list) return 'No list of releases yet: ./operator.sh versions --from SOURCE fetches one.';
  const lines = [
    `Releases of ${list.source}, list number ${list.counter} of ${day(list.issuedAt)}, good until ${day(list.expiresAt)}; fetched ${age(new Date(list.fetchedAt), now)}`,
  ];
  if (list.blocked)
    lines.push(paint('yellow', `Upgrades are blocked: ${list.blocked.message}`, process.stdout));
  lines.push(
    '',
    table(
      ['VERSION', 'CHANNEL', 'STATE', 'HOW'],
      versions.map((one) => [one.version, one.channels.join(', ') || '-', one.state, how(one)]),
    ),
  );
  const next = versions.find(({ state, channels }) => state === 'available' && channels.length > 0);
  if (next && !list.blocked) lines.push('', `Next: ./operator.sh upgrade --to ${next.version} --dry-run`);
  else if (!next) lines.push('', `${installed} is the newest that an upgrade gets to.`);
  return lines.join('\n');
}

function how({ path, class: kind, reason, requiredStop }: AvailableVersion): string {
  const parts = [
    path ? `by ${path.join(', ')}` : '',
    kind === 'planned-downtime' ? 'planned downtime' : kind === 'rolling' ? 'without downtime' : '',
    requiredStop ? 'required stop' : '',
    reason ?? '',
  ];
  return parts.filter(Boolean).join('; ') || '-';
}

function day(time: string): string {
  return minute(new Date(time)).slice(0, 10);
}
