/**
 * The vocabulary of GGUF: metadata value types, tensor type ids and limits.
 * Source: the GGUF specification (ggml-org/ggml, docs/gguf.md), version 3.
 */
import type { ElementType } from '../ir/dtype.ts';
import { WEIGHT_FORMATS } from '../quant/index.ts';

/** Metadata value types; the index is the id in files. */
export const METADATA_TYPES = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  'array',
  'u64',
  'i64',
  'f64',
] as const;
export type MetadataType = (typeof METADATA_TYPES)[number];

/** Least bytes that one value of a type takes in a file: a string and an array have their length at least. */
export const METADATA_BYTES: Readonly<Record<MetadataType, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8,
  array: 12,
  u64: 8,
  i64: 8,
  f64: 8,
};

/** Lists of numbers, as typed arrays. */
export type MetadataNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | BigUint64Array
  | BigInt64Array
  | Float64Array;

export const NUMBER_ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f64: Float64Array,
} as const;

export const isNumberType = (type: MetadataType): type is keyof typeof NUMBER_ARRAYS => type in NUMBER_ARRAYS;

/** A metadata value as read. 64-bit integers are numbers where these are exact, else bigints. */
export type MetadataValue = number | bigint | boolean | string | MetadataList;
export type MetadataList = MetadataNumbers | readonly string[] | readonly boolean[] | readonly MetadataList[];

/** Tensor types of ggml without a number format here, by id, as errors name them. */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  9: 'Q8_1',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  21: 'IQ3_S',
  22: 'IQ2_S',
  25: 'I16',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
};

/** Integer tensors have ids too. */
const INTEGER_TYPES: readonly { ggufType: number; element: ElementType }[] = [
  { ggufType: 24, element: 'i8' },
  { ggufType: 26, element: 'i32' },
];

const READABLE = [...WEIGHT_FORMATS.filter((format) => format.ggufType !== null), ...INTEGER_TYPES];

/** The element type of a tensor type id; undefined where it is not supported. */
export const elementOfGgufType = (id: number): ElementType | undefined =>
  READABLE.find((row) => row.ggufType === id)?.element;

/** The id of an element type; undefined where GGUF has none. */
export const ggufTypeOfElement = (element: ElementType): number | undefined =>
  READABLE.find((row) => row.element === element)?.ggufType ?? undefined;

export const ggufTypeName = (id: number): string => OTHER_TYPES[id] ?? `type ${id}`;

/** Names of the supported tensor types, for errors. */
export const SUPPORTED_GGUF_TYPES = [
  ...WEIGHT_FORMATS.filter((format) => format.ggufType !== null).map((format) => format.name),
  'I8',
  'I32',
].join(', ');

export const GGUF_MAGIC = 0x46554747; // "GGUF" read as a little-endian u32
export const DEFAULT_ALIGNMENT = 32;
/** Headers beyond this are refused: the largest vocabularies in use take some 20 MB. */
export const MOST_HEADER_BYTES = 2 ** 27;
export const MOST_NAME_BYTES = 2 ** 16 - 1;
export const MOST_AXES = 4;
