/**
 * Rows of elementwise ops. Operands have equal shapes: broadcasting is a visible `broadcast`.
 * Integers wrap modulo 2^bits. `associative` is the algebraic property; float rounding is not.
 */
import type { OpGroup } from '../graph.ts';
import {
  type DTypeClass,
  defineOps,
  elementAttr,
  type OpRow,
  requireDType,
  requireSameDType,
  requireSameShape,
} from './rule.ts';

/** A row of one or two operands of one type whose result has that type. */
const same = (arity: number, operands: DTypeClass, meaning: string, ...groups: OpGroup[]): OpRow => ({
  arity,
  groups: ['elementwise', ...groups],
  meaning,
  infer(inputs, _, name) {
    for (const type of inputs) requireDType(name, type, operands);
    requireSameDType(name, inputs);
    requireSameShape(name, inputs);
    return inputs[0]!;
  },
});

/** A row whose result is bool. */
const test = (arity: number, operands: DTypeClass, meaning: string, ...groups: OpGroup[]): OpRow => {
  const row = same(arity, operands, meaning, ...groups);
  return { ...row, infer: (inputs, attrs, name) => ({ dtype: 'bool', shape: row.infer(inputs, attrs, name).shape }) };
};

export const unaryOps = defineOps({
  neg: same(1, 'numeric', '-x', 'involution'),
  abs: same(1, 'numeric', '|x|; the least signed integer stays as it is', 'idempotent'),
  sign: same(1, 'numeric', '-1, 0 or 1; keeps -0 and NaN', 'idempotent'),
  floor: same(1, 'float', 'greatest integer <= x', 'idempotent'),
  ceil: same(1, 'float', 'least integer >= x', 'idempotent'),
  round: same(1, 'float', 'nearest integer, halves to even', 'idempotent'),
  sqrt: same(1, 'float', 'square root; NaN below 0'),
  rsqrt: same(1, 'float', '1 / sqrt(x)'),
  exp: same(1, 'float', 'e^x'),
  expm1: same(1, 'float', 'e^x - 1, exact near 0'),
  log: same(1, 'float', 'natural logarithm; NaN below 0'),
  log1p: same(1, 'float', 'log(1 + x), exact near 0'),
  sin: same(1, 'float', 'sine of radians'),
  cos: same(1, 'float', 'cosine of radians'),
  tan: same(1, 'float', 'tangent of radians'),
  tanh: same(1, 'float', 'hyperbolic tangent'),
  erf: same(1, 'float', 'error function'),
  logistic: same(1, 'float', '1 / (1 + e^-x)'),
  not: same(1, 'bits', 'logical not of bool, bitwise not of integers', 'involution'),
  is_finite: test(1, 'float', 'neither infinite nor NaN'),
});

export const binaryOps = defineOps({
  add: same(2, 'numeric', 'a + b', 'commutative', 'associative'),
  sub: same(2, 'numeric', 'a - b'),
  mul: same(2, 'numeric', 'a * b', 'commutative', 'associative'),
  div: same(2, 'numeric', 'a / b; integers truncate toward 0 and x / 0 has all bits set'),
  rem: same(2, 'numeric', 'a - b * trunc(a / b), sign of a; integers: x rem 0 is x'),
  pow: same(2, 'numeric', 'a^b as in C; integers wrap, a negative exponent truncates 1 / a^-b, and 0^-n is 0'),
  max: same(2, 'numeric', 'the greater; NaN if either is NaN; +0 over -0', 'commutative', 'associative', 'idempotent'),
  min: same(2, 'numeric', 'the lesser; NaN if either is NaN; -0 over +0', 'commutative', 'associative', 'idempotent'),
  atan2: same(2, 'float', 'angle of the point (x = b, y = a) in -pi..pi'),
  and: same(2, 'bits', 'logical or bitwise and', 'commutative', 'associative', 'idempotent'),
  or: same(2, 'bits', 'logical or bitwise or', 'commutative', 'associative', 'idempotent'),
  xor: same(2, 'bits', 'logical or bitwise exclusive or', 'commutative', 'associative'),
  shift_left: same(2, 'integer', 'a << b; 0 if b, read as unsigned, is not below the bit count'),
  shift_right: same(2, 'integer', 'a >> b, filled with the sign (signed) or 0; b as in shift_left'),
});

export const compareOps = defineOps({
  eq: test(2, 'plain', 'a = b; false if either is NaN', 'compare', 'commutative'),
  ne: test(2, 'plain', 'not a = b; true if either is NaN', 'compare', 'commutative'),
  lt: test(2, 'plain', 'a < b; false if either is NaN', 'compare'),
  le: test(2, 'plain', 'a <= b; false if either is NaN', 'compare'),
  gt: test(2, 'plain', 'a > b; false if either is NaN', 'compare'),
  ge: test(2, 'plain', 'a >= b; false if either is NaN', 'compare'),
});

const select: OpRow = {
  arity: 3,
  groups: ['elementwise'],
  meaning: 'a where the condition holds, else b',
  infer([condition, a, b], _, name) {
    requireDType(name, condition!, 'bool');
    requireDType(name, a!, 'plain');
    requireSameDType(name, [a!, b!]);
    requireSameShape(name, [condition!, a!, b!]);
    return a!;
  },
};

const cast: OpRow = {
  arity: 1,
  groups: ['elementwise'],
  meaning:
    'value as `dtype`: floats round to nearest even; float to integer truncates, saturates, NaN gives 0; ' +
    'integer to integer wraps; to bool is x != 0 (NaN is true)',
  infer([x], attrs, name) {
    requireDType(name, x!, 'plain');
    const type = { dtype: elementAttr(attrs), shape: x!.shape };
    requireDType(name, type, 'plain');
    return type;
  },
};

export const choiceOps = defineOps({ select, cast });
