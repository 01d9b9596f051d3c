/** AWQ and GPTQ checkpoints against slow decoders written from the published layouts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { f16ToNumber, numberToBf16, numberToF16 } from '../ir/float16.ts';
import { unpack } from '../quant/index.ts';
import { collect, failure } from './file.fixture.ts';
import {
  type JsonRecord,
  memorySource,
  openSafetensors,
  readTensorRows,
  safetensorsPieces,
  type TensorEntry,
  type TensorSource,
  withInt4Weights,
} from './index.ts';

interface Sizes {
  readonly method: 'awq' | 'gptq';
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** As in the configuration. */
  readonly groupSize: number;
  readonly format?: 'gptq' | 'gptq_v2';
}

/** Random words and scales of a layer "x", and its values computed one by one. */
function randomLayer(sizes: Sizes, seed: number): { tensors: TensorSource[]; values: Float32Array } {
  const { method, inFeatures, outFeatures, format = 'gptq' } = sizes;
  const groupSize = sizes.groupSize === -1 ? inFeatures : sizes.groupSize;
  const groups = inFeatures / groupSize;
  let state = seed >>> 0;
  const word = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state ^ (state >>> 13)) >>> 0;
  };
  const words = (rows: number, columns: number) => Uint32Array.from({ length: rows * columns }, word);
  const codes = method === 'awq' ? words(inFeatures, outFeatures / 8) : words(inFeatures / 8, outFeatures);
  const zeros = words(groups, outFeatures / 8);
  const scales = Uint16Array.from({ length: groups * outFeatures }, () =>
    numberToF16((word() / 2 ** 32) * 0.02 + 1e-4),
  );
  const nibble = (list: Uint32Array, at: number, place: number) => Math.floor(list[at]! / 16 ** place) % 16;
  // AutoAWQ: nibble i of a word is output ORDER[i] of the word's eight.
  const ORDER = [0, 2, 4, 6, 1, 3, 5, 7];
  const place = (output: number) => (method === 'awq' ? ORDER.indexOf(output % 8) : output % 8);
  const values = new Float32Array(outFeatures * inFeatures);
  for (let o = 0; o < outFeatures; o++) {
    for (let i = 0; i < inFeatures; i++) {
      const group = Math.floor(i / groupSize);
      const stored = nibble(zeros, (group * outFeatures) / 8 + Math.floor(o / 8), place(o));
      const zero = method === 'gptq' && format === 'gptq' ? (stored + 1) % 16 : stored;
      const code =
        method === 'awq'
          ? nibble(codes, (i * outFeatures) / 8 + Math.floor(o / 8), place(o))
          : nibble(codes, Math.floor(i / 8) * outFeatures + o, i % 8);
      values[o * inFeatures + i] = (code - zero) * f16ToNumber(scales[group * outFeatures + o]!);
    }
  }
  const bytes = (list: Uint16Array | Uint32Array) => new Uint8Array(list.buffer);
  return {
    values,
    tensors: [
      {
        name: 'x.qweight',
        element: 'i32',
        shape: method === 'awq' ? [inFeatures, outFeatures / 8] : [inFeatures / 8, outFeatures],
        data: bytes(codes),
      },
      { name: 'x.qzeros', element: 'i32', shape: [groups, outFeatures / 8], data: bytes(zeros) },
      { name: 'x.scales', element: 'f16', shape: [groups, outFeatures], data: bytes(scales) },
    ],
  };
}

const configOf = ({ method, groupSize, format }: Sizes, more: JsonRecord = {}): JsonRecord => ({
  quantization_config: {
    quant_method: method,
    bits: 4,
    group_size: groupSize,
    ...(method === 'awq' ? { version: 'gemm', zero_point: true } : { desc_act: false, checkpoint_format: format }),
    ...more,
  },
});
const opened = async (tensors: readonly TensorSource[], config: JsonRecord) =>
  withInt4Weights(await openSafetensors(memorySource(await collect(safetensorsPieces(tensors)))), config);

async function valuesOf(entry: TensorEntry, first: number, count: number): Promise<Float32Array> {
  const [rows, columns] = entry.shape as [number, number];
  const bytes = new Uint8Array((entry.byteLength / rows) * count);
  await readTensorRows(entry, first, count, bytes);
  return unpack(entry.element, bytes, count, columns);
}

const methods: readonly Pick<Sizes, 'method' | 'format'>[] = [
  { method: 'awq' },
  { method: 'gptq', format: 'gptq' },
  { method: 'gptq', format: 'gptq_v2' },
];

describe.each(methods)('$method $format', (method) => {
  it.each([
    [32, 'I4_G32Z'],
    [64, 'I4_G64Z'],
    [128, 'I4_G128Z'],
    [256, 'I4_G128Z'],
    [96, 'I4_G32Z'],
    [-1, 'I4_G128Z'],
  ])('groups of %d are exact', async (groupSize, format) => {
    const sizes: Sizes = { ...method, inFeatures: groupSize === 96 ? 192 : 256, outFeatures: 24, groupSize };
    const { tensors, values } = randomLayer(sizes, groupSize + 7);
    const entry = (await opened(tensors, configOf(sizes))).tensors.get('x.weight')!;
    expect(entry).toMatchObject({ shape: [24, sizes.inFeatures], element: { name: format } });
    expect(await valuesOf(entry, 0, 24)).toEqual(values);
  });

  it('gives any rows', async () => {
    const sizes: Sizes = { ...method, inFeatures: 64, outFeatures: 40, groupSize: 32 };
    const { tensors, values } = randomLayer(sizes, 3);
    const entry = (await opened(tensors, configOf(sizes))).tensors.get('x.weight')!;
    await fc.assert(
      fc.asyncProperty(fc.nat(39), fc.integer({ min: 1, max: 40 }), async (first, most) => {
        const count = Math.min(most, 40 - first);
        expect(await valuesOf(entry, first, count)).toEqual(values.subarray(first * 64, (first + count) * 64));
      }),
      { numRuns: 30 },
    );
  });
});

