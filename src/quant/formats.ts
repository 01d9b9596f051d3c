/**
 * The table of number formats: GGUF's Q8_0, Q4_0 and Q4_1, group-wise integers of 2 to 8 bits, and the
 * 8-bit activation formats. Adding a format is adding a row.
 * Source: ggml's published block layouts (GGUF specification, "ggml_type").
 */
import type { DType, ElementType } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { type NumberFormat, panel, planesFor } from './number-format.ts';

export type GroupSize = 32 | 64 | 128;
export const GROUP_SIZES: readonly GroupSize[] = [32, 64, 128];

const plain = { kind: 'packed', panelRows: 1, min: null, zeroPoint: null, codeSum: null, codeXor: 0 } as const;

/** 32 int8 codes under an f16 scale. */
export const Q8_0: NumberFormat = {
  ...plain,
  name: 'Q8_0',
  baseName: 'Q8_0',
  ggufType: 8,
  fit: 'absmax',
  rounding: 'half-away',
  blockSize: 32,
  blockBytes: 34,
  bits: 8,
  offset: 128,
  codeXor: 0x80,
  scale: { dtype: 'f16', byteOffset: 0 },
  codesOffset: 2,
  planes: planesFor(8),
};

/** 32 4-bit codes around 8 under an f16 scale. */
export const Q4_0: NumberFormat = {
  ...plain,
  name: 'Q4_0',
  baseName: 'Q4_0',
  ggufType: 2,
  fit: 'peak',
  rounding: 'half-up',
  blockSize: 32,
  blockBytes: 18,
  bits: 4,
  offset: 8,
  scale: { dtype: 'f16', byteOffset: 0 },
  codesOffset: 2,
  planes: planesFor(4),
};

/** 32 4-bit codes with an f16 scale and an f16 minimum. */
export const Q4_1: NumberFormat = {
  ...plain,
  name: 'Q4_1',
  baseName: 'Q4_1',
  ggufType: 3,
  fit: 'range',
  rounding: 'half-up',
  blockSize: 32,
  blockBytes: 20,
  bits: 4,
  offset: 0,
  scale: { dtype: 'f16', byteOffset: 0 },
  min: { dtype: 'f16', byteOffset: 2 },
  codesOffset: 4,
  planes: planesFor(4),
};

/** `I<bits>_G<group>`: codes around 2^(bits-1), or around a stored zero point (`…Z`), under an f16 scale. */
function groupInt(bits: number, group: GroupSize, hasZeroPoint: boolean): NumberFormat {
  const name = `I${bits}_G${group}${hasZeroPoint ? 'Z' : ''}`;
  const codesOffset = hasZeroPoint ? 3 : 2;
  return {
    ...plain,
    name,
    baseName: name,
    ggufType: null,
    fit: hasZeroPoint ? 'zero' : 'peak',
    rounding: 'half-up',
    blockSize: group,
    blockBytes: codesOffset + (group * bits) / 8,
    bits,
    offset: hasZeroPoint ? 0 : 2 ** (bits - 1),
    scale: { dtype: 'f16', byteOffset: 0 },
    zeroPoint: hasZeroPoint ? { dtype: 'u8', byteOffset: 2 } : null,
    codesOffset,
    planes: planesFor(bits),
  };
}

/** `Q8_A<group>`: int8 codes, their f32 scale, and the i32 sum of the codes. For activations. */
function activation(group: GroupSize): NumberFormat {
  const name = `Q8_A${group}`;
  return {
    ...plain,
    name,
    baseName: name,
    ggufType: null,
    fit: 'absmax',
    rounding: 'half-even',
    blockSize: group,
    blockBytes: group + 8,
    bits: 8,
    offset: 128,
    codeXor: 0x80,
    scale: { dtype: 'f32', byteOffset: group },
    codeSum: { dtype: 'i32', byteOffset: group + 4 },
    codesOffset: 0,
    planes: planesFor(8),
  };
}

/** All group-wise integer formats: 2 to 8 bits, groups of 32, 64 and 128, without and with zero points. */
export const GROUP_INTS: readonly NumberFormat[] = [2, 3, 4, 5, 6, 7, 8].flatMap((bits) =>
  GROUP_SIZES.flatMap((group) => [groupInt(bits, group, false), groupInt(bits, group, true)]),
);

export const ACTIVATION_FORMATS: readonly NumberFormat[] = GROUP_SIZES.map(activation);

/** Every packed format in its plain layout. */
export const PACKED_FORMATS: readonly NumberFormat[] = [Q8_0, Q4_0, Q4_1, ...GROUP_INTS, ...ACTIVATION_FORMATS];

/** One storage format of weights: its public name, its id in GGUF files, and its element type. */
export interface WeightFormat {
  readonly name: string;
  readonly ggufType: number | null;
  readonly element: ElementType;
}

const unpacked = (name: string, ggufType: number, element: DType): WeightFormat => ({ name, ggufType, element });

/** Every format that weights may be stored in, the unpacked floats first. */
export const WEIGHT_FORMATS: readonly WeightFormat[] = [
  unpacked('F32', 0, 'f32'),
  unpacked('F16', 1, 'f16'),
  unpacked('BF16', 30, 'bf16'),
  ...[Q8_0, Q4_0, Q4_1, ...GROUP_INTS].map((element) => ({ name: element.name, ggufType: element.ggufType, element })),
];

/** The weight format called `name`, any case. Throws UNSUPPORTED_DTYPE naming what exists. */
export function weightFormat(name: string): WeightFormat {
  const found = WEIGHT_FORMATS.find((format) => format.name === name.toUpperCase());
  if (found !== undefined) return found;
  throw new BitloomError(
    'UNSUPPORTED_DTYPE',
    `unknown number format "${name}"; there are F32, F16, BF16, Q8_0, Q4_0, Q4_1, and I<2-8>_G<32|64|128>[Z]`,
    { name },
  );
}

/** The activation format for weights in groups of `group`. */
export function activationFormat(group: number): NumberFormat {
  const found = ACTIVATION_FORMATS.find((format) => format.blockSize === group);
  if (found !== undefined) return found;
  throw new BitloomError('INVALID_ARGUMENT', `no activation format has groups of ${group}; there are 32, 64, 128`, {
    group,
  });
}

/** The packed format called `name`, plain (`Q4_0`) or in panels (`Q4_0x4`); undefined where there is none. */
export function packedFormat(name: string): NumberFormat | undefined {
  const [, base, rows] = /^(.+?)(?:x(\d+))?$/.exec(name) ?? [];
  const format = PACKED_FORMATS.find((row) => row.name === base);
  return format === undefined || rows === undefined ? format : panel(format, Number(rows));
}
