/** What generated code may use of the processor. */

/** How much of the processor a target uses: each level includes those before it. */
export const LEVELS = ['avx2', 'avx512', 'amx'] as const;
export type Level = (typeof LEVELS)[number];

export interface CodeFeatures {
  /** Vectors of 512 bits, mask registers, 32 vector registers. */
  readonly avx512: boolean;
  /** 8-bit dot products in one instruction: of 512 bits, or of 256 with AVX-VNNI. */
  readonly vnni: boolean;
  /** Vectors filled from consecutive elements of memory, words and larger ones (VBMI2). */
  readonly expand: boolean;
  /** Dot products of bfloat16 numbers. */
  readonly bf16: boolean;
  /** Products of bytes with a matrix of bits (GFNI). */
  readonly gfni: boolean;
  /** Bits of lanes counted (VPOPCNTDQ). */
  readonly popcount: boolean;
  /** Tiles: none, those of AMX, or areas of the stack that vector instructions of AVX-512 and VNNI work on, for tests. */
  readonly tiles: 'none' | 'amx' | 'emulated';
}
