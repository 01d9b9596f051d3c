/**
 * Tensor: a lazy value. Functions on tensors grow a graph; asking for data (or `evaluate`) compiles
 * and runs it on the tensor's device. Memory goes back when a tensor is disposed or collected.
 */

import { input } from '../ir/build.ts';
import type { DType, ElementType } from '../ir/dtype.ts';
import { dtypeName, isPacked } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import type { Value } from '../ir/graph.ts';
import { type Elements, elementsOf } from '../ir/host-tensor.ts';
import { byteLength, elementCount, type Shape, type TensorType } from '../ir/shape.ts';
import { evaluate } from './evaluate.ts';
import { bindStorage, type Storage, storageOf } from './storage.ts';

/** Nested arrays of numbers or booleans, as `tolist` gives them and `np.array` takes them. */
export type NestedArray = number | boolean | readonly NestedArray[];

/** A multi-dimensional array of one element type. Made by `np.array` and the other numpy functions. */
export class Tensor {
  #value: Value;

  /** @internal Wraps a graph value; users call `np.array`. */
  constructor(value: Value) {
    this.#value = value;
  }

  /** A tensor over memory that is filled already. */
  static from(type: TensorType, storage: Storage): Tensor {
    const leaf = input(0, 'data', type.dtype, type.shape);
    bindStorage(leaf, storage);
    return new Tensor(leaf);
  }

  /** The graph value that this tensor stands for. */
  get value(): Value {
    return this.#value;
  }

  get type(): TensorType {
    return this.#value.type;
  }

  get shape(): Shape {
    return this.type.shape;
  }

  get dtype(): ElementType {
    return this.type.dtype;
  }

  get ndim(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return elementCount(this.shape);
  }

  get sizeBytes(): number {
    return byteLength(this.type);
  }

  /** True where the data is known and not disposed. */
  get isEvaluated(): boolean {
    return storageOf(this.#value)?.isDisposed === false;
  }

  /** Computes the tensor now, if it was not. Throws UNSUPPORTED_OP, OUT_OF_MEMORY, DISPOSED. */
  async evaluate(): Promise<this> {
    await evaluate([this]);
    return this;
  }

  /** @internal Forgets how the tensor was made once its value lies in memory. */
  settle(storage: Storage): void {
    bindStorage(this.#value, storage);
    const leaf = input(0, 'data', this.dtype, this.shape);
    bindStorage(leaf, storage);
    this.#value = leaf;
  }

  /** The raw little-endian bytes, copied. Packed tensors come as their blocks. */
  async bytes(): Promise<Uint8Array> {
    await evaluate([this]);
    return storageOf(this.#value)!.bytes().slice(0, this.sizeBytes);
  }

  /** The elements in row-major order, copied; f16 and bf16 come as f32, bool as 0 and 1. */
  async data(): Promise<Elements> {
    if (isPacked(this.dtype)) {
      throw new BitloomError(
        'DTYPE_MISMATCH',
        `data() of a ${dtypeName(this.dtype)} tensor has no plain elements; dequantize it, or read bytes()`,
      );
    }
    return elementsOf({ type: this.type, bytes: await this.bytes() });
  }

  /** Nested arrays; a number for a tensor without axes; booleans for bool. */
  async tolist(): Promise<NestedArray> {
    const flat = await this.data();
    const element = (i: number): NestedArray => (this.dtype === 'bool' ? flat[i] !== 0 : flat[i]!);
    const nest = (axis: number, offset: number, stride: number): NestedArray => {
      if (axis === this.ndim) return element(offset);
      const inner = stride / Math.max(1, this.shape[axis]!);
      return Array.from({ length: this.shape[axis]! }, (_, i) => nest(axis + 1, offset + i * inner, inner));
    };
    return nest(0, 0, this.size);
  }

  /** The only element of a tensor of size 1. Throws SHAPE_MISMATCH. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new BitloomError('SHAPE_MISMATCH', `item() needs one element, the shape is [${this.shape.join(', ')}]`);
    return (await this.data())[0]!;
  }

  /** Frees the memory now. Tensors that were to be computed from it fail with DISPOSED. May be called twice. */
  dispose(): void {
    const storage = storageOf(this.#value);
    if (storage === undefined || storage.isDisposed) return;
    storage.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Tensor(${dtypeName(this.dtype)}[${this.shape.join(', ')}])`;
  }
}

/** The element type as a plain one. Throws DTYPE_MISMATCH for packed tensors. */
export function plainDType(x: Tensor, operation: string): DType {
  if (isPacked(x.dtype)) {
    throw new BitloomError(
      'DTYPE_MISMATCH',
      `${operation} needs plain elements, not ${dtypeName(x.dtype)}; dequantize first`,
      { dtype: x.dtype.name },
    );
  }
  return x.dtype;
}
