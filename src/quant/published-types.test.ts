/** Every GGUF type against the independent decoder, byte for byte in every layout. */
import { describe, expect, it } from 'vitest';
import { input } from '../ir/build.ts';
import type { Value } from '../ir/graph.ts';
import { elementsOf, type HostTensor } from '../ir/host-tensor.ts';
import { interpret } from '../ir/interpreter/interpret.ts';
import {
  asNumberFormat,
  bitsPerElement,
  codeParts,
  dequantize,
  GGUF_FORMATS,
  type NumberFormat,
  packedEmbedding,
  panel,
  toPanels,
  unpack,
  weightFormat,
} from './index.ts';
import { PUBLISHED_TYPES, randomBlocks, slowDecode } from './slow-decoder.fixture.ts';

/** Typed arrays by their bytes, so that -0 is not 0 and large ones compare at once. */
const expectSame = (actual: ArrayBufferView, expected: ArrayBufferView): void => {
  const [a, b] = [actual, expected].map((v) => Buffer.from(v.buffer, v.byteOffset, v.byteLength)) as [Buffer, Buffer];
  expect(Buffer.compare(a, b)).toBe(0);
};

function run(build: (...inputs: Value[]) => Value, ...tensors: HostTensor[]): HostTensor {
  const inputs = tensors.map(({ type }, i) => input(i, `x${i}`, type.dtype, type.shape));
  return interpret({ inputs, outputs: [build(...inputs)] }, tensors)[0]!;
}

/**
 * The first 16 digits of the SHA-256 of the f32 numbers that ggml's own `dequantize_row_*` gives for the blocks of these
 * tests; libggml of node-llama-cpp 3.22.1.
 */
const GGML_DIGESTS: Readonly<Record<string, string>> = {
  Q4_0: '0ea2b26be68afdbc',
  Q4_1: '0313bd74d66dcb43',
  Q5_0: '1907bd44787914c9',
  Q5_1: 'f871ac1a3c30f326',
  Q8_0: '28e936b8c2d8f81a',
  Q2_K: '57053f3bbc7c8158',
  Q3_K: '82f4e90659f1c235',
  Q4_K: 'f7f6e2f69f340300',
  Q5_K: '960d519c8db76181',
  Q6_K: '1429c98d888e7b35',
  IQ4_NL: 'c9e8dfdd2a64787c',
  IQ4_XS: '04c688097b8ae50e',
  MXFP4: '875692ba39d7616d',
};

async function digest(values: Float32Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', values));
  return Buffer.from(hash).toString('hex').slice(0, 16);
}

it('has every published type, and no other', () => {
  const ours = GGUF_FORMATS.map(({ name, ggufType, blockSize, blockBytes }) => [name, ggufType, blockSize, blockBytes]);
  const published = PUBLISHED_TYPES.map(({ name, ggufType, blockSize, blockBytes }) => [
    name,
    ggufType,
    blockSize,
    blockBytes,
  ]);
  const byId = (a: (string | number | null)[], b: (string | number | null)[]) => Number(a[1]) - Number(b[1]);
  expect(ours.sort(byId)).toEqual(published);
});

describe.each(PUBLISHED_TYPES.map((type) => [type.name, type] as const))('%s', (name, type) => {
  const format = asNumberFormat(weightFormat(name).element, 'test');
  const [rows, columns] = [6, 2 * format.blockSize];
  const bytes = randomBlocks(type, rows * 2, type.ggufType);
  const expected = slowDecode(type, bytes);
  const tensor: HostTensor = { type: { dtype: format, shape: [rows, columns] }, bytes };
  const inPanels = (panelRows: number) => run((x) => toPanels(x, panelRows), tensor);

  it('decodes as ggml does', async () => {
    expect(await digest(expected)).toBe(GGML_DIGESTS[name]);
  });

  it('unpacks to the decoder’s numbers, plain and in panels', () => {
    expect(expected.some((v) => v < 0) && expected.every((v) => Number.isFinite(v))).toBe(true);
    expectSame(unpack(format, bytes, rows, columns), expected);
    for (const panelRows of [4, 8]) {
      expectSame(unpack(panel(format, panelRows), inPanels(panelRows).bytes, rows, columns), expected);
    }
  });

  it('dequantizes to them, plain and in panels', () => {
    expectSame(Float32Array.from(elementsOf(run(dequantize, tensor))), expected);
    expectSame(Float32Array.from(elementsOf(run(dequantize, inPanels(4)))), expected);
  });

  it('embeds rows of them', () => {
    const tokens: HostTensor = {
      type: { dtype: 'i32', shape: [2] },
      bytes: new Uint8Array(Int32Array.of(5, 1).buffer),
    };
    const got = Float32Array.from(elementsOf(run(packedEmbedding, inPanels(4), tokens)));
    expectSame(got.subarray(0, columns), expected.subarray(5 * columns));
    expectSame(got.subarray(columns), expected.subarray(columns, 2 * columns));
  });

  it('says where four neighbours have their codes: the same codes in the file and in panels', () => {
    const codes = readCodes(format, bytes);
    expect(new Set(codes).size).toBeGreaterThan(3);
    expect(readCodes(panel(format), inPanels(4).bytes)).toEqual(codes);
  });
});

/** The first block's codes of row 0, by `codeParts`. */
function readCodes(format: NumberFormat, bytes: Uint8Array): number[] {
  return Array.from({ length: format.blockSize }, (_, i) =>
    codeParts(format, i >> 2).reduce((code, { byteOffset, byteStep, shift, shiftStep, mask, place }) => {
      const byte = bytes[byteOffset + byteStep * (i & 3)]!;
      return code | (((byte >> (shift + shiftStep * (i & 3))) & mask) << place);
    }, 0),
  );
}

it('stores the published bits per element', () => {
  expect(Object.fromEntries(GGUF_FORMATS.map((f) => [f.name, bitsPerElement(f)]))).toEqual({
    Q8_0: 8.5,
    Q4_0: 4.5,
    Q4_1: 5,
    Q5_0: 5.5,
    Q5_1: 6,
    Q2_K: 2.625,
    Q3_K: 3.4375,
    Q4_K: 4.5,
    Q5_K: 5.5,
    Q6_K: 6.5625,
    IQ4_NL: 4.5,
    IQ4_XS: 4.25,
    MXFP4: 4.25,
  });
});
