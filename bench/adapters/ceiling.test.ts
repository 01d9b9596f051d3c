import { describe, expect, it } from 'vitest';
import wabt from 'wabt';
import { buildProbe } from '../probe.ts';
import { prepare } from './ceiling.ts';

describe('machine probes', () => {
  it.each([
    ['fma', 'f32x4.relaxed_madd', 2 * 4],
    ['dot8', 'i32x4.relaxed_dot_i8x16_i7x16_add_s', 2 * 16],
  ] as const)('%s counts the operations that are in its loop', async (probe, instruction, operations) => {
    const { bytes, workPerPass } = buildProbe(probe, 0);
    const text = (await wabt()).readWasm(bytes, { simd: true, relaxed_simd: true }).toText({});
    const inLoop = text.split(instruction).length - 1;
    const turns = Number(/loop.*?i32\.const (\d+)/s.exec(text)?.[1]);
    expect(workPerPass).toBe(inLoop * operations * turns);
  });

  it.each(['fma', 'dot8', 'read'])('%s runs', async (probe) => {
    const { run, note } = await prepare({ probe, threads: 1, workingSetBytes: 1 << 20 });
    expect(await run(2)).toBeUndefined();
    expect(note).toContain('1 thread');
  });

  it('reads the working set in whole turns of the loop', async () => {
    const { workPerIteration } = await prepare({ probe: 'read', threads: 1, workingSetBytes: 1000 });
    expect(workPerIteration).toBe(1024);
  });
});
