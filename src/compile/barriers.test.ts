import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ONE_THREAD, placeBarriers, type Touch } from './barriers.ts';

const touch = fc
  .record({
    memory: fc.nat(2),
    begin: fc.nat(6),
    length: fc.integer({ min: 1, max: 3 }),
    isWrite: fc.boolean(),
    partition: fc.constantFrom('', '', ONE_THREAD, 'rows'),
  })
  .map(({ length, ...t }): Touch => ({ ...t, end: t.begin + length }));

/** Two threads race on a byte that one writes, unless the two touches divide the same bytes alike. */
function races(a: Touch, b: Touch): boolean {
  const meets = a.memory === b.memory && a.begin < b.end && b.begin < a.end;
  const isAlike =
    a.partition !== '' &&
    a.partition === b.partition &&
    (a.partition === ONE_THREAD || (a.begin === b.begin && a.end === b.end));
  return meets && (a.isWrite || b.isWrite) && !isAlike;
}

test('steps that race are always separated, and no barrier is without a reason', () => {
  fc.assert(
    fc.property(fc.array(fc.array(touch, { maxLength: 3 }), { maxLength: 12 }), (steps) => {
      const barriers = placeBarriers(steps);
      let start = 0;
      steps.forEach((step, i) => {
        const open = steps.slice(start, i).flat();
        expect(step.some((t) => open.some((o) => races(o, t)))).toBe(false);
        if (!barriers[i]) return;
        const phase = steps.slice(start, i + 1).flat();
        expect(steps[i + 1]!.some((t) => phase.some((o) => races(o, t)))).toBe(true);
        start = i + 1;
      });
    }),
    { seed: 3 },
  );
});
