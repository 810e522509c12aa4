import { EXIT, OperatorError } from '../model/errors.ts';
import { findRelease, type ListedRelease, type YankedRelease } from './channels.ts';
import { compareVersions, isPrerelease, isVersion } from './version.ts';

export interface PathQuestion {
  installed: string;
  target: string;
  releases: readonly ListedRelease[];
  yanked: readonly YankedRelease[];
}

/**
 * The versions to walk, in order; the last is the target, and none means that it is installed. Every required stop between is one of
 * them, each hop starts at `upgradeFrom` or later, and nothing that was withdrawn is among them. Of all such ways it is the shortest;
 * of the shortest the one with the highest versions. Pre-releases are walked only on the way to a pre-release.
 *
 * There is one highest among the shortest ways: at every position the higher of two such ways makes a way again.
 * @throws OperatorError VERSION_UNKNOWN, VERSION_YANKED, INSTALLED_UNKNOWN, DOWNGRADE, NO_UPGRADE_PATH (why, and what would help)
 */
export function findPath(question: PathQuestion): string[] {
  const { installed, target, releases, yanked } = question;
  if (!isVersion(installed))
    throw new OperatorError('INSTALLED_UNKNOWN', `what is installed (${installed}) is no release`, {
      exitCode: EXIT.precondition,
      hint: 'only releases can be upgraded; images that were built here are replaced by ./operator.sh up',
    });
  if (installed === target) return [];
  findRelease(releases, yanked, target);
  if (compareVersions(target, installed) < 0)
    throw new OperatorError('DOWNGRADE', `${target} is older than ${installed}, which is installed`, {
      exitCode: EXIT.precondition,
      hint: `to go back: ./operator.sh rollback --to ${target}`,
    });
  const stops = requiredStops(question);
  const blocked = stops.find(({ version }) => version === null);
  if (blocked) throw noPathPast(blocked, question);
  const walk = waysTo(question, new Set(stops.map(({ version }) => version as string)));
  const best = walk.best();
  if (best) return best;
  throw walk.explain();
}

interface Stop {
  /** What is walked; null: nothing can be. */
  version: string | null;
  required: string;
  why?: string;
}

/** What must be walked between installed and target, oldest first; a withdrawn one is replaced by what it says replaces it. */
function requiredStops({ installed, target, releases, yanked }: PathQuestion): Stop[] {
  const passed = releases.filter(
    ({ version, requiredStop }) =>
      requiredStop && compareVersions(version, installed) > 0 && compareVersions(version, target) < 0,
  );
  return passed
    .toSorted((a, b) => compareVersions(a.version, b.version))
    .map(({ version }) => replacementOf(version, target, releases, yanked));
}

function replacementOf(
  required: string,
  target: string,
  releases: readonly ListedRelease[],
  yanked: readonly YankedRelease[],
): Stop {
  let version = required;
  // Each step leads to a newer version, so there is an end.
  for (let gone = goneAt(version); gone; gone = goneAt(version)) {
    if (gone.replacedBy === null)
      return {
        version: null,
        required,
        why: `${version} was withdrawn (${gone.reason}), and nothing replaces it yet`,
      };
    version = gone.replacedBy;
  }
  if (!releases.some((release) => release.version === version))
    return { version: null, required, why: `${version}, which replaces it, is not published` };
  if (compareVersions(version, target) > 0)
    return {
      version: null,
      required,
      why: `it was withdrawn, and ${version}, which replaces it, is newer than ${target}`,
    };
  return { version, required };

  function goneAt(wanted: string): YankedRelease | undefined {
    return yanked.find((one) => one.version === wanted);
  }
}

