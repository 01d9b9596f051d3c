/**
 * Operations that WebAssembly has no instruction for, as expressions over those it has. They hold for
 * one lane and for vectors alike. Results are those of the kernel interpreter, bit for bit (any NaN for NaN).
 */
import {
  add,
  and,
  type BinaryOp,
  binary,
  type Expr,
  i32,
  mul,
  or,
  select,
  shl,
  shrU,
  sub,
  unary,
} from '../../kernel/expression.ts';

/** Computes a value once and names it. */
export type Bind = (value: Expr) => Expr;

const asFloat = (e: Expr): Expr => unary('bits_f32', e);
const asInt = (e: Expr): Expr => unary('bits_i32', e);
const F32_INFINITY = 0x7f800000;

/**
 * binary16 -> f32. Shifted into the fields of an f32, sign extended, the value is 2^112 too small, denormals
 * included; infinities and NaN come out at or above 2^16 and get the exponent they need.
 */
export function f16ToF32(operand: Expr, bind: Bind): Expr {
  const isLoad = operand.kind === 'load' && operand.memory === 'u16';
  const extended = isLoad ? shl({ ...operand, memory: 'i16' }, 13) : binary('shr_s', shl(operand, 16), 3);
  const fields = and(extended, 0x8fffe000 | 0);
  const scaled = bind(mul(asFloat(fields), 2 ** 112));
  const isSpecial = binary('ge', unary('abs', scaled), 2 ** 16);
  return asFloat(or(asInt(scaled), select(isSpecial, F32_INFINITY, 0)));
}

/** f32 -> binary16, round to nearest even; beyond 65504 infinity, NaN stays NaN. */
export function f32ToF16(operand: Expr, bind: Bind): Expr {
  const bits = bind(asInt(operand));
  const magnitude = bind(and(bits, 0x7fffffff));
  const halfway = add(0xfff, and(shrU(magnitude, 13), 1));
  const normal = shrU(add(magnitude, sub(halfway, 112 << 23)), 13);
  // One unit in the last place of 0.5 is 2^-24, the step of binary16 denormals: the sum rounds to it.
  const denormal = sub(asInt(add(asFloat(magnitude), 0.5)), 0x3f000000);
  const finite = select(binary('lt', magnitude, 113 << 23), denormal, normal);
  const infinite = select(binary('gt', magnitude, F32_INFINITY), 0x7e00, 0x7c00);
  const fits = binary('lt', magnitude, 0x477ff000);
  return or(select(fits, finite, infinite), and(shrU(bits, 16), 0x8000));
}

const SCALAR_COMPARE: Partial<Record<BinaryOp, BinaryOp>> = { min: 'lt', max: 'gt', min_u: 'lt_u', max_u: 'gt_u' };

/** Smaller or greater of two scalar integers; undefined for other operations. */
export function scalarExtremum(op: BinaryOp, a: Expr, b: Expr, bind: Bind): Expr | undefined {
  const compare = SCALAR_COMPARE[op];
  if (!compare) return undefined;
  const [x, y] = [bind(a), bind(b)];
  return select(binary(compare, x, y), x, y);
}

/** Scalar integer operations that have vector instructions only; undefined for other operations. */
export function scalarUnary(op: string, operand: Expr, bind: Bind): Expr | undefined {
  if (op === 'neg') return sub(i32(0), operand);
  if (op === 'not') return binary('xor', operand, -1);
  if (op !== 'abs') return undefined;
  const a = bind(operand);
  return select(binary('lt', a, 0), sub(i32(0), a), a);
}
