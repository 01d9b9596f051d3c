/**
 * How operands of different types meet: JAX's rules. A JavaScript number or boolean is weak and
 * takes the tensor's type; f16 with bf16 gives f32; an integer with a float gives the float.
 */
import { broadcastTo, cast, scalar } from '../ir/build.ts';
import { type DType, isFloat } from '../ir/dtype.ts';
import type { Value } from '../ir/graph.ts';
import { broadcastShapes } from '../ir/shape.ts';
import { plainDType, Tensor } from './tensor.ts';

/** What numpy functions take: a tensor, or a number or boolean that adapts to the other operand. */
export type TensorLike = Tensor | number | boolean;

/** Order within each kind; the wider of two wins. */
const INTEGER_WIDTH: Partial<Record<DType, number>> = { bool: 0, u8: 1, i8: 1, u32: 2, i32: 3 };

/** The type that both convert to. u8 with i8 and u32 with any signed integer give i32. */
export function promoteDTypes(a: DType, b: DType): DType {
  if (a === b) return a;
  if (isFloat(a) && isFloat(b)) return 'f32';
  if (isFloat(a)) return a;
  if (isFloat(b)) return b;
  if ((a === 'u8' && b === 'i8') || (a === 'i8' && b === 'u8')) return 'i32';
  if ((a === 'u32' && b === 'i8') || (a === 'i8' && b === 'u32')) return 'i32';
  return INTEGER_WIDTH[a]! > INTEGER_WIDTH[b]! ? a : b;
}

/** The type of a number alone: f32 unless it is boolean; integers stay exact up to 2^24 in it. */
const literalDType = (x: number | boolean): DType => (typeof x === 'boolean' ? 'bool' : 'f32');

function commonDType(operands: readonly TensorLike[], operation: string): DType {
  const tensors = operands.filter((x) => x instanceof Tensor);
  const literals = operands.filter((x): x is number | boolean => !(x instanceof Tensor));
  if (tensors.length === 0) return literals.map(literalDType).reduce(promoteDTypes);
  const dtype = tensors.map((x) => plainDType(x, operation)).reduce(promoteDTypes);
  const needsFloat = literals.some((x) => typeof x === 'number' && !Number.isInteger(x));
  if (needsFloat && !isFloat(dtype)) return 'f32';
  return dtype === 'bool' && literals.some((x) => typeof x === 'number') ? 'i32' : dtype;
}

export function toValue(x: TensorLike, dtype: DType): Value {
  return x instanceof Tensor ? cast(x.value, dtype) : scalar(dtype, Number(x));
}

/** A tensor of anything: numbers become f32 scalars, booleans bool scalars. */
export const asTensor = (x: TensorLike): Tensor =>
  x instanceof Tensor ? x : new Tensor(scalar(literalDType(x), Number(x)));

/** Operands as values of one type and one shape, as NumPy broadcasts them. Throws SHAPE_MISMATCH, DTYPE_MISMATCH. */
export function unifyOperands(
  operands: readonly TensorLike[],
  operation: string,
  dtype = commonDType(operands, operation),
): Value[] {
  const values = operands.map((x) => toValue(x, dtype));
  const shape = broadcastShapes(...values.map((value) => value.type.shape));
  return values.map((value) => broadcastTo(value, shape));
}

/** A value as a float one: integers and bool become f32. */
export function toFloat(x: TensorLike, operation: string): Value {
  const tensor = asTensor(x);
  const dtype = plainDType(tensor, operation);
  return cast(tensor.value, isFloat(dtype) ? dtype : 'f32');
}