/** The graph of hops, and two questions about it. */
function waysTo({ installed, target, releases, yanked }: PathQuestion, stops: ReadonlySet<string>) {
  const gone = new Set(yanked.map(({ version }) => version));
  const from = new Map(releases.map(({ version, upgradeFrom }) => [version, upgradeFrom]));
  const between = [...from.keys()]
    .filter((version) => compareVersions(version, installed) > 0 && compareVersions(version, target) < 0)
    .toSorted(compareVersions);
  const mayWalk = (version: string) => stops.has(version) || !isPrerelease(version) || isPrerelease(target);
  /** Ascending, from what is installed to the target. */
  const nodes = [installed, ...between.filter((version) => !gone.has(version) && mayWalk(version)), target];
  const accepts = (to: string, start: string) => compareVersions(start, from.get(to) as string) >= 0;
  // Looked up once for each: lists are long, and comparing versions is what takes the time.
  const lowestStart = nodes.map((to, index) =>
    index === 0 ? 0 : firstThat(nodes, (node) => accepts(to, node)),
  );

  /** Indexes that can be reached in one hop; a required stop is not jumped over. */
  function* hops(start: number): Generator<number> {
    for (let to = start + 1; to < nodes.length; to += 1) {
      if (start >= (lowestStart[to] as number)) yield to;
      if (stops.has(nodes[to] as string)) return;
    }
  }

  return {
    best(): string[] | null {
      const left = new Map<number, { hops: number; next: number }>([
        [nodes.length - 1, { hops: 0, next: -1 }],
      ]);
      for (let start = nodes.length - 2; start >= 0; start -= 1) {
        for (const next of hops(start)) {
          const rest = left.get(next);
          // Ascending, so that of equals the highest stays.
          if (rest && rest.hops + 1 <= (left.get(start)?.hops ?? Number.POSITIVE_INFINITY))
            left.set(start, { hops: rest.hops + 1, next });
        }
      }
      const path: string[] = [];
      for (let at = left.get(0)?.next; at !== undefined && at > 0; at = left.get(at)?.next)
        path.push(nodes[at] as string);
      return path.length > 0 ? path : null;
    },

    /** Why there is none: how far the way leads, and what the next part of it wants. */
    explain(): OperatorError {
      const reached = new Set([0]);
      for (let start = 0; start < nodes.length; start += 1)
        if (reached.has(start)) for (const to of hops(start)) reached.add(to);
      const end = Math.max(...reached);
      const farthest = nodes[end] as string;
      // The nearest thing ahead that must be reached, and the lowest version from which it can be.
      const goal = nodes.findIndex((node, index) => index > end && (stops.has(node) || node === target));
      const leading = new Set([goal]);
      for (let start = goal - 1; start > end; start -= 1)
        if ([...hops(start)].some((to) => leading.has(to))) leading.add(start);
      const first = nodes[Math.min(...leading)] as string;
      const oldest = from.get(first) as string;
      const missing = yanked.filter(
        ({ version }) =>
          from.has(version) &&
          compareVersions(version, oldest) >= 0 &&
          compareVersions(version, first) < 0 &&
          accepts(version, farthest),
      );
      return new OperatorError('NO_UPGRADE_PATH', `there is no way from ${installed} to ${target}`, {
        exitCode: EXIT.precondition,
        details: [
          ...(end > 0 ? [`the way leads as far as ${farthest}`] : []),
          ...(first === target ? [] : [`${first} is next on the way to ${target}`]),
          `${first} can be installed over ${oldest} or newer, not over ${farthest}`,
          ...missing.map(
            ({ version, reason }) => `${version} would have been between, but was withdrawn: ${reason}`,
          ),
        ],
        hint: [
          `what would help is a release between ${farthest} and ${first} that goes from the one to the other: look for newer releases with ./operator.sh versions --refresh, or ask who publishes them`,
          ...(end > 0 ? [`until then: ./operator.sh upgrade --to ${farthest}`] : []),
        ].join('; '),
      });
    },
  };
}

/** The index of the first item of which `test` holds, where it holds of all after it, too; the length where of none. */
function firstThat<T>(items: readonly T[], test: (item: T) => boolean): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (test(items[middle] as T)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function noPathPast({ required, why }: Stop, { installed, target }: PathQuestion): OperatorError {
  return new OperatorError('NO_UPGRADE_PATH', `there is no way from ${installed} to ${target}`, {
    exitCode: EXIT.precondition,
    details: [`${required} is a required stop on it`, ...(why ? [why] : [])],
    hint: `versions before ${required} can be installed: ./operator.sh versions --available; for ${target} a release must take the place of ${required}: look for it with ./operator.sh versions --refresh`,
  });
}

/** The versions that can be gone back to with the data as it is, newest first; withdrawn ones are not among them. */
export function rollbackTargets({ installed, releases, yanked }: Omit<PathQuestion, 'target'>): string[] {
  const oldest = releases.find(({ version }) => version === installed)?.rollbackTo ?? null;
  if (oldest === null) return [];
  return releases
    .map(({ version }) => version)
    .filter(
      (version) =>
        compareVersions(version, installed) < 0 &&
        compareVersions(version, oldest) >= 0 &&
        !yanked.some((gone) => gone.version === version),
    )
    .toSorted(compareVersions)
    .reverse();
}
