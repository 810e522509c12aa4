/**
 * Versions as https://semver.org has them, without build metadata: a `+` is not allowed in an image's tag.
 * @returns the three numbers and the dot-separated identifiers after `-`, or null for anything else
 */
export function parseVersion(text: string): { numbers: number[]; prerelease: string[] } | null {
  const [, major, minor, patch, prerelease] = VERSION.exec(text) ?? [];
  if (major === undefined) return null;
  return { numbers: [major, minor, patch].map(Number), prerelease: prerelease?.split('.') ?? [] };
}

/** Numbers of at most nine digits, so that they are exact. */
export const VERSION =
  /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-((?:0|[1-9]\d{0,8}|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d{0,8}|\d*[A-Za-z-][0-9A-Za-z-]*))*))?$/;

export function isVersion(text: string): boolean {
  return VERSION.test(text);
}

export function isPrerelease(version: string): boolean {
  return version.includes('-');
}

/** Negative, 0 or positive, by https://semver.org/#spec-item-11. @throws Error for a text that is no version */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => {
    const version = parseVersion(text);
    if (!version) throw new Error(`${text} is no version`);
    return version;
  }) as [NonNullable<ReturnType<typeof parseVersion>>, NonNullable<ReturnType<typeof parseVersion>>];
  for (const [index, number] of left.numbers.entries())
    if (number !== right.numbers[index]) return number - (right.numbers[index] as number);
  return comparePrereleases(left.prerelease, right.prerelease);
}

function comparePrereleases(a: string[], b: string[]): number {
  // A version without one is the later.
  if (a.length === 0 || b.length === 0) return b.length - a.length;
  for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
    const difference = compareIdentifiers(a[index] as string, b[index] as string);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Numbers as numbers and before words; words by their ASCII codes. */
function compareIdentifiers(a: string, b: string): number {
  const [aIsNumber, bIsNumber] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (aIsNumber && bIsNumber) return Number(a) - Number(b);
  if (aIsNumber !== bIsNumber) return aIsNumber ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
