/** How good the fits by search are, against what others reach and what a wider search would find. */
import { describe, expect, it } from 'vitest';
import { BlockFitter, blockFit } from './block-fit.ts';
import { GGUF_FORMATS, type NumberFormat, pack, unpack } from './index.ts';

const SEARCHED = GGUF_FORMATS.filter((format) => format.fit === 'search').map(
  (format) => [format.name, format] as const,
);

/** Normal numbers from a fixed sequence, times `deviation`. */
function normalValues(count: number, deviation: number, seed = 1): Float32Array {
  let state = seed;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => deviation * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

const rms = (values: ArrayLike<number>): number => Math.hypot(...Array.from(values)) / Math.sqrt(values.length);
const relativeError = (format: NumberFormat, x: Float32Array): number =>
  rms(unpack(format, pack(format, x, x.length), 1, x.length).map((y, i) => y - x[i]!)) / rms(x);

/** Relative RMS error of normal weights after ggml's own quantiser without importances (ggml of llama.cpp, 2026). */
const GGML_ERROR: Readonly<Record<string, number>> = {
  Q2_K: 0.29636,
  Q3_K: 0.15061,
  Q4_K: 0.07134,
  Q5_K: 0.03611,
  Q6_K: 0.01774,
  IQ4_NL: 0.07608,
  IQ4_XS: 0.07668,
  MXFP4: 0.11415,
};

describe.each(SEARCHED)('%s', (name, format) => {
  it('errs no more than ggml on normal weights', () => {
    expect(relativeError(format, normalValues(2 ** 14, 0.02))).toBeLessThan(GGML_ERROR[name]! * 1.02);
  });

  it('leaves a wider search of scales and integers less than 3 per cent', () => {
    const values = normalValues(format.blockSize, 1, 7);
    const fit = blockFit(format);
    new BlockFitter(format).fit(values, 0, fit);
    const own = searched(format, values, fit, 0, [0]);
    const wide = searched(format, values, fit, 2, [-0.02, -0.01, 0, 0.01, 0.02]);
    expect(own).toBeGreaterThan(0);
    expect(Math.sqrt(wide / own)).toBeGreaterThan(0.97);
  });

  it('keeps blocks of zeros, and numbers too small for its scales become zero', () => {
    for (const x of [new Float32Array(256), new Float32Array(256).fill(1e-44)]) {
      expect(unpack(format, pack(format, x, 256), 1, 256).every((y) => y === 0)).toBe(true);
    }
  });

  it('keeps constant blocks to a sixteenth, and their sign', () => {
    for (const value of [3, -3, 1e-3, -1e-3, 2e4, -2e4]) {
      const back = unpack(format, pack(format, new Float32Array(256).fill(value), 256), 1, 256);
      const worst = back.reduce((most, y) => Math.max(most, Math.abs(y / value - 1)), 0);
      expect(worst, `${value}`).toBeLessThan(name === 'MXFP4' ? 1 / 4 : 1 / 16);
    }
  });

  it('uses scales down to the least that is stored', () => {
    expect(relativeError(format, normalValues(256, 2e-6))).toBeLessThan(0.35);
  });

  it('refuses numbers beyond its scales', () => {
    const x = normalValues(256, 1);
    x[100] = format.scale.dtype === 'e8m0' ? Number.POSITIVE_INFINITY : -3e38;
    expect(() => pack(format, x, 256)).toThrow(expect.objectContaining({ code: 'BAD_WEIGHTS' }));
  });
});

/** The least squared error of a block with integers up to `reach` from a fit's, and its scales changed by the given parts. */
function searched(
  format: NumberFormat,
  values: Float32Array,
  { scale, min, subScales, subMins }: ReturnType<typeof blockFit>,
  reach: number,
  changes: readonly number[],
): number {
  const { groupSize, subScale, subMin, bits, offset, codebook } = format;
  const levels = Array.from({ length: 2 ** bits }, (_, code) => (codebook?.[code] ?? code) - offset);
  const around = (value: number, has: boolean): number[] =>
    has ? Array.from({ length: 2 * reach + 1 }, (_, i) => value - reach + i) : [value];
  const scales = format.scale.dtype === 'f16' ? changes : [0];
  const mins = min === 0 ? [0] : changes;
  const errors = scales.flatMap((change) =>
    mins.map((minChange) => {
      let total = 0;
      for (let g = 0; g < subScales.length; g++) {
        const group = values.subarray(g * groupSize, (g + 1) * groupSize);
        const trials = around(subScales[g]!, subScale !== null).flatMap((s) =>
          around(subMins[g]!, subMin !== null).map((m) =>
            group.reduce((sum, x) => {
              let least = Number.POSITIVE_INFINITY;
              for (const level of levels)
                least = Math.min(least, Math.abs(x - scale * (1 + change) * s * level + min * (1 + minChange) * m));
              return sum + least * least;
            }, 0),
          ),
        );
        total += Math.min(...trials);
      }
      return total;
    }),
  );
  return Math.min(...errors);
}
