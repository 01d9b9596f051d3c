import { describe, expect, it } from 'vitest';
import { activationFor, packedFormat } from '../../quant/formats.ts';
import { panel } from '../../quant/number-format.ts';
import { AVX2, AVX512, type Machine, SIMD128 } from '../machine.ts';
import { linearPacked } from './linear-packed.ts';
import {
  isDiagonal,
  isDirect,
  type PackedSchedule,
  packedSchedules,
  type RepeatedSchedule,
} from './packed-schedules.ts';
import { tileRegisters } from './repeated-tiles.ts';

function schedules(machine: Machine, name: string, tokens: number, size = 2048): PackedSchedule[] {
  const w = panel(packedFormat(name)!, machine.lanes);
  const inputs = [
    { dtype: activationFor(w), shape: [tokens, size] },
    { dtype: w, shape: [size, size] },
  ];
  const request = { inputs, output: { dtype: 'f32' as const, shape: [tokens, size] }, attrs: {}, machine };
  expect(linearPacked.supports(request)).toBe(true);
  return packedSchedules(request);
}

const isRepeated = (schedule: PackedSchedule): schedule is RepeatedSchedule => 'tileTokens' in schedule;

const names = ['Q4_0', 'Q8_0', 'Q4_K', 'Q6_K', 'Q2_K', 'I4_G128'];

describe.each([SIMD128, AVX2, AVX512])('products by packed panels of $lanes rows', (machine) => {
  it.each(names)('read %s in place for few tokens and decode it once for many', (name) => {
    for (const tokens of [1, 2]) expect(schedules(machine, name, tokens)[0]).toMatchObject({ tokens });
    for (const tokens of [32, 512]) expect(isDirect(schedules(machine, name, tokens)[0]!)).toBe(false);
  });

  it('multiply on diagonals only where vectors have four lanes', () => {
    const tiles = schedules(machine, 'Q4_0', 64).filter((schedule) => !isDirect(schedule));
    expect(tiles.every(isDiagonal)).toBe(machine.lanes === 4);
  });
});

describe.each([AVX2, AVX512])('tiles of repeated activations for $lanes lanes', (machine) => {
  const tiles = [5, 64, 512].flatMap((tokens) =>
    schedules(machine, 'Q4_K', tokens)
      .filter(isRepeated)
      .map((schedule) => ({ ...schedule, tokens })),
  );

  it('fit the registers, and hide the latency of dot products', () => {
    for (const { tileTokens, panels } of tiles)
      expect(tileRegisters(tileTokens, panels)).toBeLessThanOrEqual(machine.vectorRegisters);
    const best = tiles.find(({ tokens }) => tokens === 512)!;
    expect(best).toMatchObject(machine === AVX2 ? { tileTokens: 2, panels: 2 } : { panels: 3, tileTokens: 4 });
  });

  it('divide tokens into blocks of whole tiles', () => {
    for (const { tileTokens, block, tokens } of tiles) expect(block === tokens || block % tileTokens === 0).toBe(true);
  });
});
