/**
 * Which values of a program every target must compute bit by bit, and how far the others may be off.
 * Inexact are elementary functions (bounds of kernel/math.ts), float sums and products in another order,
 * and what depends on them. Their tolerance is measured: the reference runs again with every inexact
 * result (and every summand) moved by its bound, up or down at random, and sees how far outputs go.
 */
import { add, constant, mul } from '../../ir/build.ts';
import { type DType, isFloat } from '../../ir/dtype.ts';
import { expandComposites } from '../../ir/expand.ts';
import { apply, type Graph, type Value } from '../../ir/graph.ts';
import { elementCount } from '../../ir/shape.ts';
import { numbersFrom } from '../../kernel/testing/index.ts';
import { mapGraph } from '../pass/pass.ts';

/** Bounds of inexact ops in units in the last place of f32, as a part of the result. */
const RESULT_ULPS: Readonly<Record<string, number>> = {
  exp: 2,
  expm1: 3,
  log: 2,
  log1p: 4,
  tanh: 4,
  logistic: 4,
  erf: 4,
  pow: 12,
  atan2: 4,
  rsqrt: 2,
  tan: 16,
  sin: 2,
  cos: 2,
  reduce_sum: 1,
  reduce_prod: 1,
  cumsum: 1,
  cumprod: 1,
  dot_general: 1,
  conv: 1,
};

/** Ops whose operands are moved: their rounding errors go with the operands, not with the result. */
const SUMS: ReadonlySet<string> = new Set(['reduce_sum', 'reduce_prod', 'cumsum', 'cumprod', 'dot_general', 'conv']);
const SUMMAND_ULPS = 4;

/** Absolute errors of functions that cross zero where their argument is large. */
const ABSOLUTE: Readonly<Record<string, number>> = { sin: 2e-7, cos: 2e-7, tan: 4e-7 };

/** Ops whose result jumps: they are only asked of exact operands. */
const JUMPS: ReadonlySet<string> = new Set([
  'floor',
  'ceil',
  'round',
  'sign',
  'is_finite',
  'rem',
  'atan2',
  'pow',
  'argmax',
  'argmin',
  'argsort',
  'quantize',
  'bitcast',
  'eq',
  'ne',
  'lt',
  'le',
  'gt',
  'ge',
]);

/** Scatters of 16-bit floats may round after each update or once. */
const isShortScatter = ({ op, type }: Value): boolean =>
  op.name === 'scatter' && (type.dtype === 'f16' || type.dtype === 'bf16');

export const isInexactOp = (value: Value): boolean =>
  isFloat(value.type.dtype) && (value.op.name in RESULT_ULPS || isShortScatter(value));

/** Whether an op may be asked of an operand that targets compute with a small error. */
export const jumps = (name: string, to?: DType): boolean =>
  JUMPS.has(name) || (name === 'cast' && to !== undefined && !isFloat(to));

/** The size of one unit in the last place, relative to the number. */
const ULP: Partial<Record<DType, number>> = { f32: 2 ** -23, f16: 2 ** -10, bf16: 2 ** -7 };
export const ulpOf = (dtype: DType): number => ULP[dtype] ?? 0;

/** Values of a graph of primitives whose elements may differ in their last places. */
export function inexactValues(values: Iterable<Value>): Set<Value> {
  const found = new Set<Value>();
  for (const value of values) {
    const depends = isFloat(value.type.dtype) && value.inputs.some((v) => found.has(v));
    if (depends || isInexactOp(value)) found.add(value);
  }
  return found;
}

/** Draws from -1..-0.5 and 0.5..1: sizes differ, so that errors seldom cancel by chance. */
type Direction = () => number;

function moved(value: Value, ulps: number, absolute: number, direction: Direction): Value {
  const dtype = value.type.dtype as DType;
  const { shape } = value.type;
  const signs = () => Array.from({ length: elementCount(shape) }, direction);
  const size = Math.max(ulps * 2 ** -23, ulpOf(dtype));
  const scaled = mul(
    value,
    constant(
      dtype,
      shape,
      signs().map((s) => 1 + s * size),
    ),
  );
  return absolute === 0
    ? scaled
    : add(
        scaled,
        constant(
          dtype,
          shape,
          signs().map((s) => s * absolute),
        ),
      );
}

/**
 * The program with every inexact value moved by its bound, at random. The same seed with the other sign
 * moves everything the other way: between the two, what can jump across zero does.
 */
export function perturbed(graph: Graph, seed: number, sign: 1 | -1): Graph {
  const numbers = numbersFrom(seed);
  const next: Direction = () => {
    const draw = numbers();
    return (draw % 2 === 0 ? sign : -sign) * (0.5 + (draw >>> 8) / 2 ** 25);
  };
  const inexact = new Set<Value>();
  return mapGraph(expandComposites(graph), (value) => {
    const dtype = value.type.dtype;
    const isSum = (SUMS.has(value.op.name) && isFloat(dtype)) || isShortScatter(value);
    if (!isInexactOp(value) && !(isFloat(dtype) && value.inputs.some((v) => inexact.has(v)))) return value;
    const operands = isSum
      ? value.inputs.map((v) => (isFloat(v.type.dtype) ? moved(v, SUMMAND_ULPS, 0, next) : v))
      : value.inputs;
    const again = isSum ? apply(value.op, operands, value.attrs) : value;
    const result = moved(again, RESULT_ULPS[value.op.name] ?? 1, ABSOLUTE[value.op.name] ?? 0, next);
    inexact.add(result);
    return result;
  });
}
