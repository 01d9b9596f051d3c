import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elementCount } from '../../ir/shape.ts';
import { type Affine, LoopSpace, reshapeCoordinates } from './index-map.ts';

/** Every point of a space, as indices of its axes. */
function points(extents: readonly number[]): number[][] {
  return extents.reduce<number[][]>(
    (all, e) => all.flatMap((p) => Array.from({ length: e }, (_, i) => [...p, i])),
    [[]],
  );
}
const at = (a: Affine, point: readonly number[]): number =>
  a.strides.reduce((n, s, i) => n + s * point[i]!, a.constant);

/** Two shapes with the same number of elements, cut differently from one list of factors. */
const factorLists = fc
  .array(fc.constantFrom(1, 2, 3, 4, 5, 8), { minLength: 1, maxLength: 5 })
  .filter((f) => elementCount(f) <= 400);
const shapes = factorLists.chain((factors) => {
  const cut = fc.array(fc.boolean(), { minLength: factors.length, maxLength: factors.length }).map((cuts) => {
    const shape: number[] = [];
    factors.forEach((f, i) => {
      if (i === 0 || cuts[i]) shape.push(f);
      else shape[shape.length - 1]! *= f;
    });
    return shape;
  });
  return fc.tuple(cut, cut);
});

test('coordinates behind a reshape name the same element, also when axes had to be split', () => {
  fc.assert(
    fc.property(shapes, ([to, from]) => {
      const space = new LoopSpace(to);
      const start = space.identity();
      const coordinates = reshapeCoordinates(space, start, to, from);
      if (!coordinates) return;
      const [before, after] = [space.linear(start, to), space.linear(coordinates, from)];
      for (const point of points(space.extents)) {
        expect(at(after, point)).toBe(at(before, point));
        coordinates.forEach((c, axis) => expect(at(c, point)).toBeLessThan(from[axis]!));
      }
      expect(elementCount(space.extents)).toBe(elementCount(to));
    }),
    { seed: 5 },
  );
});

test('merging axes behind a transpose splits the loop instead of failing', () => {
  const space = new LoopSpace([6, 32]);
  const [row, column] = space.identity();
  const back = reshapeCoordinates(space, [row!, column!], [6, 32], [6, 4, 8]);
  expect(back).toBeDefined();
  expect(space.extents).toEqual([6, 4, 8]);
});

test('an axis is not split into pieces too short for vectors', () => {
  const space = new LoopSpace([64]);
  expect(reshapeCoordinates(space, space.identity(), [64], [32, 2])).toBeUndefined();
  expect(space.extents).toEqual([64]);
});
