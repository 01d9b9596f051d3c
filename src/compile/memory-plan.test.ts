import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LiveRange, planMemory } from './memory-plan.ts';

const range = fc
  .record({ bytes: fc.integer({ min: 0, max: 5000 }), first: fc.nat(30), length: fc.nat(8) })
  .map(({ bytes, first, length }): LiveRange => ({ bytes, first, last: first + length }));

test('no two ranges that are live together share bytes', () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 40 }), (ranges) => {
      const { offsets, arenaBytes, peakBytes } = planMemory(ranges);
      ranges.forEach((a, i) => {
        expect(offsets[i]! % 64).toBe(0);
        expect(offsets[i]! + a.bytes).toBeLessThanOrEqual(arenaBytes);
        ranges.slice(0, i).forEach((b, j) => {
          const isApart = a.last < b.first || b.last < a.first;
          const isDisjoint = offsets[i]! + a.bytes <= offsets[j]! || offsets[j]! + b.bytes <= offsets[i]!;
          expect(isApart || isDisjoint || a.bytes === 0 || b.bytes === 0).toBe(true);
        });
      });
      expect(arenaBytes).toBeGreaterThanOrEqual(peakBytes);
    }),
    { seed: 7 },
  );
});

test('a chain of equal buffers takes two of them', () => {
  const chain = Array.from({ length: 50 }, (_, i) => ({ bytes: 1000, first: i, last: i + 1 }));
  expect(planMemory(chain).arenaBytes).toBe(2 * 1024);
});
