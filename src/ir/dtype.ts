/**
 * Element types. A tensor holds either plain elements (`DType`) or packed blocks of elements
 * (`PackedType`, whose meaning the quant/ layer gives). Everything above builds on these two.
 */

/** Plain element types, one value per element. */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'i8' | 'u8' | 'bool';

/**
 * Blocks of `blockSize` elements along the last axis, `blockBytes` bytes each. The IR knows only
 * the geometry; number formats (quant/) extend this with scales, codes and bit packing.
 */
export interface PackedType {
  readonly kind: 'packed';
  /** Stable name, unique per format and layout, e.g. `Q4_0` or `Q4_0x4`. */
  readonly name: string;
  readonly blockSize: number;
  readonly blockBytes: number;
  /** Rows whose blocks are interleaved in memory; storage pads rows to a multiple of it. 1 = plain. */
  readonly panelRows: number;
}

export type ElementType = DType | PackedType;

export const DTYPES: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool'];

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<DType, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  i32: 4,
  u32: 4,
  i8: 1,
  u8: 1,
  bool: 1,
};

export const isPacked = (type: ElementType): type is PackedType => typeof type === 'object';
export const isFloat = (type: ElementType): boolean => type === 'f32' || type === 'f16' || type === 'bf16';
export const isInteger = (type: ElementType): boolean =>
  type === 'i32' || type === 'u32' || type === 'i8' || type === 'u8';
export const isSigned = (type: ElementType): boolean => isFloat(type) || type === 'i32' || type === 'i8';

/** Name as printed in graphs and errors. */
export const dtypeName = (type: ElementType): string => (isPacked(type) ? type.name : type);
