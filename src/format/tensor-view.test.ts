/** Stacked and transposed tensors, read whole and by any rows. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { DType } from '../ir/dtype.ts';
import { pack, Q8_0 } from '../quant/index.ts';
import { failure, ramp } from './file.fixture.ts';
import { memorySource, readTensorRows, stackedTensor, transposedTensor } from './index.ts';
import { storedTensor } from './tensor-file.ts';

const matrix = (rows: number, columns: number, element: DType = 'f32', name = 'm') => {
  const bytes = pack(element, ramp(rows * columns), columns);
  return storedTensor(memorySource(bytes), { name, element, shape: [rows, columns], byteOffset: 0 });
};
const rowsOf = async (entry: Parameters<typeof readTensorRows>[0], first: number, count: number, size: number) => {
  const room = new Uint8Array(count * size + 1);
  await readTensorRows(entry, first, count, room.subarray(1)); // targets need not be aligned
  return room.slice(1);
};

it('transposes floats', async () => {
  const sizes = fc.integer({ min: 1, max: 40 });
  await fc.assert(
    fc.asyncProperty(
      sizes,
      sizes,
      fc.constantFrom<DType>('f32', 'f16', 'bf16'),
      fc.nat(),
      async (rows, columns, element, at) => {
        const [size, first] = [element === 'f32' ? 4 : 2, at % columns];
        const entry = matrix(rows, columns, element);
        const source = await rowsOf(entry, 0, rows, columns * size);
        const turned = await rowsOf(transposedTensor(entry), first, columns - first, rows * size);
        for (let r = 0; r < columns - first; r++) {
          for (let c = 0; c < rows; c++) {
            const from = (c * columns + first + r) * size;
            const to = (r * rows + c) * size;
            expect(turned.subarray(to, to + size)).toEqual(source.subarray(from, from + size));
          }
        }
      },
    ),
    { numRuns: 30 },
  );
  const large = transposedTensor(matrix(1500, 300)); // several stripes
  expect(large.shape).toEqual([300, 1500]);
  const bytes = await rowsOf(large, 7, 1, 6000);
  const expected = ramp(1500 * 300).filter((_, i) => i % 300 === 7);
  expect(new Float32Array(bytes.buffer)).toEqual(expected);
});

it('stacks tensors, rows across their borders', async () => {
  const parts = [0, 1, 2].map((i) => matrix(3, 4, 'f32', `m${i}`));
  const stack = stackedTensor('stack', parts);
  expect(stack).toMatchObject({ shape: [3, 3, 4], byteLength: 144 });
  const once = await rowsOf(parts[0]!, 0, 3, 16);
  const all = new Uint8Array([...once, ...once, ...once]);
  for (const [first, count] of [
    [0, 9],
    [2, 3],
    [3, 3],
    [8, 1],
    [1, 7],
  ] as const)
    expect(await rowsOf(stack, first, count, 16)).toEqual(all.slice(first * 16, (first + count) * 16));
});

it('refuses what does not fit together', () => {
  expect(() => stackedTensor('s', [])).toThrow(failure('BAD_WEIGHTS', 'no parts'));
  expect(() => stackedTensor('s', [matrix(2, 3), matrix(3, 2, 'f32', 'n')])).toThrow(
    failure('BAD_WEIGHTS', '"n" is f32 [3, 2]'),
  );
  expect(() => stackedTensor('s', [matrix(2, 3), matrix(2, 3, 'f16')])).toThrow(failure('BAD_WEIGHTS', 'f16'));
  const packed = storedTensor(memorySource(new Uint8Array(34)), {
    name: 'p',
    element: Q8_0,
    shape: [1, 32],
    byteOffset: 0,
  });
  expect(() => transposedTensor(packed)).toThrow(failure('BAD_WEIGHTS', 'Q8_0'));
});
