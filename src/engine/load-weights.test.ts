/** Packed weights, and stacks of experts, reach the device as the values that they stand for. */
import { expect, test } from 'vitest';
import { pack, packedFormat, panel } from '../quant/index.ts';
import { InterpreterDevice } from '../tensor/interpreter-device.ts';
import { loadWeights } from './load-weights.ts';
import { expectFormat } from './packed-checkpoint.fixture.ts';

test.each([
  ['llama', 'Q4_K'],
  ['mixtral', 'Q8_0'],
])('%s in %s', expectFormat, 30_000);

class WideDevice extends InterpreterDevice {
  override readonly panelRows = 16;
}

test('packed weights lie in panels of as many rows as the device reads together', async () => {
  const format = packedFormat('Q4_K')!;
  const [rows, columns] = [2 * 1024 + 5, 256]; // two whole stripes and a ragged panel
  const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i));
  const plain = pack(format, values, columns);
  const rowBytes = plain.length / rows;
  const entry = {
    name: 'w',
    element: format,
    shape: [rows, columns],
    byteLength: plain.length,
    readRows: async (first: number, count: number, target: Uint8Array) =>
      target.set(plain.subarray(first * rowBytes, (first + count) * rowBytes)),
  };
  const device = new WideDevice();
  const source = { name: 'test', tensor: () => entry };
  const weight = (await loadWeights(device, source, [{ name: 'w', shape: [rows, columns] }])).get('w')!;
  expect(weight.dtype).toBe(panel(format, 16));
  expect(await weight.bytes()).toEqual(pack(panel(format, 16), values, columns));
}, 30_000);
