import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from './float16.ts';

describe('binary16', () => {
  it.each([
    [0x0000, 0],
    [0x8000, -0],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3c00, 1],
    [0xc100, -2.5],
    [0x3555, 0.333251953125],
    [0x7bff, 65504],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
  ])('reads %i as %d and writes it back', (bits, value) => {
    expect(f16ToNumber(bits)).toBe(value);
    expect(numberToF16(value)).toBe(bits);
  });

  it.each([
    ['tie to even below', 1 + 2 ** -11, 0x3c00],
    ['tie to even above', 1 + 3 * 2 ** -11, 0x3c02],
    ['just above a tie', 1 + 2 ** -11 + 2 ** -23, 0x3c01],
    ['largest before infinity', 65519.99, 0x7bff],
    ['overflow', 65520, 0x7c00],
    ['half the least denormal', 2 ** -25, 0],
    ['just above half the least denormal', 2 ** -25 + 2 ** -48, 1],
    ['denormal tie to even', 3 * 2 ** -25, 2],
    ['denormal that rounds up to a normal', 2 ** -14 - 2 ** -26, 0x0400],
    ['least f32 denormal', -(2 ** -149), 0x8000],
  ])('rounds: %s', (_, value, bits) => expect(numberToF16(value)).toBe(bits));

  it('round-trips every pattern', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = f16ToNumber(bits);
      if (Number.isNaN(value)) expect(f16ToNumber(numberToF16(value))).toBeNaN();
      else if (numberToF16(value) !== bits) expect(numberToF16(value)).toBe(bits);
    }
  });

  it('is the nearest neighbour of every f32', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -65504, max: 65504 }), (value) => {
        const bits = numberToF16(value);
        const error = Math.abs(f16ToNumber(bits) - value);
        for (const neighbour of [bits - 1, bits + 1]) {
          const other = f16ToNumber(neighbour & 0xffff);
          if (Number.isFinite(other)) expect(error).toBeLessThanOrEqual(Math.abs(other - value));
        }
      }),
    );
  });
});

describe('bfloat16', () => {
  it.each([
    [0x3f80, 1],
    [0xbf80, -1],
    [0x4049, 3.140625],
    [0x0001, 2 ** -133],
    [0x7f80, Infinity],
    [0x8000, -0],
  ])('reads %i as %d and writes it back', (bits, value) => {
    expect(bf16ToNumber(bits)).toBe(value);
    expect(numberToBf16(value)).toBe(bits);
  });

  it('rounds half to even, overflows to infinity and keeps NaN', () => {
    expect(numberToBf16(1 + 2 ** -8)).toBe(0x3f80);
    expect(numberToBf16(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(numberToBf16(3.4028234663852886e38)).toBe(0x7f80);
    expect(bf16ToNumber(numberToBf16(NaN))).toBeNaN();
  });
});
