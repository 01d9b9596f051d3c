/** Numbers that break kernels. */

/** Signs, halves, limits of binary16, of integers and of f32, subnormal numbers, infinities, NaN: 32 of them. */
export const EDGE_FLOATS: readonly number[] = [
  ...[0, -0, 1, -1, 0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 1e-45, -1e-40, 1.17549435e-38, 65504, 65519, 65520, 6e-8],
  ...[5.9e-8, 6.1e-5, 2147483648, -2147483648, 4294967040, 4294967296, 1e30, -1e30, 3.4e38, 8388607.5, 0.1],
  ...[-0.49999997, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
];

/** Limits of 8, 16 and 32 bits: 16 of them. */
export const EDGE_WORDS: readonly number[] = [
  0, 1, -1, 2, 7, 31, 127, 128, 255, 256, 0x7fffffff, -0x80000000, 0x12345678, -0x12345678, 65535, -65536,
];
