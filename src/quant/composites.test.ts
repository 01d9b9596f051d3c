import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { input } from '../ir/build.ts';
import type { ElementType } from '../ir/dtype.ts';
import type { Value } from '../ir/graph.ts';
import { elementsOf, type HostTensor } from '../ir/host-tensor.ts';
import { interpret } from '../ir/interpreter/interpret.ts';
import {
  ACTIVATION_FORMATS,
  B1,
  BIPOLAR_ACTIVATIONS,
  CACHE_FORMAT,
  dequantize,
  linear,
  type NumberFormat,
  PACKED_FORMATS,
  pack,
  panel,
  Q4_0,
  Q8_0,
  quantize,
  toPanels,
  unpack,
} from './index.ts';

const named = (formats: readonly NumberFormat[]) => formats.map((format) => [format.name, format] as const);
const ramp = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.cos(i * 2.3) * (1 + (i % 7)));
const host = (dtype: ElementType, shape: number[], values: Float32Array): HostTensor => ({
  type: { dtype, shape },
  bytes: pack(dtype, values, shape.at(-1)!),
});

function run(build: (...inputs: Value[]) => Value, ...tensors: HostTensor[]): HostTensor {
  const inputs = tensors.map(({ type }, i) => input(i, `x${i}`, type.dtype, type.shape));
  return interpret({ inputs, outputs: [build(...inputs)] }, tensors)[0]!;
}

describe.each(named(PACKED_FORMATS))('dequantize %s', (_, format) => {
  it.each([format, panel(format)])('agrees with unpack bit for bit in $name', (layout) => {
    const columns = 2 * format.blockSize;
    const tensor = host(layout, [5, columns], ramp(5 * columns));
    const expected = new Uint8Array(unpack(layout, tensor.bytes, 5, columns).buffer);
    expect(Buffer.compare(run(dequantize, tensor).bytes, expected)).toBe(0);
  });
});

describe.each(named(PACKED_FORMATS))('toPanels of %s', (_, format) => {
  it.each([6, 8])('gives the panels that packing makes, %i rows', (rows) => {
    const columns = 3 * format.blockSize;
    const x = ramp(rows * columns);
    const panels = run((v) => toPanels(v, 4), host(format, [rows, columns], x));
    expect(panels.type).toEqual({ dtype: panel(format), shape: [rows, columns] });
    expect(Buffer.compare(panels.bytes, pack(panel(format), x, columns))).toBe(0);
  });
});

describe('dequantize', () => {
  it('casts floats and keeps leading axes', () => {
    const values = ramp(2 * 3 * 32);
    expect(elementsOf(run(dequantize, host('f16', [2, 3, 32], values)))).toEqual(
      unpack('f16', pack('f16', values, 32), 6, 32),
    );
    expect(run(dequantize, host(Q4_0, [2, 3, 32], values)).type.shape).toEqual([2, 3, 32]);
  });
});

describe('quantize to bipolar numbers', () => {
  it.each(named(BIPOLAR_ACTIVATIONS))('%s gives the nearest odd multiples of the scale', (_, format) => {
    const x = ramp(3 * 256);
    const made = run((v) => quantize(v, format), host('f32', [3, 256], x));
    const packed = pack(format, x, 256);
    if (format.bits > 1) expect(Buffer.compare(made.bytes, packed)).toBe(0);
    const [values, wanted] = [made.bytes, packed].map((bytes) => unpack(format, Uint8Array.from(bytes), 3, 256));
    for (const [i, value] of values!.entries()) expect(value).toBeCloseTo(wanted![i]!, 5);
    expect(new Set(values!.subarray(0, 128)).size).toBe(2 ** format.bits);
  });

  it('is refused for weights', () => {
    expect(() => quantize(input(0, 'x', 'f32', [1, 128]), B1)).toThrow(/pack weights ahead of time/);
  });

  it('multiplies by bits as the numbers say', () => {
    const [x, w] = [host('f32', [2, 256], ramp(512)), host(B1, [3, 256], ramp(768))];
    const product = elementsOf(run((v, u) => linear(quantize(v, BIPOLAR_ACTIVATIONS[1]!), u), x, w));
    const numbers = (t: HostTensor): Float32Array => Float32Array.from(elementsOf(t));
    const rows = numbers(run((v) => dequantize(quantize(v, BIPOLAR_ACTIVATIONS[1]!)), x));
    const columns = numbers(run(dequantize, w));
    for (let m = 0; m < 2; m++) {
      for (let n = 0; n < 3; n++) {
        let sum = 0;
        for (let k = 0; k < 256; k++) sum += rows[256 * m + k]! * columns[256 * n + k]!;
        expect(product[3 * m + n]).toBeCloseTo(sum, 2);
      }
    }
  });
});

describe('quantize', () => {
  it.each(named([...ACTIVATION_FORMATS, CACHE_FORMAT]))('%s gives the bytes that pack gives', (_, format) => {
    const columns = 2 * format.blockSize;
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: columns, maxLength: columns }),
        (list) => {
          const x = Float32Array.from(list);
          const made = run((v) => quantize(v, format), host('f32', [1, columns], x));
          expect(made.type.dtype).toBe(format);
          expect(Buffer.compare(made.bytes, pack(format, x, columns))).toBe(0);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('lets NaN through to the result', () => {
    const x = ramp(32);
    x[7] = NaN;
    const back = elementsOf(run((v) => dequantize(quantize(v, ACTIVATION_FORMATS[0]!)), host('f32', [32], x)));
    expect(back.every((value) => Number.isNaN(value))).toBe(true);
  });

  it('refuses weight formats and groups that do not divide', () => {
    const x = input(0, 'x', 'f32', [48]);
    expect(() => quantize(x, Q4_0)).toThrow(expect.objectContaining({ code: 'DTYPE_MISMATCH' }));
    expect(() => quantize(x, ACTIVATION_FORMATS[0]!)).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }));
  });
});

describe('linear', () => {
  it.each(['f32', 'f16', 'bf16', Q8_0, panel(Q4_0)] as ElementType[])('multiplies with %s weights', (dtype) => {
    const [rows, n, k] = [2, 5, 64];
    const x = host('f32', [rows, k], ramp(rows * k));
    const w = host(
      dtype,
      [n, k],
      ramp(n * k).map((v, i) => v * (1 + (i % 3))),
    );
    const weights = unpack(dtype, w.bytes, n, k);
    const got = elementsOf(run(linear, x, w));
    const xs = elementsOf(x);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let t = 0; t < k; t++) sum += xs[i * k + t]! * weights[j * k + t]!;
        expect(got[i * n + j]).toBeCloseTo(sum, 2);
      }
    }
  });

  it('checks shapes and types', () => {
    const x = input(0, 'x', 'f32', [2, 64]);
    expect(() => linear(x, input(1, 'w', Q8_0, [5, 32]))).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }));
    expect(() => linear(x, input(1, 'w', 'i32', [5, 64]))).toThrow(expect.objectContaining({ code: 'DTYPE_MISMATCH' }));
  });
});
