/** Laziness, jit and memory, on every device. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setDefaultDevice } from './default-device.ts';
import type { Device } from './device.ts';
import { testDevices } from './devices.fixture.ts';
import { evaluate, jit, numpy as np, type Tensor } from './index.ts';

describe.each(testDevices)('programs on $name', ({ create }) => {
  let device: Device;
  beforeAll(async () => {
    device = await create();
    setDefaultDevice(device);
  });
  afterAll(() => {
    setDefaultDevice(null);
    return device.dispose();
  });

  test('a traced function runs on other data without tracing again', async () => {
    let traces = 0;
    const norm = jit((x: Tensor) => {
      traces++;
      return np.sqrt(np.sum(np.square(x)));
    });
    expect(await (await norm(np.array([3, 4]))).item()).toBe(5);
    expect(await (await norm(np.array([5, 12]))).item()).toBe(13);
    expect(traces).toBe(1);
    expect(await (await norm(np.array([2, 3, 6]))).item()).toBe(7);
    expect(traces).toBe(2);
  });

  test('trees go in and out; static values are part of the trace', async () => {
    const split = jit(({ x, parts }: { x: Tensor; parts: number }) => ({ pieces: np.split(x, parts), parts }));
    const { pieces, parts } = await split({ x: np.arange(6), parts: 3 });
    expect(parts).toBe(3);
    expect(await Promise.all(pieces.map((p) => p.tolist()))).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ]);
    expect((await split({ x: np.arange(6), parts: 2 })).pieces.length).toBe(2);
  });

  test('captured tensors are inputs that may be results again', async () => {
    const weight = np.array([1, 2, 3]);
    await weight.evaluate();
    const scale = jit((x: Tensor) => [np.multiply(x, weight), x, weight]);
    const [product, x, same] = await scale(np.array([2, 2, 2]));
    expect(await product!.tolist()).toEqual([2, 4, 6]);
    expect(await x!.tolist()).toEqual([2, 2, 2]);
    expect(await same!.tolist()).toEqual([1, 2, 3]);
  });

  test('reading a placeholder says what to do', async () => {
    const seen: Promise<unknown>[] = [];
    await jit((x: Tensor) => {
      seen.push(x.data());
      return np.add(x, 1);
    })(np.array([1])).catch(() => {});
    await expect(seen[0]).rejects.toThrow(/not known while jit traces/);
  });

  test('shared work is computed once and tensors settle', async () => {
    const x = np.exp(np.array([0, 1]));
    const [a, b] = [np.add(x, 1), np.multiply(x, 2)];
    await evaluate([a, b]);
    expect([a.isEvaluated, b.isEvaluated, x.isEvaluated]).toEqual([true, true, false]);
    expect((await a.data())[0]).toBe(2);
  });

  test('disposing frees memory, twice is once, and later use is an error', async () => {
    // The first run compiles a program, which keeps its constants on the device.
    (await np.ones([1024]).evaluate()).dispose();
    const before = device.liveBytes;
    const x = np.ones([1024]);
    await x.evaluate();
    const y = np.add(x, 1);
    expect(device.liveBytes - before).toBeGreaterThanOrEqual(4096);
    x.dispose();
    x.dispose();
    expect(device.liveBytes).toBe(before);
    await expect(x.data()).rejects.toMatchObject({ code: 'DISPOSED' });
    await expect(y.data()).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  test('empty tensors and scalars go through', async () => {
    expect(await np.add(np.zeros([0, 3]), 1).tolist()).toEqual([]);
    expect(await np.sum(np.zeros([0, 3])).item()).toBe(0);
    expect(await np.add(1, 2).item()).toBe(3);
  });
});
