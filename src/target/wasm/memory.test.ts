import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BitloomError } from '../../ir/error.ts';
import { LinearMemory } from './memory.ts';

describe('LinearMemory', () => {
  it('gives disjoint, aligned ranges in any order of allocating and freeing, and all of them back', () => {
    const memory = new LinearMemory(false, 1 << 16);
    const step = fc.record({ free: fc.boolean(), pick: fc.nat(), bytes: fc.oneof(fc.nat(300), fc.nat(3 << 20)) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const live: { address: number; bytes: number }[] = [];
        for (const { free, pick, bytes } of steps) {
          if (free && live.length > 0) memory.free(live.splice(pick % live.length, 1)[0]!.address);
          else live.push({ address: memory.allocate(bytes), bytes });
          expect(memory.liveBytes).toBe(live.reduce((n, b) => n + b.bytes, 0));
        }
        const sorted = [...live].sort((a, b) => a.address - b.address);
        sorted.forEach(({ address, bytes }, i) => {
          expect(address % 64).toBe(0);
          expect(address).toBeGreaterThanOrEqual(1 << 16);
          expect(address + bytes).toBeLessThanOrEqual(sorted[i + 1]?.address ?? memory.memory.buffer.byteLength);
        });
        for (const { address } of live) memory.free(address);
        expect(memory.liveBytes).toBe(0);
      }),
      { numRuns: 60 },
    );
    // Everything was freed, so the memory is one range again and its start is handed out first.
    expect(memory.allocate(memory.memory.buffer.byteLength - (1 << 16))).toBe(1 << 16);
  });

  it('reuses the smallest hole that fits', () => {
    const memory = new LinearMemory(false, 64);
    const [large, , small] = [4096, 64, 128, 64].map((n) => memory.allocate(n));
    memory.free(large!);
    memory.free(small!);
    expect(memory.allocate(100)).toBe(small);
    expect(memory.allocate(100)).toBe(large);
  });

  it('says what is needed and what is left when memory runs out', () => {
    const memory = new LinearMemory(true, 64);
    const error = (() => {
      try {
        memory.allocate(5 * 2 ** 30);
      } catch (e) {
        return e;
      }
      return undefined;
    })();
    expect(error).toBeInstanceOf(BitloomError);
    expect((error as BitloomError).code).toBe('OUT_OF_MEMORY');
    expect((error as BitloomError).details).toMatchObject({ neededBytes: 5 * 2 ** 30, liveBytes: 0 });
    expect(memory.allocate(10)).toBeGreaterThan(0);
  });

  it('refuses to free twice', () => {
    const memory = new LinearMemory(false, 64);
    const a = memory.allocate(10);
    memory.free(a);
    expect(() => memory.free(a)).toThrow(/not allocated/);
  });

  it('keeps what was written while it grows', () => {
    const memory = new LinearMemory(true, 1 << 16);
    const a = memory.allocate(8);
    memory.view(a, 8).fill(7);
    memory.allocate(64 << 20);
    expect([...memory.view(a, 8)]).toEqual(new Array(8).fill(7));
  });

  it('takes the address space that the engine grants, and tells how much of that is left', () => {
    const { Memory } = WebAssembly;
    class SmallMemory extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        if ((descriptor.maximum ?? 0) > 256) throw new RangeError('could not allocate memory');
        super(descriptor);
      }
    }
    WebAssembly.Memory = SmallMemory;
    try {
      const memory = new LinearMemory(false, 1 << 16);
      expect(() => memory.allocate(20 << 20)).toThrow(
        expect.objectContaining({
          code: 'OUT_OF_MEMORY',
          details: { neededBytes: 20 << 20, availableBytes: (16 << 20) - (1 << 16), liveBytes: 0 },
        }),
      );
    } finally {
      WebAssembly.Memory = Memory;
    }
  });
});
