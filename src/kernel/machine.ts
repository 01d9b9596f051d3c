/** What one core does in a cycle, as measured. */
export interface MachineRates {
  /** Bytes from the second-level cache. */
  readonly nearBytes: number;
  /** Bytes from beyond it. */
  readonly farBytes: number;
}

/** The machine numbers that kernels derive their block sizes from. A target supplies one. */
export interface Machine {
  readonly name: string;
  /** f32 lanes of the widest vector register: 4 for SIMD128, 8 for AVX2, 16 for AVX-512. Narrower vectors of 4 or 8 lanes work too. */
  readonly lanes: number;
  readonly vectorRegisters: number;
  readonly l1Bytes: number;
  readonly l2Bytes: number;
  /** Threads that run one kernel together. */
  readonly threads: number;
  /** Measured rates; without them the cost model takes those of a current core. */
  readonly rates?: MachineRates | undefined;
  /** A fused multiply-add costs one instruction. */
  readonly hasFma: boolean;
  /** `dot8` costs one instruction when its second operand holds 7-bit codes (`dot8u7`), or any 8-bit codes (`dot8u8`). */
  readonly dot8: 'none' | 'u7' | 'u8';
  /** Multiply-adds and dot products take an operand that repeats one element of memory over the lanes at no cost. */
  readonly repeatsFromMemory: boolean;
  /** Hints of what will be read soon reach the memory: streams from beyond the caches then come faster. */
  readonly prefetches: boolean;
  /** Sums are not divided among threads, and `threads` is a number to plan by, not that of those that run. Default false. */
  readonly isDeterministic?: boolean;
  /** Whether there is `expand`: lanes filled from consecutive elements of memory. */
  readonly hasExpand: boolean;
  /** Whether there is `dotBf16`. */
  readonly hasBf16Dot: boolean;
  /** Whether there are tiles, `TILES` of them (tile.ts). */
  readonly tiles: boolean;
}

/** Threads that kernels are planned for where results must not depend on how many there are. */
const DETERMINISTIC_THREADS = 8;

/** A machine whose kernels give the same results to the bit whatever number of threads runs them. */
export const deterministic = (machine: Machine): Machine => ({
  ...machine,
  threads: DETERMINISTIC_THREADS,
  isDeterministic: true,
});

/** SIMD128 with relaxed instructions; what the tests and cost models assume unless told otherwise. */
export const SIMD128: Machine = {
  name: 'simd128',
  lanes: 4,
  vectorRegisters: 16,
  l1Bytes: 32 << 10,
  l2Bytes: 1 << 20,
  threads: 1,
  hasFma: true,
  dot8: 'u8',
  repeatsFromMemory: false,
  prefetches: false,
  hasExpand: false,
  hasBf16Dot: false,
  tiles: false,
};

/** x86-64 with AVX2 and FMA. 7-bit codes take two instructions of 16-bit sums; counted as one. */
export const AVX2: Machine = {
  name: 'avx2',
  lanes: 8,
  vectorRegisters: 16,
  l1Bytes: 32 << 10,
  l2Bytes: 1 << 20,
  threads: 1,
  hasFma: true,
  dot8: 'u7',
  repeatsFromMemory: false,
  prefetches: true,
  hasExpand: false,
  hasBf16Dot: false,
  tiles: false,
};

/** x86-64 with AVX-512, VNNI, VBMI2 and BF16. */
export const AVX512: Machine = {
  name: 'avx512-vnni',
  lanes: 16,
  vectorRegisters: 32,
  l1Bytes: 32 << 10,
  l2Bytes: 1 << 20,
  threads: 1,
  hasFma: true,
  dot8: 'u8',
  repeatsFromMemory: true,
  prefetches: true,
  hasExpand: true,
  hasBf16Dot: true,
  tiles: false,
};

/** x86-64 with AMX, beside all that `AVX512` has. */
export const AMX: Machine = { ...AVX512, name: 'amx', tiles: true };
