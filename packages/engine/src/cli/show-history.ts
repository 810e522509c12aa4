import { stripVTControlCharacters } from 'node:util';
import type { RunReport } from '../commands/history/show.ts';
import type { Run } from '../history/runs.ts';
import { type ImageChange, type RunSummary, shortId } from '../history/summary.ts';
import { age, duration, minute } from './age.ts';
import { paint } from './style.ts';
import { table } from './table.ts';

type Ids = readonly Pick<Run, 'id'>[];

const COLOURS = {
  finished: 'green',
  'rolled-back': 'yellow',
  'given-up': 'yellow',
  interrupted: 'yellow',
  running: 'cyan',
  failed: 'red',
} as const;

/** `all` is every run there is: ids are as long as tells them apart. */
export function showHistory(runs: RunSummary[], all: Ids, now: Date): string {
  return table(
    ['ID', 'WHEN', 'HOW LONG', 'WHAT', 'RESULT'],
    runs.map((run) => [
      shortId(run.id, all),
      minute(new Date(run.startedAt)),
      howLong(run, now),
      printable(run.goal),
      paint(COLOURS[run.result], result(run, all), process.stdout),
    ]),
  );
}

function howLong({ startedAt, seconds, result }: RunSummary, now: Date): string {
  if (seconds !== null) return duration(seconds);
  return result === 'running' ? duration(Math.max(0, (now.getTime() - Date.parse(startedAt)) / 1000)) : '-';
}

function result({ result, error, followedBy }: RunSummary, all: Ids): string {
  const follower = followedBy === null ? '' : shortId(followedBy, all);
  switch (result) {
    case 'rolled-back':
      return `rolled back by ${follower}`;
    case 'given-up':
      return `given up for ${follower}`;
    case 'failed':
      return [
        error?.code ? `failed: ${error.code}` : 'failed',
        ...(follower ? [`not undone by ${follower}`] : []),
      ].join(', ');
    default:
      return result;
  }
}

/** What all steps together may say before only the end of it is shown. */
const SHORT_LOG = 20;
const LAST_LINES = 10;

export function showRun(report: RunReport, all: Ids, { log, now }: { log: boolean; now: Date }): string {
  const { run, steps } = report;
  const out = process.stdout;
  const said = steps.reduce((sum, { lines }) => sum + lines.length, 0);
  const lines = [
    `${paint('bold', sentence(run.goal), out)}  ${run.id}`,
    '',
    ...facts(report, all, now).map(([name, value]) => `${name.padEnd(9)} ${value}`),
    '',
    ...steps.flatMap((step) => stepLines(step, log || said <= SHORT_LOG)),
  ];
  if (run.error) {
    const code = run.error.code === null ? '' : ` (${run.error.code})`;
    lines.push('', `${paint('red', 'Error:', out)} ${printable(run.error.message)}${code}`);
    if (run.error.hint !== null) lines.push(`${paint('cyan', 'Next:', out)} ${printable(run.error.hint)}`);
  }
  return lines.join('\n');
}

function facts(report: RunReport, all: Ids, now: Date): [string, string][] {
  const { run, related, images, path, head, backup } = report;
  const typed = `${printable(run.command)}${run.actor === null ? '' : `, by ${printable(run.actor)}`}`;
  const facts: [string, string][] = [
    ['Command', typed],
    ['Engine', run.engine ?? 'not known'],
    ['Begun', `${minute(new Date(run.startedAt))} UTC, ${age(new Date(run.startedAt), now)}`],
    ['Took', howLong(run, now)],
    ['Result', paint(COLOURS[run.result], result(run, all), process.stdout)],
  ];
  if (run.continued > 0) facts.push(['Continued', run.continued === 1 ? 'once' : `${run.continued} times`]);
  for (const other of related)
    facts.push([
      other.id === run.undoes ? 'Undoes' : 'Then',
      `${shortId(other.id, all)}, ${printable(other.goal)}: ${result(other, all)}`,
    ]);
  if (path.length > 0) {
    const versions = [run.from, ...path].map((version) => version ?? 'what was there before');
    facts.push(['Versions', versions.join(' → ')], ['Schema', `${head ?? 'empty'} when it began`]);
    facts.push(['Backup', backup ?? 'none']);
    for (const [index, line] of imageLines(images).entries()) facts.push([index === 0 ? 'Images' : '', line]);
  }
  return facts;
}

function imageLines(images: ImageChange[]): string[] {
  const changed = images.filter((image) => image.changed);
  const same = images.filter((image) => !image.changed).map(({ service }) => service);
  const width = Math.max(0, ...changed.map(({ service }) => service.length));
  return [
    ...changed.map(({ service, from, to }) => `${service.padEnd(width)}  ${digest(from)} → ${digest(to)}`),
    ...(same.length > 0 ? [`the same as before: ${same.join(', ')}`] : []),
  ];
}

/** The first 12 digits of an image's SHA-256. */
function digest(image: string | null): string {
  return image?.split('sha256:').at(-1)?.slice(0, 12) ?? 'not known';
}

const MARKS = {
  done: ['green', '✓'],
  failed: ['red', '✗'],
  interrupted: ['yellow', '!'],
  running: ['cyan', '▸'],
  'not-reached': ['dim', '·'],
} as const;

function stepLines(
  { index, title, seconds, result, lines }: RunReport['steps'][number],
  log: boolean,
): string[] {
  const [colour, mark] = MARKS[result];
  const time = seconds === null ? (result === 'done' ? '' : result.replace('-', ' ')) : duration(seconds);
  // Of much that was said, what led to the end counts.
  const shown = log ? lines : result === 'done' ? [] : lines.slice(-LAST_LINES);
  const hidden = lines.length - shown.length;
  return [
    `${paint(colour, mark, process.stdout)} ${String(index + 1).padStart(2)}  ${printable(title)}${time ? `  ${paint('dim', time, process.stdout)}` : ''}`,
    ...(hidden > 0
      ? [`        … ${hidden} ${shown.length > 0 ? 'earlier ' : ''}line${hidden === 1 ? '' : 's'}: --log`]
      : []),
    ...shown.map(({ line }) => `        ${printable(line)}`),
  ];
}

function sentence(goal: string): string {
  return printable(goal.charAt(0).toUpperCase() + goal.slice(1));
}

/** What hooks and images say must not move the cursor. */
function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/\p{Cc}/gu, ' ');
}
