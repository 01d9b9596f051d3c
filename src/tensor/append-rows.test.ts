/** Caches of every element type, written and read by models' steps. */
import { expect, test } from 'vitest';
import { dtypeName } from '../ir/dtype.ts';
import { byteLength, type TensorType } from '../ir/shape.ts';
import { CACHE_FORMAT } from '../quant/index.ts';
import { createDevice, type Device, nn, type Tensor, trace } from './index.ts';

const [seqLen, nHeads, nKvHeads, headDim, context] = [5, 4, 2, 32, 40];

/** Appends rows at position 7 of a cache of zeros and attends to it: the result, the cache's bytes, and the program's text. */
async function step(device: Device, dtype: TensorType['dtype']): Promise<[Float32Array, Uint8Array, string]> {
  const cache: TensorType = { dtype, shape: [nKvHeads, context, headDim] };
  const rows: TensorType = { dtype: 'f32', shape: [seqLen, nKvHeads, headDim] };
  const queries: TensorType = { dtype: 'f32', shape: [seqLen, nHeads, headDim] };
  const attend = (q: Tensor, k: Tensor, v: Tensor, start: Tensor, keys: Tensor, values: Tensor): Tensor[] => {
    const next = [nn.appendRows(keys, k, start), nn.appendRows(values, v, start)] as const;
    return [nn.attention(q, ...next, start), ...next];
  };
  const start: TensorType = { dtype: 'i32', shape: [1] };
  const { graph } = trace(attend, [queries, rows, rows, start, cache, cache]);
  const donate = [
    { input: 4, output: 1 },
    { input: 5, output: 2 },
  ];
  const program = await device.compile(graph, { donate });
  const inputs = program.inputs.map((type, i) => {
    const buffer = device.allocate(byteLength(type));
    const bytes = device.bytes(buffer);
    if (i === 3) new Int32Array(bytes.buffer, bytes.byteOffset, 1)[0] = 7;
    else if (i < 3) {
      const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
      values.forEach((_, at) => {
        values[at] = Math.sin(at * (i + 1));
      });
    } else bytes.fill(0);
    return buffer;
  });
  const output = device.allocate(byteLength(program.outputs[0]!));
  await program.run(inputs, [output, inputs[4]!, inputs[5]!]);
  const result = new Float32Array(device.bytes(output).slice().buffer);
  return [result, device.bytes(inputs[4]!).slice(), program.explain()];
}

const types = ['f32', 'f16', CACHE_FORMAT] as const;

test.each(types.map((type) => [dtypeName(type), type] as const))(
  'a cache of %s is written in place',
  async (_, dtype) => {
    const devices = [await createDevice('interpreter'), await createDevice('wasm', { threads: 2 })] as const;
    const [wanted, cache] = await step(devices[0], dtype);
    const [result, bytes, text] = await step(devices[1], dtype);
    expect(bytes).toEqual(cache);
    result.forEach((value, i) => expect(value).toBeCloseTo(wanted[i]!, 4));
    expect(text.match(/in place/g)).toHaveLength(2);
    expect(text).toMatch(/by template (packed )?attention/);
    for (const device of devices) device.dispose();
  },
);
