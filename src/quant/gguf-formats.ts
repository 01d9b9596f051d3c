/**
 * The number formats of GGUF files as rows: blocks of 32 under one scale, and super-blocks of 256 with small integer
 * scales for groups of 16 or 32.
 * Source: ggml's published block layouts (GGUF specification, "ggml_type").
 */
import {
  type BitTable,
  type GroupField,
  type NumberFormat,
  PLAIN,
  type Plane,
  planesFor,
  planeTable,
} from './number-format.ts';

/** A format of GGUF files whose block of 32 is one group. */
const block32 = (name: string, ggufType: number) =>
  ({ ...PLAIN, name, baseName: name, ggufType, blockSize: 32, groupSize: 32 }) as const;

/** 32 int8 codes under an f16 scale. */
export const Q8_0: NumberFormat = {
  ...block32('Q8_0', 8),
  fit: 'absmax',
  rounding: 'half-away',
  blockBytes: 34,
  bits: 8,
  offset: 128,
  codeXor: 0x80,
  scale: { dtype: 'f16', byteOffset: 0 },
  planes: planesFor(8, 2),
};

/** 32 4-bit codes around 8 under an f16 scale. */
export const Q4_0: NumberFormat = {
  ...block32('Q4_0', 2),
  fit: 'peak',
  rounding: 'half-up',
  blockBytes: 18,
  bits: 4,
  offset: 8,
  scale: { dtype: 'f16', byteOffset: 0 },
  planes: planesFor(4, 2),
};

/** 32 4-bit codes with an f16 scale and an f16 minimum. */
export const Q4_1: NumberFormat = {
  ...block32('Q4_1', 3),
  fit: 'range',
  rounding: 'half-up',
  blockBytes: 20,
  bits: 4,
  offset: 0,
  scale: { dtype: 'f16', byteOffset: 0 },
  min: { dtype: 'f16', byteOffset: 2 },
  planes: planesFor(4, 4),
};

/** 5-bit codes of a block of 32: fifth bits as one 32-bit number, then nibbles as in Q4_0. */
const fiveBits = (byteOffset: number): Plane[] => [
  { bits: 4, place: 0, byteOffset: byteOffset + 4, period: 16, stride: 16 },
  { bits: 1, place: 4, byteOffset, period: 1, stride: 1 },
];

/** 32 5-bit codes around 16 under an f16 scale. */
export const Q5_0: NumberFormat = {
  ...block32('Q5_0', 6),
  fit: 'peak',
  rounding: 'half-up',
  blockBytes: 22,
  bits: 5,
  offset: 16,
  scale: { dtype: 'f16', byteOffset: 0 },
  planes: fiveBits(2),
};

/** 32 5-bit codes with an f16 scale and an f16 minimum. */
export const Q5_1: NumberFormat = {
  ...block32('Q5_1', 7),
  fit: 'range',
  rounding: 'half-up',
  blockBytes: 24,
  bits: 5,
  offset: 0,
  scale: { dtype: 'f16', byteOffset: 0 },
  min: { dtype: 'f16', byteOffset: 2 },
  planes: fiveBits(4),
};

/** Sixteen levels, denser near zero, that normal weights use evenly; int8 values plus 128. */
const NORMAL_LEVELS = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113].map((v) => v + 128);

/** 32 4-bit codes of 16 uneven levels under an f16 scale. */
export const IQ4_NL: NumberFormat = {
  ...block32('IQ4_NL', 20),
  fit: 'search',
  rounding: 'half-up',
  blockBytes: 18,
  bits: 4,
  offset: 128,
  codebook: NORMAL_LEVELS,
  scale: { dtype: 'f16', byteOffset: 0 },
  planes: planesFor(4, 2),
};

/** 32 4-bit floats (E2M1, here as twice their value) under a power of two. Source: OCP Microscaling Formats v1.0, MXFP4. */
export const MXFP4: NumberFormat = {
  ...block32('MXFP4', 39),
  fit: 'search',
  rounding: 'half-up',
  blockBytes: 17,
  bits: 4,
  offset: 12,
  codebook: [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12].map((v) => v + 12),
  scale: { dtype: 'e8m0', byteOffset: 0 },
  planes: planesFor(4, 1),
};

/** A super-block of 256 elements in groups with small integers of their own. */
const superBlock = (name: string, ggufType: number, groupSize: 16 | 32) =>
  ({
    ...PLAIN,
    name,
    baseName: name,
    ggufType,
    blockSize: 256,
    groupSize,
    fit: 'search',
    rounding: 'half-up',
  }) as const;

/** A plane of codes or group integers as files have them: chunks one after the other. */
const filePlane = (bits: Plane['bits'], place: number, byteOffset: number, period: number): Plane => ({
  bits,
  place,
  byteOffset,
  period,
  stride: period,
});

