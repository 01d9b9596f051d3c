import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Expr } from './expression.ts';
import { runKernel } from './interpret.ts';
import { KernelBuilder } from './language.ts';
import * as math from './math.ts';

type Unary = (k: KernelBuilder, x: Expr) => Expr;
type Binary = (k: KernelBuilder, a: Expr, b: Expr) => Expr;

/** Runs a function over columns of equal length, in vectors and a scalar tail. */
function run(f: (k: KernelBuilder, ...x: Expr[]) => Expr, ...columns: number[][]): Float32Array {
  const k = new KernelBuilder('math', 4);
  const inputs = columns.map((_, i) => k.buffer(`x${i}`, 'read'));
  const out = k.buffer('out', 'write');
  const count = columns[0]!.length;
  k.vectorLoop(0, count, (i, lanes) => {
    k.storeAt(out, 'f32', i, f(k, ...inputs.map((x) => k.let(k.loadAt(x, 'f32', i, lanes)))));
  });
  const result = new Float32Array(count);
  runKernel(k.finish(), [
    ...columns.map((c) => new Uint8Array(Float32Array.from(c).buffer)),
    new Uint8Array(result.buffer),
  ]);
  return result;
}

/** The f32 step at |x|, at least the least denormal. */
const ulp = (x: number): number => 2 ** Math.max(-149, Math.floor(Math.log2(Math.abs(x))) - 23);

const SPECIAL = [
  0,
  -0,
  1,
  -1,
  0.5,
  2,
  -2,
  3,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
  2 ** -149,
  -(2 ** -140),
  2 ** -126,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  88.7,
  88.8,
  -87.4,
  -103,
  -104,
  104.5,
  1e-8,
  -1e-8,
  0.99999994,
  1.0000001,
  4.5,
  10.5,
];

/** Deterministic spread of magnitudes and signs. */
function spread(count: number, exponents: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const u = (i * 0.6180339887498949) % 1;
    return Math.fround((i % 2 ? -1 : 1) * (1 + ((i * 0.7548776662) % 1)) * 2 ** Math.round((u - 0.5) * exponents));
  });
}

function expectClose(
  actual: Float32Array,
  inputs: number[][],
  exact: (...x: number[]) => number,
  bound: { ulp?: number; absolute?: number },
): void {
  actual.forEach((value, i) => {
    const args = inputs.map((column) => Math.fround(column[i]!));
    const wanted = exact(...args);
    const rounded = Math.fround(wanted);
    const context = `f(${args}) = ${value}, not ${wanted}`;
    if (!Number.isFinite(rounded) || rounded === 0)
      expect(Object.is(value, rounded) || Math.abs(value) <= (bound.absolute ?? 0) + 3e-45, context).toBe(true);
    else
      expect(Math.abs(value - wanted), context).toBeLessThanOrEqual(bound.absolute ?? bound.ulp! * ulp(wanted) + 3e-45);
  });
}

