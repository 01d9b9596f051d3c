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
  /** A fused multiply-add costs one instruction. */
  readonly hasFma: boolean;
  /** `dot8` costs one instruction when its second operand holds 7-bit codes (`dot8u7`), or any 8-bit codes (`dot8u8`). */
  readonly dot8: 'none' | 'u7' | 'u8';
  /** Multiply-adds and dot products take an operand that repeats one element of memory over the lanes at no cost. */
  readonly repeatsFromMemory: boolean;
}

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
};

/** x86-64 with AVX-512 and VNNI. */
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
};
