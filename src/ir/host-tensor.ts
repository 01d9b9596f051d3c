/** Tensors in host memory: little-endian row-major bytes with a type, and their decoded elements. */
import { DTYPE_BYTES, type DType, isPacked } from './dtype.ts';
import { BitloomError } from './error.ts';
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from './float16.ts';
import { byteLength, elementCount, type Shape, type TensorType } from './shape.ts';

/** A tensor value outside any device. f16, bf16 and packed elements are raw bits in `bytes`. */
export interface HostTensor {
  readonly type: TensorType;
  readonly bytes: Uint8Array;
}

/** Elements in a form that JavaScript computes with: f16 and bf16 as exact f32, packed as raw bytes. */
export type Elements = Float32Array | Int32Array | Uint32Array | Int8Array | Uint8Array;

/** Makes room for the decoded elements of a type, all zero. */
export function makeElements(type: TensorType): Elements {
  if (isPacked(type.dtype)) return new Uint8Array(byteLength(type));
  const count = elementCount(type.shape);
  switch (type.dtype) {
    case 'f32':
    case 'f16':
    case 'bf16':
      return new Float32Array(count);
    case 'i32':
      return new Int32Array(count);
    case 'u32':
      return new Uint32Array(count);
    case 'i8':
      return new Int8Array(count);
    case 'u8':
    case 'bool':
      return new Uint8Array(count);
  }
}

/** Rounds f32 elements to the nearest value of a 16-bit float type in place; other types stay. */
export function roundElements(dtype: TensorType['dtype'], elements: Elements): Elements {
  const n = elements.length;
  if (dtype === 'f16') for (let i = 0; i < n; i++) elements[i] = f16ToNumber(numberToF16(elements[i]!));
  if (dtype === 'bf16') for (let i = 0; i < n; i++) elements[i] = bf16ToNumber(numberToBf16(elements[i]!));
  return elements;
}

/** A plain loop: `Float32Array.from` with a function takes twenty times as long. */
function decodeWords(words: Uint16Array, decode: (bits: number) => number): Float32Array {
  const elements = new Float32Array(words.length);
  for (let i = 0; i < words.length; i++) elements[i] = decode(words[i]!);
  return elements;
}

function encodeWords(elements: Elements, encode: (value: number) => number): Uint16Array {
  const words = new Uint16Array(elements.length);
  for (let i = 0; i < elements.length; i++) words[i] = encode(elements[i]!);
  return words;
}

/** Decodes a host tensor. The result may share memory with its bytes; callers must not write to it. */
export function elementsOf({ type, bytes }: HostTensor): Elements {
  const { dtype } = type;
  if (bytes.byteLength !== byteLength(type)) {
    throw new BitloomError('SHAPE_MISMATCH', `a tensor of ${byteLength(type)} bytes came with ${bytes.byteLength}`);
  }
  if (isPacked(dtype) || dtype === 'u8' || dtype === 'bool') return bytes;
  const isAligned = bytes.byteOffset % DTYPE_BYTES[dtype] === 0;
  const { buffer, byteOffset } = isAligned ? bytes : bytes.slice();
  const count = elementCount(type.shape);
  switch (dtype) {
    case 'f32':
      return new Float32Array(buffer, byteOffset, count);
    case 'i32':
      return new Int32Array(buffer, byteOffset, count);
    case 'u32':
      return new Uint32Array(buffer, byteOffset, count);
    case 'i8':
      return new Int8Array(buffer, byteOffset, count);
    case 'f16':
      return decodeWords(new Uint16Array(buffer, byteOffset, count), f16ToNumber);
    case 'bf16':
      return decodeWords(new Uint16Array(buffer, byteOffset, count), bf16ToNumber);
  }
}

/** Bytes of decoded elements. May share memory with them. f16 and bf16 round to nearest even. */
export function bytesOf(dtype: TensorType['dtype'], elements: Elements): Uint8Array {
  const isNarrow = dtype === 'f16' || dtype === 'bf16';
  const bits = isNarrow ? encodeWords(elements, dtype === 'f16' ? numberToF16 : numberToBf16) : elements;
  return new Uint8Array(bits.buffer as ArrayBuffer, bits.byteOffset, bits.byteLength);
}

/** Makes a host tensor of numbers; integers wrap, bool is 0 or 1. Throws SHAPE_MISMATCH if the count is off. */
export function hostTensor(dtype: DType, shape: Shape, values: ArrayLike<number>): HostTensor {
  const type = { dtype, shape };
  const elements = makeElements(type);
  if (values.length !== elements.length) {
    throw new BitloomError(
      'SHAPE_MISMATCH',
      `[${shape.join(', ')}] holds ${elements.length} elements, not ${values.length}`,
    );
  }
  elements.set(dtype === 'bool' ? Array.from(values, (v) => (v ? 1 : 0)) : values);
  return { type, bytes: bytesOf(dtype, elements) };
}
