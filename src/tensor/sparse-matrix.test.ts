import { describe, expect, it } from 'vitest';
import { testDevices } from './devices.fixture.ts';
import { createDevice, jit, nn, numpy as np, type Tensor, trace } from './index.ts';

const [rows, columns] = [37, 67];
const values = Float32Array.from({ length: rows * columns }, (_, i) =>
  Math.imul(i, 0x9e3779b1) & 64 ? Math.sin(i) : 0,
);
const inputs = (m: number): Float32Array => Float32Array.from({ length: m * columns }, (_, i) => Math.cos(i));

const { x64, why } = await createDevice('x64', { threads: 2 }).then(
  (x64) => ({ x64, why: '' }),
  (error: Error) => ({ x64: undefined, why: error.message }),
);
const devices = [...testDevices, ...(x64 ? [{ name: 'x64', create: async () => x64 }] : [])];

describe.each(devices)(`sparse matrices on $name${why && ` (x64 skipped: ${why})`}`, ({ create }) => {
  it.each([1, 3, 20])('multiply %i rows as dense ones do', async (m) => {
    const device = await create();
    const x = np.array(inputs(m), { shape: [m, columns], device });
    const dense = np.array(values, { shape: [rows, columns], dtype: 'bf16', device });
    const sparse = nn.sparseMatrix(values, [rows, columns]);
    const product = jit((a: Tensor, w: nn.SparseMatrix) => nn.sparseLinear(a, w));
    const [got, wanted] = [await (await product(x, sparse)).data(), await nn.linear(x, dense).data()];
    expect(got.length).toBe(wanted.length);
    got.forEach((value, i) => {
      expect(Math.abs(value - wanted[i]!)).toBeLessThan(1e-4);
    });
    const whole = nn.sparseToDense(nn.sparseMatrix(values, [rows, columns]));
    expect(await whole.data()).toEqual(await np.astype(dense, 'f32').data());
  });
});

it.skipIf(!x64?.features.includes('avx512-vbmi2'))('are expanded in registers where the processor can', async () => {
  const { bitmap, values: kept, starts, shape } = nn.sparseMatrix(values, [rows, columns]);
  const multiply = (a: Tensor, b: Tensor, v: Tensor, s: Tensor): Tensor =>
    nn.sparseLinear(a, { bitmap: b, values: v, starts: s, shape });
  const parts = [bitmap, kept, starts].map(({ type }) => type);
  const { graph } = trace(multiply as (...args: Tensor[]) => Tensor, [{ dtype: 'f32', shape: [1, columns] }, ...parts]);
  expect((await x64!.compile(graph)).explain()).toContain('by template sparse linear');
});

it('takes nothing but matrices', () => {
  expect(() => nn.sparseMatrix(new Float32Array(4), [4] as unknown as [number, number])).toThrow(/two axes/);
});