/** erf by its Maclaurin series, or the continued fraction of erfc. */
function erf(x: number): number {
  if (Number.isNaN(x) || x === 0) return x;
  if (Math.abs(x) > 6) return Math.sign(x);
  if (Math.abs(x) < 2) {
    let [sum, term] = [0, x];
    for (let n = 0; n < 60; n++) {
      sum += term / (2 * n + 1);
      term *= -(x * x) / (n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 200; n >= 1; n--) fraction = n / 2 / (Math.abs(x) + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / (Math.abs(x) + fraction));
}

const functions: [keyof typeof math.MATH_ERROR, Unary, (x: number) => number, number][] = [
  ['exp', math.exp, Math.exp, 16],
  ['expm1', math.expm1, Math.expm1, 40],
  ['log', math.log, Math.log, 250],
  ['log1p', math.log1p, Math.log1p, 60],
  ['tanh', math.tanh, Math.tanh, 40],
  ['logistic', math.logistic, (x) => 1 / (1 + Math.exp(-x)), 16],
  ['erf', math.erf, erf, 30],
  ['rsqrt', math.rsqrt, (x) => 1 / Math.sqrt(x), 240],
];

describe('unary functions', () => {
  it.each(functions)('%s stays within its bound, special values included', (name, f, exact, exponents) => {
    const x = [...SPECIAL, ...spread(1500, exponents)];
    expectClose(run(f, x), [x], exact, math.MATH_ERROR[name]);
  });

  it.each([
    ['sin', math.sin, Math.sin],
    ['cos', math.cos, Math.cos],
  ] as const)('%s holds its absolute bound up to 131072', (name, f, exact) => {
    const x = [
      ...SPECIAL.filter((v) => !(Math.abs(v) > 131072 && Number.isFinite(v))),
      ...spread(1500, 32),
      131072,
      -131072,
      102943.7,
    ];
    expectClose(run(f, x), [x], exact, math.MATH_ERROR[name]);
  });

  it('expNegative stays within its bound down to -87, and is 0 below', () => {
    const x = [0, -0, -87, ...spread(1500, 16).map((v) => -Math.abs(v))].filter((v) => v >= -87);
    expectClose(run(math.expNegative, x), [x], Math.exp, math.MATH_ERROR.expNegative);
    expect([...run(math.expNegative, [-87.1, -3e38, Number.NEGATIVE_INFINITY])]).toEqual([0, 0, 0]);
  });

  it('keeps sine within -1..1 however large the argument', () => {
    for (const y of run(math.sin, [1e6, 3e9, 1e20, -3e38])) expect(Math.abs(y)).toBeLessThanOrEqual(1);
  });

  it('keeps the sign of zero in odd functions', () => {
    for (const odd of [math.sin, math.tan, math.tanh, math.erf, math.expm1, math.log1p]) {
      expect([...run(odd, [-0, 0])]).toEqual([-0, 0]);
    }
  });

  it('gives tangent as the quotient of sine and cosine', () => {
    const x = spread(600, 12);
    run(math.tan, x).forEach((y, i) => {
      expect(Math.abs(y - Math.tan(x[i]!))).toBeLessThanOrEqual(1e-6 * (1 + Math.tan(x[i]!) ** 2));
    });
  });

  it('takes signs and keeps zeros and NaN', () => {
    expect([...run(math.sign, [3, -0.1, 0, -0, Number.NaN])]).toEqual([1, -1, 0, -0, Number.NaN]);
  });
});

/** pow of C99: unlike Math.pow, 1^NaN and (-1)^infinity are 1. */
const powOfC = (a: number, b: number): number =>
  a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY) ? 1 : a ** b;

describe('binary functions', () => {
  const grid = SPECIAL.flatMap((a) => SPECIAL.map((b) => [a, b] as const));
  const [left, right] = [grid.map(([a]) => a), grid.map(([, b]) => b)];

  it('pow agrees with C on special values and stays within its bound elsewhere', () => {
    const a = [...left, ...spread(1500, 60).map(Math.abs), ...spread(300, 6)];
    const b = [...right, ...spread(1500, 10), ...spread(300, 6).map(Math.round)];
    expectClose(run(math.pow, a, b), [a, b], powOfC, math.MATH_ERROR.pow);
  });

  it('atan2 agrees with Math.atan2 in every quadrant', () => {
    const a = [...left, ...spread(1000, 40)];
    const b = [...right, ...spread(1001, 40).slice(1)];
    expectClose(run(math.atan2, a, b), [a, b], Math.atan2, math.MATH_ERROR.atan2);
  });

  it('rem is exact', () => {
    expectClose(run(math.rem, left, right), [left, right], (a, b) => a % b, { ulp: 0 });
    const float = () => fc.float({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(float(), float()), { minLength: 5, maxLength: 9 }), (pairs) => {
        const [a, b] = [pairs.map((p) => p[0]), pairs.map((p) => p[1])];
        const f: Binary = math.rem;
        expect([...run(f, a, b)]).toEqual(pairs.map(([x, y]) => x % y));
      }),
      { numRuns: 40 },
    );
  });
});
