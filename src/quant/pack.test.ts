import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { f16ToNumber } from '../ir/float16.ts';
import {
  ACTIVATION_FORMATS,
  bitsPerElement,
  codeParts,
  errorBound,
  type NumberFormat,
  PACKED_FORMATS,
  pack,
  packedFormat,
  panel,
  Q4_0,
  Q4_1,
  Q8_0,
  sumSize,
  unpack,
  WEIGHT_FORMATS,
  weightFormat,
} from './index.ts';

/** Finite f32 values whose blocks' scales fit in f16. */
const values = (count: number) =>
  fc
    .array(fc.float({ min: -60000, max: 60000, noNaN: true }), { minLength: count, maxLength: count })
    .map((v) => Float32Array.from(v));
const named = (formats: readonly NumberFormat[]) => formats.map((format) => [format.name, format] as const);
const ramp = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7) * (1 + (i % 11)));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('published layouts', () => {
  // Expected bytes computed by hand from the published block layouts.
  const block = Float32Array.from({ length: 32 }, (_, i) => (i - 16) / 2); // -8 .. 7.5

  it('Q4_0: f16 scale, then byte j holds elements j and j + 16', () => {
    // scale 1; code = floor(x + 8.5): 0 1 1 2 2 3 3 4 4 5 5 6 6 7 7 8 | 8 9 9 10 10 11 11 12 12 13 13 14 14 15 15 15
    expect(hex(pack(Q4_0, block, 32))).toBe('003c8091' + '91a2a2b3b3c4c4d5d5e6e6f7f7f8');
  });

  it('Q8_0: f16 scale, then int8 codes, halves away from zero', () => {
    const x = Float32Array.from({ length: 32 }, (_, i) => (i === 0 ? -127 : i === 1 ? 2.5 : i === 2 ? -2.5 : i));
    expect([...new Int8Array(pack(Q8_0, x, 32).buffer, 2)].slice(0, 5)).toEqual([-127, 3, -3, 3, 4]);
  });

  it('Q4_1: f16 scale and minimum, codes 0..15', () => {
    const x = Float32Array.from({ length: 32 }, (_, i) => -2 + (i % 16) / 2);
    const bytes = pack(Q4_1, x, 32);
    expect(hex(bytes.subarray(0, 4))).toBe('003800c0'); // 0.5, -2
    expect([...bytes.subarray(4)]).toEqual(Array.from({ length: 16 }, (_, i) => i * 0x11));
  });

  it('sizes of GGUF blocks', () => {
    expect([Q8_0, Q4_0, Q4_1].map(bitsPerElement)).toEqual([8.5, 4.5, 5]);
  });
});

describe.each(named(PACKED_FORMATS))('%s', (_, format) => {
  it('keeps every value within its error bound, in both layouts', () => {
    const columns = 2 * format.blockSize;
    fc.assert(
      fc.property(values(3 * columns), (x) => {
        const plain = unpack(format, pack(format, x, columns), 3, columns);
        const inPanels = unpack(panel(format), pack(panel(format), x, columns), 3, columns);
        expect(Buffer.compare(Buffer.from(inPanels.buffer), Buffer.from(plain.buffer))).toBe(0);
        for (let start = 0; start < x.length; start += format.blockSize) {
          const bound = errorBound(format, x.subarray(start, start + format.blockSize));
          for (let i = start; i < start + format.blockSize; i++) {
            if (!(Math.abs(plain[i]! - x[i]!) <= bound)) expect.fail(`${x[i]} became ${plain[i]}, bound ${bound}`);
          }
        }
      }),
      { numRuns: 3 },
    );
  });

  it('places every code bit once', () => {
    const taken = new Set<string>();
    for (let group = 0; group < format.blockSize / 4; group++) {
      const parts = codeParts(format, group);
      expect(parts.reduce((all, part) => all | (part.mask << part.place), 0)).toBe(2 ** format.bits - 1);
      for (const { byteOffset, shift, mask } of parts)
        for (let bit = 0; mask >> bit !== 0; bit++) taken.add(`${byteOffset}:${shift + bit}`);
      for (const { byteOffset } of parts) expect(byteOffset + 4).toBeLessThanOrEqual(format.blockBytes);
    }
    expect(taken.size).toBe((format.blockSize / 4) * format.bits);
  });
});

