import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { input } from '../ir/build.ts';
import type { Value } from '../ir/graph.ts';
import { elementsOf, type HostTensor, hostTensor } from '../ir/host-tensor.ts';
import { interpret } from '../ir/interpreter/interpret.ts';
import { byteLength } from '../ir/shape.ts';
import {
  linear,
  pack,
  packSparse,
  SPARSE,
  type SparseDType,
  sparseBytes,
  sparseLinear,
  sparseToDense,
  unpack,
} from './index.ts';

const DTYPES: readonly SparseDType[] = ['f32', 'f16', 'bf16'];
const SHARES = [0, 0.1, 0.5, 1];
const SHAPES = [
  [1, 1],
  [16, 2],
  [37, 67],
  [5, 1],
  [33, 64],
  [0, 7],
  [7, 0],
] as const;

function pruned(rows: number, columns: number, share: number): Float32Array {
  let state = 7;
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 < share ? Math.sin(i + 1) + 2 : 0;
  });
}

/** Runs a function of the parts of a sparse matrix, and of other tensors. */
function run(build: (inputs: Value[]) => Value, tensors: readonly HostTensor[]): HostTensor {
  const inputs = tensors.map(({ type }, i) => input(i, `x${i}`, type.dtype, type.shape));
  return interpret({ inputs, outputs: [build(inputs)] }, tensors)[0]!;
}

describe.each(DTYPES)('sparse matrices of %s', (dtype) => {
  it.each(SHAPES.flatMap(([rows, columns]) => SHARES.map((share) => [rows, columns, share] as const)))(
    'hold %i x %i elements, a share of %d of them',
    (rows, columns, share) => {
      const values = pruned(rows, columns, share);
      const { bitmap, values: kept, starts } = packSparse(values, [rows, columns], dtype);
      const dense = run(
        ([b, v, s]) => sparseToDense({ bitmap: b!, values: v!, starts: s! }, [rows, columns]),
        [bitmap, kept, starts],
      );
      expect(dense.type).toEqual({ dtype: 'f32', shape: [rows, columns] });
      expect(elementsOf(dense)).toEqual(unpack(dtype, pack(dtype, values, columns), rows, columns));
      const count = values.filter((v) => v !== 0).length;
      expect(kept.type.shape).toEqual([count + SPARSE.slack]);
      const bytes = [bitmap, kept, starts].reduce((sum, { type }) => sum + byteLength(type), 0);
      expect(sparseBytes([rows, columns], count, dtype)).toBe(bytes);
    },
  );

  it('multiply as the dense matrix does, bit for bit', () => {
    fc.assert(
      fc.property(
        fc.record({ m: fc.nat(4), n: fc.nat(40), depth: fc.nat(40), share: fc.constantFrom(...SHARES) }),
        ({ m, n, depth, share }) => {
          const values = pruned(n, depth, share);
          const { bitmap, values: kept, starts } = packSparse(values, [n, depth], dtype);
          const x = hostTensor(
            'f32',
            [m, depth],
            Float32Array.from({ length: m * depth }, (_, i) => Math.cos(i)),
          );
          const product = run(
            ([a, b, v, s]) => sparseLinear(a!, { bitmap: b!, values: v!, starts: s! }, n),
            [x, bitmap, kept, starts],
          );
          const w: HostTensor = { type: { dtype, shape: [n, depth] }, bytes: pack(dtype, values, depth) };
          expect(product).toEqual(run(([a, b]) => linear(a!, b!), [x, w]));
        },
      ),
      { numRuns: 60 },
    );
  });
});

it('drops what rounds to zero and keeps NaN and infinities', () => {
  const values = Float32Array.of(1e-30, -0, Number.NaN, Number.POSITIVE_INFINITY, 2, 0);
  const { bitmap, values: kept, starts } = packSparse(values, [2, 3], 'f32');
  expect(kept.type.shape).toEqual([4 + SPARSE.slack]);
  expect(packSparse(values.fill(1e-30), [2, 3], 'f16').values.type.shape).toEqual([SPARSE.slack]);
  const dense = run(
    ([b, v, s]) => sparseToDense({ bitmap: b!, values: v!, starts: s! }, [2, 3]),
    [bitmap, kept, starts],
  );
  expect(elementsOf(dense)).toEqual(Float32Array.of(1e-30, 0, Number.NaN, Number.POSITIVE_INFINITY, 2, 0));
});

it('takes 9 / 16 of the bytes of bf16 where half the elements are zero', () => {
  const ratio = sparseBytes([4096, 4096], 4096 * 2048, 'bf16') / (2 * 4096 * 4096);
  expect(ratio).toBeGreaterThan(9 / 16);
  expect(ratio).toBeLessThan(9 / 16 + 1e-4);
});

it('refuses parts that do not belong together', () => {
  expect(() => packSparse(new Float32Array(5), [2, 3], 'f32')).toThrow(
    expect.objectContaining({ code: 'SHAPE_MISMATCH' }),
  );
  const [x, bitmap, values, starts] = [
    input(0, 'x', 'f32', [1, 8]),
    input(1, 'bitmap', 'u32', [2, 4]),
    input(2, 'values', 'bf16', [300]),
    input(3, 'starts', 'i32', [2]),
  ] as const;
  expect(sparseLinear(x, { bitmap, values, starts }, 20).type).toEqual({ dtype: 'f32', shape: [1, 20] });
  const wrong = [
    () => sparseLinear(x, { bitmap, values, starts }, 33),
    () => sparseLinear(input(0, 'x', 'f32', [1, 9]), { bitmap, values, starts }, 20),
    () => sparseLinear(x, { bitmap: input(1, 'bitmap', 'i32', [2, 4]), values, starts }, 20),
    () => sparseLinear(x, { bitmap, values: input(2, 'values', 'bf16', [200]), starts }, 20),
    () => sparseLinear(x, { bitmap, values: input(2, 'values', 'i32', [300]), starts }, 20),
  ];
  for (const make of wrong) expect(make).toThrow(expect.objectContaining({ code: expect.stringMatching(/MISMATCH/) }));
});
