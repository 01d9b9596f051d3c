/** What random kernels work on: where they may read and write, and what lies there at first. */
import type { BufferParam } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { EDGE_FLOATS } from './edge-values.ts';
import { numbersFrom } from './tape.ts';

/** Part of a buffer that random accesses stay in. */
export interface Region {
  readonly buffer: BufferParam;
  readonly byteOffset: number;
  readonly byteLength: number;
  /** Whether it holds floats only, which are accessed as whole words: any NaN stands for any other. */
  readonly isFloat: boolean;
}

export type RegionName = 'integers' | 'floats' | 'exact' | 'scratch' | 'scratchFloats' | 'shared';

/** Bytes of the buffers, in their order: integers, floats, exact floats, then integers and floats that the kernel leaves. */
export const BUFFER_BYTES = [1024, 1024, 512, 4096, 4096] as const;
/** Whether any NaN stands for any other in a buffer. */
export const isFloatBuffer = (buffer: number): boolean => buffer !== 0 && buffer !== 3;
const SCRATCH_BYTES = 256;

/** Declares a kernel's buffers, in the order of `BUFFER_BYTES`. */
export function declareBuffers(k: KernelBuilder) {
  const own = (name: string, byteLength: number, access: BufferParam['access'], isFloat: boolean): Region => {
    return { buffer: k.buffer(name, access), byteOffset: 0, byteLength, isFloat };
  };
  const [integers, floats, exact, keptIntegers, keptFloats] = BUFFER_BYTES;
  const regions: Record<RegionName, Region> = {
    integers: own('integers', integers, 'readwrite', false),
    floats: own('floats', floats, 'readwrite', true),
    exact: own('exact', exact, 'read', true),
    scratch: { ...k.threadScratch(SCRATCH_BYTES), byteLength: SCRATCH_BYTES, isFloat: false },
    scratchFloats: { ...k.threadScratch(SCRATCH_BYTES), byteLength: SCRATCH_BYTES, isFloat: true },
    shared: { ...k.sharedScratch(SCRATCH_BYTES), byteLength: SCRATCH_BYTES, isFloat: false },
  };
  const kept = {
    i32: own('keptIntegers', keptIntegers, 'write', false),
    f32: own('keptFloats', keptFloats, 'write', true),
  };
  return { regions, kept };
}

/** The buffers' first contents: all kinds of integers; ordinary floats and those that break kernels; small whole numbers. */
export function randomBuffers(seed: number): Uint8Array[] {
  const next = numbersFrom(seed);
  const [integers, floats, exact, keptIntegers, keptFloats] = BUFFER_BYTES;
  const words = Int32Array.from({ length: integers / 4 }, () => {
    const draw = next();
    return draw % 3 === 0 ? (draw >>> 8) % 16 : draw % 3 === 1 ? next() : next() >> (draw % 31);
  });
  const numbers = Float32Array.from({ length: floats / 4 }, () => {
    const draw = next();
    return draw % 4 === 0
      ? EDGE_FLOATS[(draw >>> 8) % EDGE_FLOATS.length]!
      : draw % 4 === 1
        ? (draw >>> 8) % 9
        : next() / 7e6 - 300;
  });
  const small = Float32Array.from({ length: exact / 4 }, () => {
    const draw = next();
    return draw % 16 === 0 ? [NaN, Infinity, -Infinity, -0][(draw >>> 8) % 4]! : ((draw >>> 8) % 17) - 8;
  });
  const kept = [keptIntegers, keptFloats].map((length) => new Uint8Array(length));
  return [...[words, numbers, small].map((array) => new Uint8Array(array.buffer)), ...kept];
}