/** 2-bit codes in groups of 16, with a 4-bit scale and minimum each. */
export const Q2_K: NumberFormat = {
  ...superBlock('Q2_K', 10, 16),
  blockBytes: 84,
  bits: 2,
  offset: 0,
  scale: { dtype: 'f16', byteOffset: 80 },
  min: { dtype: 'f16', byteOffset: 82 },
  subScale: { bits: 4, isSigned: false, bias: 0, range: [0, 15], tables: [nibbles(0, 0)] },
  subMin: { bits: 4, isSigned: false, bias: 0, range: [0, 15], tables: [nibbles(0, 4)] },
  planes: [filePlane(2, 0, 16, 32)],
};

/** 3-bit codes around 4 in groups of 16, with a 6-bit scale around 32 each. */
export const Q3_K: NumberFormat = {
  ...superBlock('Q3_K', 11, 16),
  blockBytes: 110,
  bits: 3,
  offset: 4,
  scale: { dtype: 'f16', byteOffset: 108 },
  subScale: {
    bits: 6,
    isSigned: false,
    bias: 32,
    range: [-32, 31],
    tables: [planeTable(filePlane(4, 0, 96, 8), 16), planeTable(filePlane(2, 4, 104, 4), 16)],
  },
  planes: [filePlane(2, 0, 32, 32), filePlane(1, 2, 0, 32)],
};

/** 4-bit codes in groups of 32, with a 6-bit scale and minimum each. */
export const Q4_K: NumberFormat = {
  ...superBlock('Q4_K', 12, 32),
  blockBytes: 144,
  bits: 4,
  offset: 0,
  scale: { dtype: 'f16', byteOffset: 0 },
  min: { dtype: 'f16', byteOffset: 2 },
  ...sixBitPairs(4),
  planes: [filePlane(4, 0, 16, 32)],
};

/** 5-bit codes in groups of 32, with a 6-bit scale and minimum each. */
export const Q5_K: NumberFormat = {
  ...superBlock('Q5_K', 13, 32),
  blockBytes: 176,
  bits: 5,
  offset: 0,
  scale: { dtype: 'f16', byteOffset: 0 },
  min: { dtype: 'f16', byteOffset: 2 },
  ...sixBitPairs(4),
  planes: [filePlane(4, 0, 48, 32), filePlane(1, 4, 16, 32)],
};

/** 6-bit codes around 32 in groups of 16, with an int8 scale each. */
export const Q6_K: NumberFormat = {
  ...superBlock('Q6_K', 14, 16),
  blockBytes: 210,
  bits: 6,
  offset: 32,
  scale: { dtype: 'f16', byteOffset: 208 },
  subScale: {
    bits: 8,
    isSigned: true,
    bias: 0,
    range: [-128, 127],
    tables: [planeTable(filePlane(8, 0, 192, 16), 16)],
  },
  planes: [filePlane(4, 0, 0, 64), filePlane(2, 4, 128, 32)],
};

/** 4-bit codes of IQ4_NL's levels in groups of 32, with a 6-bit scale around 32 each. */
export const IQ4_XS: NumberFormat = {
  ...superBlock('IQ4_XS', 23, 32),
  blockBytes: 136,
  bits: 4,
  offset: 128,
  codebook: NORMAL_LEVELS,
  scale: { dtype: 'f16', byteOffset: 0 },
  subScale: {
    bits: 6,
    isSigned: false,
    bias: 32,
    range: [-32, 31],
    tables: [planeTable(filePlane(4, 0, 4, 1), 8), planeTable(filePlane(2, 4, 2, 1), 8)],
  },
  planes: planesFor(4, 8),
};

/** One of the two 4-bit numbers in each of 16 bytes. */
function nibbles(byteOffset: number, shift: number): BitTable {
  const groups = Array.from({ length: 16 }, (_, group) => group);
  return { bits: 4, place: 0, byteOffsets: groups.map((g) => byteOffset + g), shifts: groups.map(() => shift) };
}

/**
 * Eight 6-bit scales and minimums in 12 bytes: scales 0-3 fill the low 6 bits of bytes 0-3, minimums 0-3 those of bytes 4-7;
 * the later four have their low nibbles in bytes 8-11 (scale low, minimum high) and their high bits on top of bytes 0-7.
 */
function sixBitPairs(byteOffset: number): { subScale: GroupField; subMin: GroupField } {
  const table = (bits: number, place: number, at: (group: number) => [byte: number, shift: number]): BitTable => {
    const places = Array.from({ length: 8 }, (_, group) => at(group));
    return {
      bits,
      place,
      byteOffsets: places.map(([byte]) => byteOffset + byte),
      shifts: places.map(([, shift]) => shift),
    };
  };
  const field = (first: number, lateShift: number): GroupField => ({
    bits: 6,
    isSigned: false,
    bias: 0,
    range: [0, 63],
    tables: [
      table(4, 0, (g) => (g < 4 ? [first + g, 0] : [4 + g, lateShift])),
      table(2, 4, (g) => (g < 4 ? [first + g, 4] : [first + g - 4, 6])),
    ],
  });
  return { subScale: field(0, 0), subMin: field(4, 4) };
}

/** The formats that GGUF files have, besides unpacked floats. */
export const GGUF_FORMATS: readonly NumberFormat[] = [
  Q8_0,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  IQ4_NL,
  IQ4_XS,
  MXFP4,
];
