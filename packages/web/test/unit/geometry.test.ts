import { describe, expect, test } from '@jest/globals';
import { bends, edgePath, fit, nearest, shorten } from '../../src/geometry.ts';

describe('bends', () => {
  test('a single relation is straight', () => {
    expect(bends([{ id: '1', from: 'a', to: 'b' }]).get('1')).toBe(0);
  });

  test('relations between the same two lie side by side, whatever their direction', () => {
    const edges = [
      { id: '1', from: 'a', to: 'b' },
      { id: '2', from: 'b', to: 'a' },
      { id: '3', from: 'a', to: 'b' },
    ];
    const found = bends(edges);
    const [a, b] = [
      { x: 0, y: 0, r: 10 },
      { x: 100, y: 0, r: 10 },
    ];
    const heights = edges.map(({ id, from }) =>
      from === 'a' ? edgePath(a, b, found.get(id) ?? 0).label.y : edgePath(b, a, found.get(id) ?? 0).label.y,
    );
    expect(new Set(heights).size).toBe(3);
  });

  test('loops of one concept get larger and larger', () => {
    const found = bends([
      { id: '1', from: 'a', to: 'a' },
      { id: '2', from: 'a', to: 'a' },
    ]);
    const disc = { x: 0, y: 0, r: 10 };
    expect(edgePath(disc, disc, found.get('2') ?? 0).label.y).toBeLessThan(
      edgePath(disc, disc, found.get('1') ?? 0).label.y,
    );
  });
});

test('a path runs from rim to rim, with room for the arrow', () => {
  const { path, label } = edgePath({ x: 0, y: 0, r: 10 }, { x: 100, y: 0, r: 20 }, 0);
  expect(path).toBe('M10.0,0.0Q50.0,0.0 75.0,0.0');
  expect(label).toEqual({ x: 50, y: 0 });
});

test('two concepts on one spot give finite numbers', () => {
  const { path } = edgePath({ x: 5, y: 5, r: 10 }, { x: 5, y: 5, r: 10 }, 0);
  expect(path).not.toMatch(/NaN|Infinity/);
});

test('arrow keys go to the nearest concept in their direction', () => {
  const points = [
    { x: 0, y: 0 },
    { x: 10, y: 1 },
    { x: 5, y: 50 },
    { x: -30, y: 0 },
  ] as const;
  const [from, right, below, left] = points;
  expect(nearest(from, [...points], 'ArrowRight')).toBe(right);
  expect(nearest(from, [...points], 'ArrowDown')).toBe(below);
  expect(nearest(from, [...points], 'ArrowLeft')).toBe(left);
  expect(nearest(from, [...points], 'ArrowUp')).toBeUndefined();
});

test('fit shows everything within the margin', () => {
  const discs = [
    { x: -500, y: -100, r: 20 },
    { x: 700, y: 300, r: 20 },
  ];
  const { k, x, y } = fit(discs, { width: 800, height: 600 }, { margin: 50 });
  for (const disc of discs) {
    expect((disc.x - disc.r) * k + x).toBeGreaterThanOrEqual(49.9);
    expect((disc.x + disc.r) * k + x).toBeLessThanOrEqual(750.1);
    expect((disc.y - disc.r) * k + y).toBeGreaterThanOrEqual(49.9);
    expect((disc.y + disc.r) * k + y).toBeLessThanOrEqual(550.1);
  }
  expect(fit([{ x: 0, y: 0, r: 9 }], { width: 800, height: 600 }).k).toBe(1.2);
});

test('long names are shortened', () => {
  expect(shorten('short')).toBe('short');
  expect(shorten('a'.repeat(40))).toHaveLength(26);
});
