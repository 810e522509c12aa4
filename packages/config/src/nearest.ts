/** The name that was probably meant, if one is near: at most two fifths of it mistyped, letter case aside. */
export function nearest<Name extends string>(typed: string, names: readonly Name[]): Name | null {
  const wanted = typed.toLowerCase();
  let best: Name | null = null;
  let least = Number.POSITIVE_INFINITY;
  if (wanted.length > 100) return null;
  for (const name of names) {
    const edits = distance(wanted, name.toLowerCase());
    if (edits < least && edits <= Math.max(1, name.length * 0.4)) [best, least] = [name, edits];
  }
  return best;
}

/** Insertions, deletions and replacements from one text to the other (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j++)
      next.push(
        Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (letter === to[j] ? 0 : 1)),
      );
    row = next;
  }
  return row.at(-1) ?? 0;
}
