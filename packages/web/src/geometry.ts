/** Where things are drawn; no DOM here. Lengths are in the SVG's user units. */

export interface Point {
  x: number;
  y: number;
}

export interface Disc extends Point {
  r: number;
}

/** Radius of a concept with so many relations. */
export function radius(degree: number): number {
  return 9 + 3 * Math.sqrt(Math.min(degree, 36));
}

/**
 * How far each relation bends aside, by id, so that those between the same two concepts lie side by side; a single one is straight.
 * The sign belongs to the direction from `from` to `to`.
 */
export function bends(edges: { id: string; from: string; to: string }[]): Map<string, number> {
  const groups = new Map<string, { id: string; from: string; to: string }[]>();
  for (const edge of edges) {
    const key = JSON.stringify([edge.from, edge.to].sort());
    groups.set(key, [...(groups.get(key) ?? []), edge]);
  }
  const result = new Map<string, number>();
  for (const group of groups.values()) {
    group.forEach((edge, index) => {
      const isLoop = edge.from === edge.to;
      const lane = isLoop ? index : index - (group.length - 1) / 2;
      // `0 -` and not a bare minus: no negative zero.
      result.set(edge.id, edge.from <= edge.to ? lane * 34 : 0 - lane * 34);
    });
  }
  return result;
}

/** The path of a relation from rim to rim, and the place of its label. */
export function edgePath(from: Disc, to: Disc, bend: number): { path: string; label: Point } {
  if (from === to) return loopPath(from, bend);
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  const control = { x: middle.x - (dy / length) * bend * 2, y: middle.y + (dx / length) * bend * 2 };
  const start = towards(from, control, from.r);
  const end = towards(to, control, to.r + 5);
  return {
    path: `M${at(start)}Q${at(control)} ${at(end)}`,
    label: { x: (middle.x + control.x) / 2, y: (middle.y + control.y) / 2 },
  };
}

function loopPath(disc: Disc, bend: number): { path: string; label: Point } {
  const size = disc.r + 26 + Math.abs(bend);
  const left = { x: disc.x - size * 0.8, y: disc.y - size * 1.3 };
  const right = { x: disc.x + size * 0.8, y: disc.y - size * 1.3 };
  const start = towards(disc, left, disc.r);
  const end = towards(disc, right, disc.r + 5);
  return {
    path: `M${at(start)}C${at(left)} ${at(right)} ${at(end)}`,
    label: { x: disc.x, y: disc.y - size },
  };
}

function towards(from: Point, to: Point, distance: number): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  return {
    x: from.x + ((to.x - from.x) / length) * distance,
    y: from.y + ((to.y - from.y) / length) * distance,
  };
}

function at({ x, y }: Point): string {
  return `${x.toFixed(1)},${y.toFixed(1)}`;
}

export type Direction = 'ArrowLeft' | 'ArrowRight' | 'ArrowUp' | 'ArrowDown';

/** The nearest other point within 60° of a direction; undefined if there is none. */
export function nearest<P extends Point>(from: P, points: P[], direction: Direction): P | undefined {
  const axis = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[direction];
  const [ax, ay] = axis as [number, number];
  let best: P | undefined;
  let bestDistance = Infinity;
  for (const point of points) {
    const dx = point.x - from.x;
    const dy = point.y - from.y;
    const distance = Math.hypot(dx, dy);
    if (point === from || dx * ax + dy * ay < distance / 2 || distance >= bestDistance) continue;
    best = point;
    bestDistance = distance;
  }
  return best;
}

/** Scale and shift that show all discs in a box, with a margin; never enlarged beyond `maxScale`. */
export function fit(
  discs: Disc[],
  box: { width: number; height: number },
  { margin = 56, maxScale = 1.2 } = {},
): { k: number; x: number; y: number } {
  if (discs.length === 0) return { k: 1, x: box.width / 2, y: box.height / 2 };
  const left = Math.min(...discs.map((disc) => disc.x - disc.r));
  const right = Math.max(...discs.map((disc) => disc.x + disc.r));
  const top = Math.min(...discs.map((disc) => disc.y - disc.r));
  const bottom = Math.max(...discs.map((disc) => disc.y + disc.r));
  const k = Math.min(
    maxScale,
    Math.max(box.width - 2 * margin, 40) / (right - left),
    Math.max(box.height - 2 * margin, 40) / (bottom - top),
  );
  return {
    k,
    x: box.width / 2 - ((left + right) / 2) * k,
    y: box.height / 2 - ((top + bottom) / 2) * k,
  };
}

/** A name as it is written beside its disc. */
export function shorten(text: string, length = 26): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).trimEnd()}…`;
}
