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
