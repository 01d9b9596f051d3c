/** What generated code may use of the processor. */

/** How much of the processor a target uses: each level includes those before it. */
export const LEVELS = ['avx2', 'avx512', 'amx'] as const;
export type Level = (typeof LEVELS)[number];

export interface CodeFeatures {
  /** Vectors of 512 bits, mask registers, 32 vector registers. */
  readonly avx512: boolean;
  /** 8-bit dot products in one instruction: of 512 bits, or of 256 with AVX-VNNI. */
  readonly vnni: boolean;
}
