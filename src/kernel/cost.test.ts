import { describe, expect, it } from 'vitest';
import type { ElementType } from '../ir/dtype.ts';
import { activationFor, packedFormat } from '../quant/formats.ts';
import { panel } from '../quant/number-format.ts';
import { estimateCycles, rankSchedules, type Work } from './cost.ts';
import { kernelLibrary } from './library/index.ts';
import { SIMD128 } from './machine.ts';
import type { KernelRequest, Schedule } from './template.ts';

const work: Work = { multiplies: 1e6, instructions: 2e6, chains: 12, nearBytes: 1e5, farBytes: 1e5, items: 8 };
const threads = (count: number) => ({ ...SIMD128, threads: count });

describe('estimated cycles', () => {
  it('falls with threads only as far as items and memory allow', () => {
    const cycles = [1, 2, 4, 8, 16].map((count) => estimateCycles(work, threads(count)));
    expect(cycles[1]! / cycles[0]!).toBeLessThan(0.6);
    expect(cycles[4]).toBe(cycles[3]);
    const streaming = { ...work, farBytes: 1e8 };
    expect(estimateCycles(streaming, threads(8)) / estimateCycles(streaming, threads(1))).toBeGreaterThan(0.9);
    expect(estimateCycles({ ...work, items: 9 }, threads(8))).toBeGreaterThan(cycles[3]!);
  });

  it('rises when there are too few independent sums', () => {
    expect(estimateCycles({ ...work, chains: 2 }, SIMD128)).toBeGreaterThan(1.9 * estimateCycles(work, SIMD128));
  });

  it('keeps the order of equals', () => {
    expect(rankSchedules([{ a: 1 }, { a: 2 }], () => work, SIMD128)).toEqual([{ a: 1 }, { a: 2 }]);
  });
});

/** The best schedule of a linear of `tokens` tokens by square weights. */
function best(tokens: number, size: number, w: ElementType, x: ElementType = 'f32'): Schedule {
  const inputs = [
    { dtype: x, shape: [tokens, size] },
    { dtype: w, shape: [size, size] },
  ];
  const request: KernelRequest = {
    inputs,
    output: { dtype: 'f32', shape: [tokens, size] },
    attrs: {},
    machine: SIMD128,
  };
  return kernelLibrary.find((t) => t.op === 'linear' && t.supports(request))!.schedules(request)[0]!;
}

describe('choices', () => {
  it('reads weights in place for few tokens and packs them for many', () => {
    for (const w of ['f32', 'f16'] as const) {
      expect(best(1, 2048, w)).toMatchObject({ tokens: 1 });
      expect(best(512, 2048, w)).toMatchObject({ mr: 6, nr: 8 });
    }
  });

  it('decodes packed weights in registers for one token and stages them for many', () => {
    for (const name of ['Q4_0', 'Q8_0', 'I4_G128', 'Q4_K', 'Q6_K']) {
      const format = packedFormat(name)!;
      const x = activationFor(format);
      expect(best(1, 2048, panel(format), x)).toMatchObject({ tokens: 1 });
      expect(best(128, 2048, panel(format), x)).toMatchObject({ fours: 2 });
    }
  });
});
