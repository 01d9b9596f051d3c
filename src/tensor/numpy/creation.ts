/** Functions that make tensors. */
import * as build from '../../ir/build.ts';
import type { DType } from '../../ir/dtype.ts';
import { BitloomError } from '../../ir/error.ts';
import { type Elements, hostTensor } from '../../ir/host-tensor.ts';
import { elementCount, type Shape } from '../../ir/shape.ts';
import type { Device } from '../device.ts';
import { Storage } from '../storage.ts';
import { type NestedArray, Tensor } from '../tensor.ts';
import { add, astype, multiply } from './elementwise.ts';

export interface ArrayOptions {
  /** Default: the typed array's own type; bool for booleans; else f32. */
  readonly dtype?: DType;
  /** Default: the nesting of the arrays. */
  readonly shape?: Shape;
  /** Default: decided by the first program that reads the tensor. */
  readonly device?: Device;
}

function dtypeOfElements(array: ArrayLike<number | boolean>): DType {
  if (array instanceof Int32Array) return 'i32';
  if (array instanceof Uint32Array) return 'u32';
  if (array instanceof Int8Array) return 'i8';
  if (array instanceof Uint8Array) return 'u8';
  return array.length > 0 && typeof array[0] === 'boolean' ? 'bool' : 'f32';
}

function nestedShape(nested: NestedArray): number[] {
  if (typeof nested === 'number' || typeof nested === 'boolean') return [];
  return nested.length === 0 ? [0] : [nested.length, ...nestedShape(nested[0]!)];
}

function flatten(nested: NestedArray, shape: Shape, axis: number, into: (number | boolean)[]): void {
  if (typeof nested === 'number' || typeof nested === 'boolean') {
    if (axis !== shape.length) throw raggedArray(shape);
    into.push(nested);
    return;
  }
  if (nested.length !== shape[axis]) throw raggedArray(shape);
  for (const inner of nested) flatten(inner, shape, axis + 1, into);
}

const raggedArray = (shape: Shape): BitloomError =>
  new BitloomError('SHAPE_MISMATCH', `nested arrays have different lengths; [${shape.join(', ')}] was begun`, {
    shape,
  });

/** A tensor of numbers, nested arrays or a typed array; copied. Throws SHAPE_MISMATCH. */
export function array(data: NestedArray | Elements, options: ArrayOptions = {}): Tensor {
  const isTyped = ArrayBuffer.isView(data);
  const natural = isTyped ? [data.length] : nestedShape(data);
  const flat: (number | boolean)[] = [];
  if (!isTyped) flatten(data, natural, 0, flat);
  const elements = isTyped ? data : flat;
  const host = hostTensor(
    options.dtype ?? dtypeOfElements(elements),
    options.shape ?? natural,
    elements as ArrayLike<number>,
  );
  const storage = Storage.inHost(host.bytes.slice());
  if (options.device !== undefined) storage.on(options.device);
  return Tensor.from(host.type, storage);
}

export const full = (
  shape: Shape,
  value: number | boolean,
  dtype: DType = typeof value === 'boolean' ? 'bool' : 'f32',
): Tensor => new Tensor(build.full(dtype, shape, Number(value)));
export const zeros = (shape: Shape, dtype: DType = 'f32'): Tensor => full(shape, 0, dtype);
export const ones = (shape: Shape, dtype: DType = 'f32'): Tensor => full(shape, 1, dtype);
export const zerosLike = (x: Tensor): Tensor => zeros(x.shape, x.dtype as DType);
export const onesLike = (x: Tensor): Tensor => ones(x.shape, x.dtype as DType);

/** Evenly spaced values from start (0) to before stop. i32 where all arguments are integers, else f32. */
export function arange(startOrStop: number, stop?: number, step = 1, dtype?: DType): Tensor {
  const [start, end] = stop === undefined ? [0, startOrStop] : [startOrStop, stop];
  if (step === 0) throw new BitloomError('INVALID_ARGUMENT', 'arange needs a step other than 0');
  const count = Math.max(0, Math.ceil((end - start) / step));
  const natural = [start, end, step].every(Number.isInteger) ? 'i32' : 'f32';
  const counter = new Tensor(build.iota(natural, [count], 0));
  return astype(add(multiply(counter, step), start), dtype ?? natural);
}

/** `count` evenly spaced values from start to stop, both included. */
export function linspace(start: number, stop: number, count = 50): Tensor {
  const values = Array.from({ length: count }, (_, i) =>
    count === 1 ? start : start + ((stop - start) * i) / (count - 1),
  );
  return array(values, { dtype: 'f32', shape: [count] });
}

/** The identity matrix, [n, m], with ones `k` above the diagonal. */
export function eye(n: number, m = n, k = 0, dtype: DType = 'f32'): Tensor {
  const row = build.iota('i32', [n, m], 0);
  const column = build.iota('i32', [n, m], 1);
  const isOn = build.eq(build.add(row, build.full('i32', [n, m], k)), column);
  return new Tensor(build.cast(isOn, dtype));
}

/** Lower triangle: zero above the k-th diagonal of the last two axes. */
export const tril = (x: Tensor, k = 0): Tensor => triangle(x, (row, column) => build.ge(row, column), k);
/** Upper triangle: zero below the k-th diagonal of the last two axes. */
export const triu = (x: Tensor, k = 0): Tensor => triangle(x, (row, column) => build.le(row, column), k);

function triangle(
  x: Tensor,
  keep: (row: ReturnType<typeof build.iota>, column: ReturnType<typeof build.iota>) => ReturnType<typeof build.iota>,
  k: number,
): Tensor {
  if (x.ndim < 2)
    throw new BitloomError('SHAPE_MISMATCH', `tril and triu need two axes, the shape is [${x.shape.join(', ')}]`);
  const row = build.add(build.iota('i32', x.shape, x.ndim - 2), build.full('i32', x.shape, k));
  const mask = keep(row, build.iota('i32', x.shape, x.ndim - 1));
  const zero = build.full(x.dtype as DType, x.shape, 0);
  return new Tensor(elementCount(x.shape) === 0 ? x.value : build.select(mask, x.value, zero));
}
