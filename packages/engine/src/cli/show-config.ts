import type { ConfigReport } from '../checks/configuration.ts';
import { settingText } from '../config/settings.ts';
import { age, minute } from './age.ts';
import { paint } from './style.ts';
import { table } from './table.ts';

const out = process.stdout;

/** One screen: everything that is set, by topic, and why the platform is not ready. */
export function showConfig(report: ConfigReport): string {
  const sections: [string, string[][]][] = [
    ['Users', [...claimRows(report), ...report.users.map(userRow)]],
    ['AI providers', report.aiProviders.map(aiRow)],
    ['Embeddings', report.embeddingProviders.map(embeddingRow)],
    ['Object storage', storeRows(report)],
    ['Credentials', report.apiKeys.map(keyRow)],
    ['Settings', settingRows(report)],
    ['Backups', backupRows(report)],
  ];
  return [
    ...sections.flatMap(([title, rows]) => [paint('bold', title, out), ...body(rows), '']),
    `Encryption key ${keyState(report)}, configuration ${report.version}`,
    ...verdict(report),
  ].join('\n');
}

function body(rows: string[][]): string[] {
  if (rows.length === 0) return [paint('dim', '  none', out)];
  return table(rows[0] as string[], rows.slice(1))
    .split('\n')
    .map((line) => `  ${line}`);
}

function userRow({ username, role, disabled, passwordSetAt }: ConfigReport['users'][number]): string[] {
  return [mark(!disabled), username, role, `password set ${age(passwordSetAt)}`, disabled ? 'disabled' : ''];
}

function claimRows({ claim }: ConfigReport): string[][] {
  if (claim === null) return [];
  const token = claim.counts
    ? `a token counts until ${minute(claim.expiresAt)} UTC`
    : 'no token counts any more';
  return [[paint('yellow', '!', out), 'nobody has claimed the platform yet', token]];
}

function aiRow({ provider, model, baseUrl, options, active }: ConfigReport['aiProviders'][number]): string[] {
  const chosen = Object.entries(options).map(([name, value]) => `${name} ${value}`);
  return [
    active ? mark(true) : ' ',
    provider,
    model,
    [...(baseUrl ? [`at ${baseUrl}`] : []), ...chosen].join(', '),
  ];
}

function embeddingRow(row: ConfigReport['embeddingProviders'][number]): string[] {
  const { provider, model, dimensions, precision, baseUrl, active } = row;
  const where = baseUrl ? `, at ${baseUrl}` : '';
  return [active ? mark(true) : ' ', provider, model, `${dimensions} dimensions, ${precision}${where}`];
}

function storeRows({ objectStore, items }: ConfigReport): string[][] {
  if (objectStore === null) return [];
  const item = items.find((one) => one.item === 'object storage');
  return [
    [
      mark(item?.ok ?? false),
      item?.ok ? item.summary : `bucket ${objectStore.bucket} at ${objectStore.endpoint}`,
    ],
  ];
}

function keyRow({
  provider,
  fingerprint,
  setAt,
  source,
  opens,
  neededBy,
}: ConfigReport['apiKeys'][number]): string[] {
  return [
    mark(opens),
    provider,
    fingerprint ?? '-',
    `set ${age(setAt)}${source ? ` from ${source}` : ''}`,
    neededBy ? `needed by ${neededBy}` : 'needed by nothing now',
  ];
}

function settingRows({ settings }: ConfigReport): string[][] {
  return settings.map(({ name, value, default: usual, isSet }) => [
    isSet ? mark(true) : ' ',
    name,
    settingText(name, value),
    isSet ? `default ${settingText(name, usual)}` : 'default',
  ]);
}

function backupRows({ backup: { kit, destinations, retention, schedule } }: ConfigReport): string[][] {
  const kept = retention
    ? `the last ${retention.last}, of ${retention.daily} days, ${retention.weekly} weeks, ${retention.monthly} months`
    : 'all';
  return [
    [mark(kit?.confirmedAt != null), 'recovery kit', kit ? kit.recipient : 'none'],
    ...destinations.map((one) => [
      mark(true),
      `destination ${one.name}`,
      one.type === 's3' ? `bucket ${one.bucket} at ${one.endpoint}` : one.path,
    ]),
    [retention ? mark(true) : ' ', 'kept', kept],
    [schedule ? mark(true) : ' ', 'made', schedule ? `${schedule.cron} (UTC)` : 'by hand'],
  ];
}

function keyState({ encryptionKey: { given, stored, previous } }: ConfigReport): string {
  if (stored === null) return 'none recorded yet';
  if (given === null || given === stored) return stored;
  return previous === given
    ? `${given}, being rotated to ${stored}`
    : `${given}, but ${stored} is the one of the data`;
}

function verdict({ ready, findings, claim }: ConfigReport): string[] {
  if (ready && claim)
    return [`${paint('cyan', 'Next:', out)} ./operator.sh config claim prints a token for the first admin`];
  if (ready) return [paint('green', 'Everything is configured.', out)];
  return [
    '',
    paint('red', 'The platform is not ready:', out),
    ...findings.map(({ problem, fix }) => `  ${mark(false)} ${problem}: ${fix}`),
  ];
}

function mark(ok: boolean): string {
  return ok ? paint('green', '✓', out) : paint('red', '✗', out);
}
