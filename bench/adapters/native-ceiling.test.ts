import { beforeAll, describe, expect, it } from 'vitest';
import type { NativeHost } from '../../src/platform/native-host.ts';
import { platform } from '../../src/platform/node.ts';
import { type Cpu, detectCpu } from '../../src/target/x64/cpu.ts';
import {
  NATIVE_ARITHMETIC,
  type NativeArithmetic,
  openNativeProbe,
  READ_PATTERNS,
  wholeParts,
} from '../native-probe.ts';
import { prepare } from './native-ceiling.ts';

const support = await platform.native();
const names = Object.keys(NATIVE_ARITHMETIC) as NativeArithmetic[];
const count = (text: string, part: string | RegExp): number => text.split(part).length - 1;

it('shares working sets so that every pattern reads whole turns', () => {
  expect(wholeParts(1, 1)).toBe(2048);
  expect(wholeParts(9_437_184, 2)).toBe(9_437_184);
  for (const { streams } of READ_PATTERNS) expect(wholeParts(1000, 2) / 2 / streams / 256).toBe(8 / streams);
});

describe.skipIf('why' in support)('probes in machine code (skipped where none runs)', () => {
  let host: NativeHost;
  let cpu: Cpu;
  beforeAll(() => {
    if ('why' in support) throw new Error(support.why);
    host = support.host;
    cpu = detectCpu(host);
  });

  it.each(names)(
    '%s counts the operations that are in its loop, and runs where the processor has it',
    async (probe) => {
      const { needs, op, operations } = NATIVE_ARITHMETIC[probe];
      if (!cpu[needs]) return expect(prepare({ probe, threads: 1 })).rejects.toThrow(`has no ${needs}`);
      const opened = openNativeProbe(host, { kind: 'arithmetic', name: probe }, 1);
      const turns = Number(/mov r9d, (0x[0-9a-f]+|\d+)/.exec(opened.listing)?.[1]);
      expect(opened.workPerPass).toBe(count(opened.listing, ` ${op} `) * turns * operations);
      opened.dispose();
      const { run, workPerIteration, note, close } = await prepare({ probe, threads: 2 });
      const start = performance.now();
      expect(run(200)).toBeUndefined();
      const rate = (workPerIteration * 200) / (performance.now() - start) / 1e6;
      expect(note).toContain('2 threads');
      expect(rate).toBeGreaterThan(1); // giga-operations a second, however loaded the machine
      expect(rate).toBeLessThan(100_000);
      await close?.();
    },
  );

  it.each(READ_PATTERNS)('reads all of a part with $streams streams, prefetching $aheadBytes ahead', (pattern) => {
    const memory = host.allocate(wholeParts(1 << 16, 1));
    const probe = openNativeProbe(host, { kind: 'read', memory, pattern, isAvx512: cpu.avx512 }, 1);
    const loads = [...probe.listing.matchAll(/vmovaps [xyz]mm\d+, .*\[r10([^\]]*)\]/g)].map(([, at]) => at);
    const perTurn = pattern.streams * 256;
    expect(new Set(loads).size).toBe(perTurn / (cpu.avx512 ? 64 : 32));
    const turns = Number(/mov r8, (0x[0-9a-f]+|\d+)/.exec(probe.listing)?.[1]);
    expect(perTurn * turns).toBe(memory.byteLength);
    expect(probe.workPerPass).toBe(memory.byteLength);
    probe.run(3);
    probe.dispose();
    memory.dispose();
  });

  it.each([1, 2])('reads a working set on %i threads', async (threads) => {
    const { run, workPerIteration, note, close } = await prepare({ probe: 'read', threads, workingSetBytes: 1 << 20 });
    expect(workPerIteration).toBe(1 << 20);
    const start = performance.now();
    for (let i = 0; i < 20; i++) run(10);
    const gigabytes = (workPerIteration * 200) / (performance.now() - start) / 1e6;
    expect(gigabytes).toBeGreaterThan(0.1);
    expect(gigabytes).toBeLessThan(10_000);
    expect(note).toContain('1 MB');
    await close?.();
  });
});
