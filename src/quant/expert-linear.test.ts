/** The product of rows with the matrices of their own experts, against plain loops. */
import { describe, expect, test } from 'vitest';
import { input } from '../ir/build.ts';
import type { ElementType } from '../ir/dtype.ts';
import { elementsOf, type HostTensor, hostTensor } from '../ir/host-tensor.ts';
import { interpret } from '../ir/interpreter/interpret.ts';
import { expertLinear } from './expert-linear.ts';
import { activationFormat, pack, panel, Q4_0, Q8_0, unpack } from './index.ts';

const [EXPERTS, OUT, IN] = [3, 5, 64];
const wave = (count: number, step: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * step) * 2);

function packed(
  dtype: ElementType,
  shape: readonly number[],
  step: number,
): { tensor: HostTensor; values: Float32Array } {
  const rows = shape.slice(0, -1).reduce((n, d) => n * d, 1);
  const bytes = pack(dtype, wave(rows * IN, step), IN);
  return { tensor: { type: { dtype, shape }, bytes }, values: unpack(dtype, bytes, rows, IN) };
}

/** Id i takes row floor(i * rows / ids.length) of x. */
function expected(x: Float32Array, rows: number, w: Float32Array, ids: readonly number[]): number[] {
  return ids.flatMap((id, i) => {
    const row = Math.floor((i * rows) / ids.length) * IN;
    return Array.from({ length: OUT }, (_, n) => {
      const matrixRow = (id * OUT + n) * IN;
      return Array.from({ length: IN }, (_, k) => x[row + k]! * w[matrixRow + k]!).reduce((a, b) => a + b, 0);
    });
  });
}

describe.each([
  ['f32', 'f32'],
  ['f32', 'f16'],
  ['f32', Q4_0],
  [activationFormat(32), Q8_0],
  [activationFormat(32), panel(Q4_0)],
] as const)('expert_linear of %o and %o', (xType, wType) => {
  test.each([
    ['one expert a row', 4, [2, 0, 0, 1]],
    ['two experts a row', 2, [2, 0, 0, 1]],
    ['one row', 1, [1, 1, 0]],
    ['no rows', 1, []],
  ] as const)('%s', (_, rows, ids) => {
    const [x, w] = [packed(xType, [rows, IN], 0.7), packed(wType, [EXPERTS, OUT, IN], 1.3)];
    const tensors = [x.tensor, w.tensor, hostTensor('i32', [ids.length], ids)];
    const inputs = tensors.map(({ type }, i) => input(i, `x${i}`, type.dtype, type.shape));
    const result = interpret({ inputs, outputs: [expertLinear(inputs[0]!, inputs[1]!, inputs[2]!)] }, tensors)[0]!;
    expect(result.type).toEqual({ dtype: 'f32', shape: [ids.length, OUT] });
    const values = expected(x.values, rows, w.values, ids);
    elementsOf(result).forEach((value, i) => expect(value).toBeCloseTo(values[i]!, 3));
  });
});

test.each([
  ['rows that do not divide the ids', [2, IN], [EXPERTS, OUT, IN], [3]],
  ['columns that differ', [1, 32], [EXPERTS, OUT, IN], [3]],
  ['a matrix for a stack', [1, IN], [OUT, IN], [3]],
] as const)('%s are refused', (_, x, w, ids) => {
  const apply = () => expertLinear(input(0, 'x', 'f32', x), input(1, 'w', 'f32', w), input(2, 'ids', 'i32', ids));
  expect(apply).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }));
});
