/**
 * The table of number formats: those of GGUF files, group-wise integers of 2 to 8 bits, bipolar numbers, and the
 * 8-bit formats of activations and caches. Adding a format is adding a row.
 */
import type { DType, ElementType } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { B1, BIPOLAR_ACTIVATIONS } from './bipolar-formats.ts';
import { GGUF_FORMATS } from './gguf-formats.ts';
import { type NumberFormat, PLAIN, panel, planesFor, sumSize } from './number-format.ts';

export type GroupSize = 32 | 64 | 128;
export const GROUP_SIZES: readonly GroupSize[] = [32, 64, 128];

/** `I<bits>_G<group>`: codes around 2^(bits-1), or around a stored zero point (`…Z`), under an f16 scale. */
function groupInt(bits: number, group: GroupSize, hasZeroPoint: boolean): NumberFormat {
  const name = `I${bits}_G${group}${hasZeroPoint ? 'Z' : ''}`;
  const codesOffset = hasZeroPoint ? 3 : 2;
  return {
    ...PLAIN,
    name,
    baseName: name,
    ggufType: null,
    fit: hasZeroPoint ? 'zero' : 'peak',
    rounding: 'half-up',
    blockSize: group,
    groupSize: group,
    blockBytes: codesOffset + (group * bits) / 8,
    bits,
    offset: hasZeroPoint ? 0 : 2 ** (bits - 1),
    scale: { dtype: 'f16', byteOffset: 0 },
    zeroPoint: hasZeroPoint ? { dtype: 'u8', byteOffset: 2 } : null,
    planes: planesFor(bits, codesOffset),
  };
}

/**
 * Activations: int8 codes, their f32 scale, and sums of the codes. `Q8_A<group>` has one i32 sum; `Q8_A32S16` has two
 * i16 sums, of 16 codes each, for weights in groups of 16.
 */
function activation(group: GroupSize, sums: 'i32' | 'i16x2' = 'i32'): NumberFormat {
  const name = sums === 'i32' ? `Q8_A${group}` : `Q8_A${group}S${group / 2}`;
  return {
    ...PLAIN,
    name,
    baseName: name,
    ggufType: null,
    fit: 'absmax',
    rounding: 'half-even',
    blockSize: group,
    groupSize: group,
    blockBytes: group + 8,
    bits: 8,
    offset: 128,
    codeXor: 0x80,
    scale: { dtype: 'f32', byteOffset: group },
    codeSum: { dtype: sums, byteOffset: group + 4 },
    planes: planesFor(8, 0),
  };
}

/** `Q8_C32`: 32 int8 codes and their f32 scale. For cached keys and values, which are multiplied as f32 and need no sums. */
export const CACHE_FORMAT: NumberFormat = {
  ...activation(32),
  name: 'Q8_C32',
  baseName: 'Q8_C32',
  blockBytes: 36,
  codeSum: null,
};

/** All group-wise integer formats: 2 to 8 bits, groups of 32, 64 and 128, without and with zero points. */
export const GROUP_INTS: readonly NumberFormat[] = [2, 3, 4, 5, 6, 7, 8].flatMap((bits) =>
  GROUP_SIZES.flatMap((group) => [groupInt(bits, group, false), groupInt(bits, group, true)]),
);

export const ACTIVATION_FORMATS: readonly NumberFormat[] = [
  ...GROUP_SIZES.map((group) => activation(group)),
  activation(32, 'i16x2'),
];

/** Every packed format in its plain layout. */
export const PACKED_FORMATS: readonly NumberFormat[] = [
  ...GGUF_FORMATS,
  ...GROUP_INTS,
  B1,
  ...BIPOLAR_ACTIVATIONS,
  ...ACTIVATION_FORMATS,
  CACHE_FORMAT,
];

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
  ...[...GGUF_FORMATS, ...GROUP_INTS, B1].map((element) => ({
    name: element.name,
    ggufType: element.ggufType,
    element,
  })),
];

/** The weight format called `name`, any case. Throws UNSUPPORTED_DTYPE naming what exists. */
export function weightFormat(name: string): WeightFormat {
  const found = WEIGHT_FORMATS.find((format) => format.name === name.toUpperCase());
  if (found !== undefined) return found;
  throw new BitloomError(
    'UNSUPPORTED_DTYPE',
    `unknown number format "${name}"; there are F32, F16, BF16, ${GGUF_FORMATS.map((f) => f.name).join(', ')}, I<2-8>_G<32|64|128>[Z], and B1`,
    { name },
  );
}

/** The activation format with groups of `group` and one sum each. */
export function activationFormat(group: number): NumberFormat {
  const found = ACTIVATION_FORMATS.find((format) => format.blockSize === group && sumSize(format) === group);
  if (found !== undefined) return found;
  throw new BitloomError('INVALID_ARGUMENT', `no activation format has groups of ${group}; there are 32, 64, 128`, {
    group,
  });
}

/** The activation format that integer products with `weights` need: with sums of the weights' groups. */
export function activationFor({ groupSize }: NumberFormat): NumberFormat {
  return ACTIVATION_FORMATS.find((format) => sumSize(format) === groupSize) ?? activationFormat(groupSize);
}

/** The packed format called `name`, plain (`Q4_0`) or in panels (`Q4_0x4`); undefined where there is none. */
export function packedFormat(name: string): NumberFormat | undefined {
  const [, base, rows] = /^(.+?)(?:x(\d+))?$/.exec(name) ?? [];
  const format = PACKED_FORMATS.find((row) => row.name === base);
  return format === undefined || rows === undefined ? format : panel(format, Number(rows));
}