describe('int4 checkpoints', () => {
  const sizes: Sizes = { method: 'gptq', inFeatures: 64, outFeatures: 8, groupSize: 32 };
  const { tensors, values } = randomLayer(sizes, 1);
  const index = (groups: readonly number[]): TensorSource => ({
    name: 'x.g_idx',
    element: 'i32',
    shape: [64],
    data: new Uint8Array(Int32Array.from(groups).buffer),
  });
  const inOrder = Array.from({ length: 64 }, (_, i) => i >> 5);
  const changed = (name: string, change: Partial<TensorSource>) =>
    tensors.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor));

  it('passes what is not packed, and all of a file that is not quantised', async () => {
    const bias: TensorSource = { name: 'x.bias', element: 'f16', shape: [8], data: new Uint8Array(16) };
    const scales: TensorSource = { ...bias, name: 'y.scales' };
    const file = await opened([...tensors, bias, scales], configOf(sizes));
    expect([...file.tensors.keys()].sort()).toEqual(['x.bias', 'x.weight', 'y.scales']);
    expect([...(await opened(tensors, {})).tensors.keys()].sort()).toEqual(['x.qweight', 'x.qzeros', 'x.scales']);
  });

  it('takes an index of groups in order, and refuses any other', async () => {
    const plain = (await opened([...tensors, index(inOrder)], configOf(sizes))).tensors.get('x.weight')!;
    expect(await valuesOf(plain, 0, 8)).toEqual(values);
    const file = await opened([...tensors, index(inOrder.toReversed())], configOf(sizes, { desc_act: true }));
    await expect(valuesOf(file.tensors.get('x.weight')!, 0, 8)).rejects.toThrow(
      failure('UNSUPPORTED_FEATURE', 'x.g_idx'),
    );
  });

  it('takes other scales where f16 has their equals', async () => {
    const scale = (value: number) => ({
      element: 'bf16' as const,
      data: new Uint8Array(Uint16Array.from({ length: 16 }, () => numberToBf16(value)).buffer),
    });
    const exact = await opened(changed('x.scales', scale(0.0078125)), configOf(sizes));
    expect((await valuesOf(exact.tensors.get('x.weight')!, 0, 1)).every((x) => x % 0.0078125 === 0)).toBe(true);
    const tiny = await opened(changed('x.scales', scale(1e-9)), configOf(sizes));
    await expect(valuesOf(tiny.tensors.get('x.weight')!, 0, 1)).rejects.toThrow(
      failure('UNSUPPORTED_DTYPE', 'x.scales'),
    );
  });

  it.each<[string, JsonRecord]>([
    ['another method', { quant_method: 'fp8' }],
    ['no method', { quant_method: undefined }],
    ['three bits', { bits: 3 }],
    ['groups of 0', { group_size: 0 }],
    ['groups of text', { group_size: 'all' }],
    ['groups of 16', { group_size: 16 }],
    ['groups that do not divide', { group_size: 96 }],
    ['another layout', { checkpoint_format: 'marlin' }],
    ['another version', { quant_method: 'awq', version: 'gemv' }],
    ['no zero points', { quant_method: 'awq', zero_point: false }],
  ])('refuses %s', async (_, more) => {
    await expect(opened(tensors, configOf(sizes, more))).rejects.toThrow(failure('UNSUPPORTED_FEATURE'));
  });

  it('refuses tensors that do not belong together', async () => {
    const small = { shape: [1, 1], data: new Uint8Array(4) };
    await expect(opened(changed('x.qzeros', small), configOf(sizes))).rejects.toThrow(
      failure('BAD_WEIGHTS', 'x.qzeros'),
    );
    const wide = { element: 'i32' as const, data: new Uint8Array(64) };
    await expect(opened(changed('x.scales', wide), configOf(sizes))).rejects.toThrow(
      failure('BAD_WEIGHTS', 'x.scales'),
    );
    await expect(opened(tensors.slice(0, 2), configOf(sizes))).rejects.toThrow(failure('MISSING_TENSOR', 'x.scales'));
    const flat = { shape: [64], data: new Uint8Array(256) };
    await expect(opened(changed('x.qweight', flat), configOf(sizes))).rejects.toThrow(
      failure('BAD_WEIGHTS', 'x.qweight'),
    );
    const twice: TensorSource = { name: 'x.weight', element: 'f16', shape: [1], data: new Uint8Array(2) };
    await expect(opened([...tensors, twice], configOf(sizes))).rejects.toThrow(failure('BAD_WEIGHTS', 'x.weight'));
    await expect(opened(tensors, { quantization_config: 4 })).rejects.toThrow(failure('BAD_FILE'));
  });
});
