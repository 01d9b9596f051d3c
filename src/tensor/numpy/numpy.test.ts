/** NumPy's own results for small cases, on every device. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setDefaultDevice } from '../default-device.ts';
import type { Device } from '../device.ts';
import { testDevices } from '../devices.fixture.ts';
import type { Tensor } from '../tensor.ts';
import * as np from './index.ts';

const close = async (x: Tensor, expected: readonly number[], tolerance = 1e-6) => {
  const data = [...(await x.data())];
  expect(data.length).toBe(expected.length);
  data.forEach((value, i) =>
    expect(Math.abs(value - expected[i]!), `element ${i}`).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(expected[i]!)),
    ),
  );
};

describe.each(testDevices)('numpy on $name', ({ create }) => {
  let device: Device;
  beforeAll(async () => {
    device = await create();
    setDefaultDevice(device);
  });
  afterAll(() => {
    setDefaultDevice(null);
    return device.dispose();
  });

  const grid = () =>
    np.array([
      [1, 2, 3],
      [4, 5, 6],
    ]);

  test('arrays keep nesting, types and values', async () => {
    expect(await grid().tolist()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(await np.array([true, false]).tolist()).toEqual([true, false]);
    expect(np.array(new Int32Array([1, 2])).dtype).toBe('i32');
    expect(await np.array([[]]).tolist()).toEqual([[]]);
    expect(await np.array(2.5).item()).toBe(2.5);
    expect(await np.array([300, -1], { dtype: 'u8' }).tolist()).toEqual([44, 255]);
    expect(() => np.array([[1, 2], [3]])).toThrow(/different lengths/);
  });

  test('creation', async () => {
    expect(await np.arange(2, 11, 3).tolist()).toEqual([2, 5, 8]);
    expect(await np.arange(3, 0, -1).tolist()).toEqual([3, 2, 1]);
    await close(np.linspace(0, 1, 5), [0, 0.25, 0.5, 0.75, 1]);
    expect(await np.eye(2, 3, 1).tolist()).toEqual([
      [0, 1, 0],
      [0, 0, 1],
    ]);
    expect(await np.tril(np.ones([3, 3], 'i32')).tolist()).toEqual([
      [1, 0, 0],
      [1, 1, 0],
      [1, 1, 1],
    ]);
    expect(await np.triu(grid(), 1).tolist()).toEqual([
      [0, 2, 3],
      [0, 0, 6],
    ]);
  });

  test('operands broadcast and numbers adapt to the tensor', async () => {
    const sum = np.add(grid(), np.array([10, 20, 30]));
    expect(await sum.tolist()).toEqual([
      [11, 22, 33],
      [14, 25, 36],
    ]);
    expect(np.add(np.array([1], { dtype: 'f16' }), 2).dtype).toBe('f16');
    expect(np.add(np.array([1], { dtype: 'i32' }), 0.5).dtype).toBe('f32');
    expect(np.add(np.array([1], { dtype: 'u8' }), np.array([1], { dtype: 'i8' })).dtype).toBe('i32');
    expect(() => np.add(grid(), np.ones([2]))).toThrow(/do not broadcast/);
  });

  test('arithmetic follows NumPy on signs and types', async () => {
    await close(np.mod(np.array([5, -5, 5, -5]), np.array([3, 3, -3, -3])), [2, 1, -1, -2]);
    await close(np.fmod(np.array([5, -5, 5, -5]), np.array([3, 3, -3, -3])), [2, -2, 2, -2]);
    await close(np.divide(np.array([7], { dtype: 'i32' }), 2), [3.5]);
    expect(await np.round(np.array([0.5, 1.5, 2.5, -0.5])).tolist()).toEqual([0, 2, 2, -0]);
    expect(await np.where(np.array([true, false]), 1, np.array([[5], [6]])).tolist()).toEqual([
      [1, 5],
      [1, 6],
    ]);
    expect(await np.clip(np.array([-2, 0.5, 9]), 0, 1).tolist()).toEqual([0, 0.5, 1]);
    expect(await np.astype(np.array([1.9, -1.9, Number.NaN, 1e20]), 'i32').tolist()).toEqual([1, -1, 0, 2147483647]);
  });

  test('elementary functions', async () => {
    const x = [-2, -0.5, 0.25, 1, 3];
    const pairs = [
      [np.exp, Math.exp],
      [np.tanh, Math.tanh],
      [np.sin, Math.sin],
      [np.cos, Math.cos],
      [np.expm1, Math.expm1],
    ] as const;
    for (const [ours, exact] of pairs) await close(ours(np.array(x)), x.map(exact), 2e-6);
    await close(np.log(np.array([0.5, 1, 8])), [Math.log(0.5), 0, Math.log(8)], 1e-6);
    await close(np.erf(np.array([-1, 0, 0.5])), [-0.8427007929, 0, 0.5204998778], 1e-6);
    await close(np.power(np.array([2, 3]), np.array([10, -1])), [1024, 1 / 3], 1e-6);
  });

  test('reductions take axes and keep dimensions', async () => {
    expect(await np.sum(grid()).item()).toBe(21);
    expect(await np.sum(grid(), { axis: 0 }).tolist()).toEqual([5, 7, 9]);
    expect(await np.mean(grid(), { axis: -1, keepdims: true }).tolist()).toEqual([[2], [5]]);
    expect(await np.max(grid(), { axis: 1 }).tolist()).toEqual([3, 6]);
    expect(await np.sum(np.array([true, true, false])).item()).toBe(2);
    await close(np.std(grid()), [Math.sqrt(35 / 12)]);
    await close(np.logsumexp(np.array([1000, 1000])), [1000 + Math.LN2]);
    expect(
      await np
        .argmax(
          np.array([
            [1, 9, 9],
            [7, 0, 7],
          ]),
          { axis: 1 },
        )
        .tolist(),
    ).toEqual([1, 0]);
    expect(await np.cumsum(grid(), { axis: 1 }).tolist()).toEqual([
      [1, 3, 6],
      [4, 9, 15],
    ]);
    expect(await np.any(np.array([0, 2])).item()).toBe(1);
  });

  test('sorting puts NaN last and is stable', async () => {
    expect(await np.sort(np.array([3, Number.NaN, -1, 2])).tolist()).toEqual([-1, 2, 3, Number.NaN]);
    expect(await np.argsort(np.array([1, 0, 1, 0])).tolist()).toEqual([1, 3, 0, 2]);
    const { values, indices } = np.topK(np.array([1, 5, 3, 4]), 2);
    expect([await values.tolist(), await indices.tolist()]).toEqual([
      [5, 4],
      [1, 3],
    ]);
  });

  test('slices mean what NumPy means', async () => {
    const x = np.reshape(np.arange(24), [2, 3, 4]);
    expect(await np.slice(x, [1, [null, null, -1], [1, 3]]).tolist()).toEqual([
      [21, 22],
      [17, 18],
      [13, 14],
    ]);
    expect(await np.slice(x, [-1, -1, -1]).item()).toBe(23);
    expect(await np.slice(np.arange(10), [[8, 1, -3]]).tolist()).toEqual([8, 5, 2]);
    expect(await np.slice(np.arange(5), [[4, 2]]).tolist()).toEqual([]);
    expect(() => np.slice(x, [2])).toThrow(/outside axis 0/);
  });

  test('movement', async () => {
    expect(await np.transpose(grid()).tolist()).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ]);
    expect(np.moveaxis(np.zeros([2, 3, 4]), 0, -1).shape).toEqual([3, 4, 2]);
    expect(await np.concatenate([grid(), np.array([[7, 8, 9]])]).tolist()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ]);
    expect(await np.stack([np.array([1, 2]), np.array([3, 4])], 1).tolist()).toEqual([
      [1, 3],
      [2, 4],
    ]);
    expect(await np.tile(np.array([1, 2]), [2, 2]).tolist()).toEqual([
      [1, 2, 1, 2],
      [1, 2, 1, 2],
    ]);
    expect(await np.repeat(grid(), 2, 1).tolist()).toEqual([
      [1, 1, 2, 2, 3, 3],
      [4, 4, 5, 5, 6, 6],
    ]);
    expect(await np.flip(grid(), 1).tolist()).toEqual([
      [3, 2, 1],
      [6, 5, 4],
    ]);
    expect(await np.pad(np.array([1, 2]), [[1, 2]], 9).tolist()).toEqual([9, 1, 2, 9, 9]);
    expect(await np.take(grid(), np.array([2, 0], { dtype: 'i32' }), 1).tolist()).toEqual([
      [3, 1],
      [6, 4],
    ]);
    expect(await np.diagonal(grid(), 1).tolist()).toEqual([2, 6]);
    expect(
      await np.scatter(np.zeros([4]), np.array([1, 1, 3], { dtype: 'i32' }), np.array([1, 2, 3]), 0, 'add').tolist(),
    ).toEqual([0, 3, 0, 3]);
    expect(await Promise.all(np.split(np.arange(6), 3).map((x) => x.tolist()))).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ]);
  });

  test('products', async () => {
    expect(await np.matmul(grid(), np.transpose(grid())).tolist()).toEqual([
      [14, 32],
      [32, 77],
    ]);
    expect(await np.matmul(np.array([1, 2, 3]), np.array([4, 5, 6])).item()).toBe(32);
    expect(np.matmul(np.zeros([5, 1, 2, 3]), np.zeros([4, 3, 6])).shape).toEqual([5, 4, 2, 6]);
    expect(await np.tensordot(grid(), grid()).item()).toBe(91);
    expect(await np.outer(np.array([1, 2]), np.array([3, 4])).tolist()).toEqual([
      [3, 4],
      [6, 8],
    ]);
    expect(np.matmul(np.ones([2, 2], 'i8'), np.ones([2, 2], 'i8')).dtype).toBe('i32');
  });

  test('einsum', async () => {
    const a = np.reshape(np.arange(6), [2, 3]);
    const b = np.reshape(np.arange(12), [3, 4]);
    expect(await np.einsum('ij,jk->ik', a, b).tolist()).toEqual([
      [20, 23, 26, 29],
      [56, 68, 80, 92],
    ]);
    expect(await np.einsum('ij->ji', a).tolist()).toEqual([
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
    expect(
      await np
        .einsum(
          'ii',
          np.array([
            [1, 2],
            [3, 4],
          ]),
        )
        .item(),
    ).toBe(5);
    expect(await np.einsum('iij->ij', np.reshape(np.arange(8), [2, 2, 2])).tolist()).toEqual([
      [0, 1],
      [6, 7],
    ]);
    expect(await np.einsum('ij,jk,k->i', a, b, np.ones([4], 'i32')).tolist()).toEqual([98, 296]);
    expect(await np.einsum('i,j', np.array([1, 2]), np.array([3, 4])).tolist()).toEqual([
      [3, 4],
      [6, 8],
    ]);
    expect(np.einsum('...ij,...jk->...ik', np.zeros([7, 2, 3]), np.zeros([7, 3, 5])).shape).toEqual([7, 2, 5]);
    expect(() => np.einsum('ij,jk->ik', a, a)).toThrow(/label j is 3 and 2 long/);
    expect(() => np.einsum('ij->k', a)).toThrow(/output label/);
  });
});
