// Makes this tree the release of a version: every package.json and the lock file, operator.sh, the published compose file, and the
// changelog, whose section Unreleased becomes that of the version. release/version.sh checks the tree, commits and tags.
//   node release/version.ts VERSION DATE       changes the files, prints their names
//   node release/version.ts notes VERSION      prints the section of a version
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { compareVersions, isVersion } from '../packages/engine/src/release/version.ts';

export const CHANGELOG = 'CHANGELOG.md';
const UNRELEASED = '## Unreleased';

/** What makes a version impossible: the message names it, `hint` what to do. */
export class Refusal extends Error {
  readonly hint: string;
  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/** A changelog whose section Unreleased is that of the version, under a new, empty one. @throws Refusal */
export function releaseChangelog(text: string, version: string, date: string): string {
  const section = sectionOf(text, UNRELEASED);
  if (section === null)
    throw new Refusal(`${CHANGELOG} has no line "${UNRELEASED}"`, 'write what is new under one');
  if (section === '')
    throw new Refusal(
      `${CHANGELOG}: nothing is written under "${UNRELEASED}"`,
      'say there what is new; it becomes the notes of the release',
    );
  const [newest] = releasedVersions(text);
  if (newest && compareVersions(version, newest) <= 0)
    throw new Refusal(`${version} is not higher than ${newest}, which was released`, 'take a higher version');
  return text.replace(`${UNRELEASED}\n`, `${UNRELEASED}\n\n## ${version} (${date})\n`);
}

/** The section of a version, without its heading. @throws Refusal */
export function releaseNotes(text: string, version: string): string {
  const heading = text
    .split('\n')
    .find((line) => line.startsWith(`## ${version} (`) && /\(\d{4}-\d\d-\d\d\)$/.test(line));
  const section = heading === undefined ? null : sectionOf(text, heading);
  if (section) return `${section}\n`;
  throw new Refusal(`${CHANGELOG} has no section "## ${version} (DATE)"`, `release/version.sh ${version}`);
}

/** Versions with a date, as they stand there: the newest first. */
function releasedVersions(text: string): string[] {
  return [...text.matchAll(/^## (\S+) \(\d{4}-\d\d-\d\d\)$/gm)].map(([, version = '']) => version);
}

function sectionOf(text: string, heading: string): string | null {
  const at = `\n${text}`.indexOf(`\n${heading}\n`);
  if (at < 0) return null;
  const rest = text.slice(at + heading.length);
  const end = rest.search(/^## /m);
  return (end < 0 ? rest : rest.slice(0, end)).trim();
}

interface Package {
  name?: string;
  version?: string;
  [member: string]: unknown;
}
const DEPENDENCIES = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'];

/** Sets the version of a package of ours, and what it wants of others of ours, which are pinned. */
function setVersion(manifest: Package, version: string, ours: ReadonlySet<string>): void {
  manifest.version = version;
  for (const kind of DEPENDENCIES) {
    const wanted = manifest[kind] as Record<string, string> | undefined;
    for (const name of Object.keys(wanted ?? {})) if (wanted && ours.has(name)) wanted[name] = version;
  }
}

/** The files of this folder that say the version, as they become, by name. @throws Refusal */
export function versionedFiles(version: string, date: string): Map<string, string> {
  if (!isVersion(version)) throw new Refusal(`${version} is no version`, 'write it as 1.2.0 or 1.3.0-rc.1');
  const files = new Map<string, string>();
  const read = (path: string) => readFileSync(path, 'utf8');
  const change = (path: string, pattern: RegExp, value: string) => {
    const text = read(path);
    if (!pattern.test(text))
      throw new Refusal(`${path}: nothing matches ${pattern.source}`, 'mend release/version.ts');
    files.set(path, text.replaceAll(new RegExp(pattern, 'gm'), value));
  };
  files.set(CHANGELOG, releaseChangelog(read(CHANGELOG), version, date));

  const manifests = ['package.json', ...globSync('packages/*/package.json').sort()];
  const parsed = manifests.map((path) => [path, JSON.parse(read(path)) as Package] as const);
  const ours = new Set(parsed.flatMap(([, { name }]) => name ?? []));
  const [, { version: now = '0.0.0' }] = parsed[0] as (typeof parsed)[0];
  if (compareVersions(version, now) < 0)
    throw new Refusal(`${version} is lower than ${now}, which this tree is`, 'take a higher version');
  const write = (path: string, value: unknown) => files.set(path, `${JSON.stringify(value, null, 2)}\n`);
  for (const [path, manifest] of parsed) {
    setVersion(manifest, version, ours);
    write(path, manifest);
  }
  const lock = JSON.parse(read('package-lock.json')) as Package & { packages: Record<string, Package> };
  lock.version = version;
  for (const path of manifests) {
    const entry = lock.packages[path.replace(/\/?package\.json$/, '')];
    if (entry) setVersion(entry, version, ours);
  }
  write('package-lock.json', lock);

  change('operator.sh', /^KG_VERSION=.*$/m, `KG_VERSION=${version}`);
  change('docker/docker-compose.ghcr.yml', /\{IMAGE_TAG:-[^}]*\}/m, `{IMAGE_TAG:-${version}}`);
  return files;
}

function main([first = '', second = '']: string[]): void {
  if (first === 'notes') {
    process.stdout.write(releaseNotes(readFileSync(CHANGELOG, 'utf8'), second));
    return;
  }
  const files = versionedFiles(first, second);
  for (const [path, text] of files) {
    if (!existsSync(path)) throw new Error(`${path} is not there`);
    writeFileSync(path, text);
  }
  console.log([...files.keys()].join('\n'));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(`release/version: ${error.message}\n  ${error.hint}`);
    process.exitCode = 1;
  }
}
