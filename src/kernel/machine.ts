/** The machine numbers that kernels derive their block sizes from. A target supplies one. */
export interface Machine {
  readonly name: string;
  /** f32 lanes of one vector register: 4 for SIMD128, 8 for AVX2, 16 for AVX-512. */
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
};
