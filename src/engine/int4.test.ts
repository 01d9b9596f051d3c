/** Checkpoints of AWQ and GPTQ load and generate: the logits are those of the same weights as floats. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { collect } from '../format/file.fixture.ts';
import {
  memoryFiles,
  memorySource,
  openSafetensors,
  readTensor,
  safetensorsPieces,
  type TensorSource,
  withInt4Weights,
} from '../format/index.ts';
import { numberToF16 } from '../ir/float16.ts';
import { familyCheckpoint } from '../model/testing/index.ts';
import { pack, unpack } from '../quant/index.ts';
import { type LoadOptions, load } from './index.ts';

const tiny = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../assets/tiny/${name}`, import.meta.url)));
const prompt = [5, 40, 17, 300, 9, 2, 33];

/** A layer's random codes instead of its matrix [out, in]. */
function int4Layer({ name, shape }: TensorSource, method: string): TensorSource[] {
  const [out, inn] = shape as [number, number];
  const base = name.replace(/\.weight$/, '');
  let state = [...name].reduce((hash, c) => Math.imul(hash ^ c.charCodeAt(0), 0x01000193), 0x811c9dc5);
  const word = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state ^ (state >>> 15);
  };
  const words = (rows: number, columns: number) => ({
    element: 'i32' as const,
    shape: [rows, columns],
    data: new Uint8Array(Int32Array.from({ length: rows * columns }, word).buffer),
  });
  // Zero points of 8, so that the weights have no mean: stored as they are, or minus one.
  const zero = method === 'awq' ? 0x88888888 : 0x77777777;
  const zeros = new Uint8Array(Uint32Array.from({ length: ((inn / 32) * out) / 8 }, () => zero).buffer);
  const scales = Uint16Array.from({ length: (inn / 32) * out }, (_, i) => numberToF16(0.02 + 0.001 * (i % 7)));
  return [
    { name: `${base}.qweight`, ...(method === 'awq' ? words(inn, out / 8) : words(inn / 8, out)) },
    { name: `${base}.qzeros`, element: 'i32', shape: [inn / 32, out / 8], data: zeros },
    { name: `${base}.scales`, element: 'f16', shape: [inn / 32, out], data: new Uint8Array(scales.buffer) },
  ];
}

async function filesOf(tensors: readonly TensorSource[], config: object) {
  return memoryFiles({
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'tokenizer.json': tiny('tokenizer.json'),
    'model.safetensors': await collect(safetensorsPieces(tensors)),
  });
}

const logitsOf = async (files: ReturnType<typeof memoryFiles>, device: LoadOptions['device']) => {
  await using model = await load(files, { device, kvCacheType: 'f32', contextLength: 24, threads: 1 });
  const { tokens } = await model.generate('a', { temperature: 0, maxTokens: 3, ignoreEos: true }).result;
  expect(tokens.length).toBe(3);
  return { logits: await model.logits(prompt), formats: model.info.formats };
};

describe.each(['awq', 'gptq'])('%s', (method) => {
  test('loads, generates and gives the logits of its weights', async () => {
    const { config, tensors } = familyCheckpoint('llama', { vocab_size: 4096 });
    const isPacked = ({ name }: TensorSource) => /proj\.weight$/.test(name);
    const int4 = tensors.flatMap((tensor) => (isPacked(tensor) ? int4Layer(tensor, method) : [tensor]));
    const int4Config = { ...config, quantization_config: { quant_method: method, bits: 4, group_size: 32 } };
    const source = memorySource(await collect(safetensorsPieces(int4)));
    const view = withInt4Weights(await openSafetensors(source), int4Config);
    const floats = await Promise.all(
      tensors.filter(isPacked).map(async ({ name, shape }): Promise<TensorSource> => {
        const entry = view.tensors.get(name)!;
        const bytes = new Uint8Array(entry.byteLength);
        await readTensor(entry, bytes);
        const [rows, columns] = shape as [number, number];
        return { name, element: 'f32', shape, data: pack('f32', unpack(entry.element, bytes, rows, columns), columns) };
      }),
    );
    const plain = await filesOf([...tensors.filter((tensor) => !isPacked(tensor)), ...floats], config);
    const expected = await logitsOf(plain, 'interpreter');
    for (const device of ['interpreter', 'wasm'] as const) {
      const found = await logitsOf(await filesOf(int4, int4Config), device);
      expect(found.formats[0]).toBe('I4_G32Zx4');
      const largest = Math.max(...expected.logits.map(Math.abs));
      // Activations meet packed weights as int8 codes.
      const error = Math.max(...found.logits.map((x, i) => Math.abs(x - expected.logits[i]!)));
      expect(error / largest).toBeLessThan(0.03);
    }
  });
});
