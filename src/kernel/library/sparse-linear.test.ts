/** What `sparse_linear` reads of tensors that do not belong together: numbers of no meaning, but nothing beyond them. */
import { expect, test } from 'vitest';
import { SPARSE, type SparseDType } from '../../quant/sparse.ts';
import { runKernel } from '../interpret.ts';
import { AVX512 } from '../machine.ts';
import type { KernelRequest } from '../template.ts';
import { sparseLinearKernel } from './sparse-linear.ts';

const bytesOf = (array: Int32Array | Float32Array): Uint8Array => new Uint8Array(array.buffer);

test.each(['f32', 'f16', 'bf16'] as const)('starts and bits beyond the values of %s', (dtype: SparseDType) => {
  for (const m of [1, 7]) {
    const [n, depth, spare] = [40, 75, 3];
    const request: KernelRequest = {
      inputs: [
        { dtype: 'f32', shape: [m, depth] },
        { dtype: 'u32', shape: [3, 38] },
        { dtype, shape: [SPARSE.slack + spare] },
        { dtype: 'i32', shape: [3] },
      ],
      output: { dtype: 'f32', shape: [m, n] },
      attrs: { rows: n },
      machine: { ...AVX512, l1Bytes: 4096, l2Bytes: 4096 },
    };
    const schedules = sparseLinearKernel.schedules(request);
    expect(schedules.length).toBeGreaterThan(6);
    for (const schedule of schedules) {
      const result = new Float32Array(m * n);
      const buffers = [
        bytesOf(new Float32Array(m * depth)),
        bytesOf(new Int32Array(3 * 38).fill(-1)),
        new Uint8Array((SPARSE.slack + spare) * (dtype === 'f32' ? 4 : 2)),
        bytesOf(Int32Array.of(-1, 0x7fffffff, 2)),
        bytesOf(result),
      ];
      runKernel(sparseLinearKernel.build(request, schedule), buffers); // checks every access
      expect(result).toEqual(new Float32Array(m * n));
    }
  }
});