describe('edges', () => {
  it.each(named(PACKED_FORMATS.filter((f) => !['range', 'search', 'bipolar'].includes(f.fit))))(
    '%s keeps zeros exactly',
    (_, format) => {
      const x = ramp(format.blockSize);
      x[3] = 0;
      expect(unpack(format, pack(format, x, x.length), 1, x.length)[3]).toBeCloseTo(0, 12);
      expect(
        unpack(format, pack(format, new Float32Array(x.length), x.length), 1, x.length).every((v) => v === 0),
      ).toBe(true);
    },
  );

  it.each([NaN, Infinity, -Infinity])('refuses %d, naming the place', (bad) => {
    for (const format of PACKED_FORMATS) {
      const x = ramp(2 * format.blockSize);
      x[format.blockSize + 5] = bad;
      expect(() => pack(format, x, format.blockSize), format.name).toThrow(
        expect.objectContaining({ code: 'BAD_WEIGHTS', details: expect.objectContaining({ row: 1 }) }),
      );
    }
  });

  it('refuses scales beyond f16 and rows that do not divide', () => {
    expect(() => pack(Q4_0, new Float32Array(32).fill(1e6), 32)).toThrow(
      expect.objectContaining({ code: 'BAD_WEIGHTS' }),
    );
    expect(() => pack(Q4_0, new Float32Array(48), 48)).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }));
    expect(() => unpack(Q4_0, new Uint8Array(17), 1, 32)).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }));
  });

  it('packs no rows to no bytes', () => {
    for (const format of PACKED_FORMATS)
      expect(pack(panel(format), new Float32Array(0), format.blockSize).byteLength).toBe(0);
  });

  it('stores the sum of codes with activations', () => {
    for (const format of ACTIVATION_FORMATS) {
      const bytes = pack(format, ramp(format.blockSize), format.blockSize);
      const size = sumSize(format);
      for (let at = 0; at < format.blockSize; at += size) {
        const sum = new Int8Array(bytes.buffer, at, size).reduce((a, b) => a + b, 0);
        const view = new DataView(bytes.buffer, format.codeSum!.byteOffset);
        expect(size === format.blockSize ? view.getInt32(0, true) : view.getInt16((2 * at) / size, true)).toBe(sum);
      }
    }
  });
});

describe('zero points', () => {
  it('may lie beyond the codes, as those of some int4 checkpoints do', () => {
    const format = packedFormat('I4_G32Z')!;
    const bytes = pack(format, ramp(32), 32);
    bytes[format.zeroPoint!.byteOffset] = 16;
    const scale = new DataView(bytes.buffer).getUint16(format.scale.byteOffset, true);
    const codes = Array.from({ length: 32 }, (_, i) => (bytes[3 + (i % 16)]! >> (i < 16 ? 0 : 4)) & 15);
    expect([...unpack(format, bytes, 1, 32)]).toEqual(codes.map((code) => (code - 16) * f16ToNumber(scale)));
  });
});

describe('names', () => {
  it('finds every weight format by any case', () => {
    for (const { name, element } of WEIGHT_FORMATS) expect(weightFormat(name.toLowerCase()).element).toBe(element);
    expect(() => weightFormat('Q9_K')).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_DTYPE', message: expect.stringContaining('Q8_0') }),
    );
  });

  it('gives one object per layout', () => {
    expect(packedFormat('Q4_0x4')).toBe(panel(Q4_0, 4));
    expect(packedFormat('Q4_0')).toBe(Q4_0);
    expect(packedFormat('Q9_9')).toBeUndefined();
  });
});
