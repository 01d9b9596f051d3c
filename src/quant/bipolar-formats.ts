/**
 * Bipolar numbers: codes of b bits that stand for the odd numbers from -(2^b - 1) to 2^b - 1, so that each bit is +1 or -1 times
 * its place. A product of bits is then 1 - 2 (x XOR w), and sums of products are counts of bits. There is no zero.
 * Source: bipolar-INT arbitrary-precision GEMM (atlas, engine 3); XNOR-Net, 2016, for the scale of one bit.
 */
import { type NumberFormat, PLAIN, SUB_BLOCK } from './number-format.ts';

/** Elements under one scale. */
const GROUP = 128;

/** Level of a code: 2 * code; zero stands half way between two. */
const levels = (bits: number): number[] => Array.from({ length: 2 ** bits }, (_, code) => 2 * code);

/** Planes of single bits one after the other: 32 neighbours in four bytes, quads from the low bits up. */
const bitPlanes = (bits: number, byteOffset: number) =>
  Array.from({ length: bits }, (_, place) => ({
    ...{ bits: 1, place, byteOffset: byteOffset + (place * GROUP) / 8 },
    ...{ period: 4, stride: SUB_BLOCK / 8 },
  }));

function bipolar(name: string, bits: number, scale: 'f16' | 'f32'): NumberFormat {
  const first = scale === 'f16' ? 2 : 4;
  return {
    ...PLAIN,
    name,
    baseName: name,
    ggufType: null,
    fit: 'bipolar',
    rounding: 'half-up',
    blockSize: GROUP,
    groupSize: GROUP,
    blockBytes: first + (GROUP * bits) / 8,
    bits,
    offset: 2 ** bits - 1,
    codebook: levels(bits),
    scale: { dtype: scale, byteOffset: 0 },
    planes: bitPlanes(bits, first),
  };
}

/** Weights of one bit under a scale for 128 of them: +scale or -scale. */
export const B1: NumberFormat = bipolar('B1', 1, 'f16');

/** Activations of 1, 2 and 4 bits, `B<bits>_A`: what products with `B1` count bits of. */
export const BIPOLAR_ACTIVATIONS: readonly NumberFormat[] = [1, 2, 4].map((bits) => bipolar(`B${bits}_A`, bits, 'f32'));

/** Whether a format's codes are bipolar numbers. */
export const isBipolar = ({ fit }: NumberFormat): boolean => fit === 'bipolar';
