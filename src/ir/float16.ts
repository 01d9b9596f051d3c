/**
 * Scalar conversions between f32 and the two 16-bit floats (IEEE 754 binary16 and bfloat16), as bit
 * patterns. Exact for every pattern: denormals, signed zeros, infinities, NaN; rounds half to even.
 */
const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The value of a binary16 bit pattern (0..0xffff). Every one is exact in f32. */
export function f16ToNumber(bits: number): number {
  const magnitude = bits & 0x7fff;
  if (magnitude < 0x0400) return (bits & 0x8000 ? -magnitude : magnitude) * 2 ** -24;
  const bias = magnitude >= 0x7c00 ? 0x70000000 : 0x38000000; // infinity and NaN keep an all-ones exponent
  word[0] = ((bits & 0x8000) << 16) | ((magnitude << 13) + bias);
  return float[0]!;
}

/** The binary16 pattern nearest to `value` taken as f32; ties to even, overflow to infinity, NaN stays NaN. */
export function numberToF16(value: number): number {
  float[0] = value;
  const bits = word[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff);
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // Below 2^-14: in [0.5, 1) an f32 step is 2^-24, the binary16 denormal step, so the addition rounds.
  float[0] = Math.abs(float[0]!) + 0.5;
  return sign | (word[0]! - 0x3f000000);
}

/** The value of a bfloat16 bit pattern (0..0xffff). */
export function bf16ToNumber(bits: number): number {
  word[0] = bits << 16;
  return float[0]!;
}

/** The bfloat16 pattern nearest to `value` taken as f32; ties to even, NaN stays NaN. */
export function numberToBf16(value: number): number {
  float[0] = value;
  const bits = word[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
