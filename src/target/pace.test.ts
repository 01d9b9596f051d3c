import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Pace } from './pace.ts';

/** Runs a plan at a cost per group; gives the longest piece in ms and the number of pieces. */
function run(pace: Pace, costs: readonly number[]): { longest: number; pieces: number } {
  let [longest, pieces] = [0, 0];
  for (let from = 0; from < costs.length; pieces++) {
    const to = pace.end(from);
    expect(to).toBeGreaterThan(from);
    const ms = costs.slice(from, to).reduce((a, b) => a + b);
    pace.took(to - from, ms);
    longest = Math.max(longest, ms);
    from = to;
  }
  return { longest, pieces };
}

test('short plans run in one piece, once that is known', () => {
  const pace = new Pace(200);
  const costs = new Array<number>(200).fill(0.01);
  for (let i = 0; i < 3; i++) run(pace, costs);
  expect(run(pace, costs).pieces).toBe(1);
});

test('long plans run in pieces of some 30 ms, from the second run on', () => {
  fc.assert(
    fc.property(fc.double({ min: 1, max: 30, noNaN: true }), fc.integer({ min: 20, max: 300 }), (cost, count) => {
      const pace = new Pace(count);
      const costs = Array.from({ length: count }, (_, i) => cost * (i % 4 === 0 ? 1.5 : 0.5));
      run(pace, costs);
      const { longest, pieces } = run(pace, costs);
      expect(longest).toBeLessThan(100);
      const total = costs.reduce((a, b) => a + b);
      expect(pieces).toBeLessThan(2 + total / 5);
    }),
  );
});
