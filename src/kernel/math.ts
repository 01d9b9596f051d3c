/**
 * Elementary functions in the kernel language, for f32 of any lanes. They use only operations whose
 * result does not depend on whether `fma` rounds once or twice beyond the bounds in `MATH_ERROR`.
 * Method: exact argument reduction (Cody and Waite, Software Manual for the Elementary Functions,
 * 1980), then polynomials interpolated at Chebyshev nodes of the reduced range.
 */
import { add, and, binary, div, type Expr, fma, max, min, mul, or, select, shl, sub, unary } from './expression.ts';
import type { KernelBuilder } from './language.ts';

/**
 * Greatest error of each function in units in the last place of the correctly rounded result, in its
 * normal range; `absolute` in plain numbers. Results below 2^-126 may lose the bits of one denormal step.
 * `sin`, `cos` and `tan` hold for |x| <= 131072; beyond, sine and cosine stay within -1..1.
 */
export const MATH_ERROR = {
  exp: { ulp: 2 },
  expNegative: { ulp: 2 },
  expm1: { ulp: 3 },
  log: { ulp: 2 },
  log1p: { ulp: 4 },
  tanh: { ulp: 4 },
  logistic: { ulp: 4 },
  erf: { ulp: 4 },
  pow: { ulp: 12 },
  atan2: { ulp: 4 },
  rsqrt: { ulp: 2 },
  sin: { absolute: 2e-7 },
  cos: { absolute: 2e-7 },
} as const;

const LN2_HIGH = 355 / 512; // few bits, so that its product with an exponent is exact
const LN2_LOW = -2.1219444005471377e-4;
/** pi/2 in parts of 7 bits: their products with integers up to 2^17 are exact. */
const HALF_PI = [1.578125, -0.00732421875, -4.470348358154297e-6, 1.5893254712295857e-8] as const;

/** e^r = 1 + r + r^2 * EXP(r) for |r| <= ln(2) / 2. */
const EXP = [0.5, 0.166666672, 0.0416664556, 0.00833331048, 0.00139345415, 0.000198919806];
/** log(1 + f) = f - f^2 / 2 + f^3 * LOG(f) for sqrt(1/2) <= 1 + f <= sqrt(2). */
const LOG = [
  0.333333343, -0.249999896, 0.200000092, -0.166680291, 0.142865866, -0.124500439, 0.110359125, -0.106504351,
  0.10546194, -0.0621060468,
];
/** sin r = r + r^3 * SIN(r^2) and cos r = 1 - r^2 / 2 + r^4 * COS(r^2) for |r| <= pi / 4. */
const SIN = [-0.166666672, 0.00833333191, -0.000198399895, 0.00000272375769];
const COS = [0.0416666679, -0.00138888881, 0.0000248005199, -2.72906533e-7];
/** atan r = r + r^3 * ATAN(r^2) for |r| <= tan(pi / 8). */
const ATAN = [-0.333333313, 0.199995399, -0.142639309, 0.107434675, -0.0645105466];
/** erf x = x * ERF(x^2) for |x| <= 1; erf x = 1 - exp(-ERFC(x)) for 1 <= x <= 4. */
const ERF = [
  1.12837923, -0.376126379, 0.112837821, -0.0268654302, 0.00522103161, -0.000848408032, 0.000112659589,
  -0.00000966704465,
];
const ERFC = [
  -0.000304947869, 1.13016963, 0.63193965, 0.109968327, -0.0263546668, 0.00473510521, -0.000591340067, 0.0000453815737,
  -0.00000160153729,
];

/** Horner's rule. */
const polynomial = (x: Expr, coefficients: readonly number[]): Expr =>
  coefficients.slice(0, -1).reduceRight<Expr | number>((sum, c) => fma(sum, x, c), coefficients.at(-1)!) as Expr;

const asInt = (x: Expr): Expr => unary('bits_i32', x);
const asFloat = (x: Expr): Expr => unary('bits_f32', x);
const isNotNumber = (x: Expr): Expr => binary('ne', x, x);
const either = (a: Expr, b: Expr): Expr => binary('or', a, b);
const both = (a: Expr, b: Expr): Expr => binary('and', a, b);
const SIGN_BIT = -0x80000000;

/** |magnitude| with the sign of `sign`; the magnitude must not be negative. */
const withSignOf = (magnitude: Expr, sign: Expr): Expr => asFloat(or(asInt(magnitude), and(asInt(sign), SIGN_BIT)));

/** 2^n for whole n in -127..127 (0 at -127). */
const powerOfTwo = (n: Expr): Expr => asFloat(shl(add(n, 127), 23));

/** Splits x = n ln 2 + r with |r| <= ln(2) / 2. */
function reduceExponent(k: KernelBuilder, x: Expr): { n: Expr; r: Expr } {
  const n = k.let(unary('nearest', mul(x, Math.LOG2E)));
  return { n, r: k.let(sub(sub(x, mul(n, LN2_HIGH)), mul(n, LN2_LOW))) };
}

/** e^x; exact limits 0 and infinity; denormal results are rounded once more. */
export function exp(k: KernelBuilder, x: Expr): Expr {
  const { n, r } = reduceExponent(k, k.let(min(max(x, -104), 89)));
  const p = add(fma(mul(r, r), polynomial(r, EXP), r), 1);
  const whole = k.let(unary('to_i32', n));
  const half = k.let(binary('shr_s', whole, 1));
  return mul(mul(p, powerOfTwo(half)), powerOfTwo(sub(whole, half)));
}

/** Adding this to a float of magnitude below 2^22 leaves it rounded to an integer in the lowest bits. */
const ROUNDER = 1.5 * 2 ** 23;

/**
 * e^x for x <= 0, exactly 0 below -87: what softmax needs, in two thirds of the operations of `exp` and
 * half of the instructions. NaN gives any number.
 */
export function expNegative(k: KernelBuilder, x: Expr): Expr {
  const rounded = k.let(fma(x, Math.LOG2E, ROUNDER));
  const n = k.let(sub(rounded, ROUNDER));
  const r = k.let(fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x)));
  const p = add(fma(mul(r, r), polynomial(r, EXP), r), 1);
  const power = asFloat(add(asInt(p), shl(asInt(rounded), 23)));
  return select(binary('lt', x, -87), 0, power);
}

/** e^x - 1, accurate near 0. */
export function expm1(k: KernelBuilder, x: Expr): Expr {
  const { n, r } = reduceExponent(k, k.let(min(max(x, -80), 89)));
  const p = fma(mul(r, r), polynomial(r, EXP), r);
  const half = k.let(powerOfTwo(sub(unary('to_i32', n), 1)));
  const result = mul(fma(half, p, sub(half, 0.5)), 2);
  return select(binary('lt', unary('abs', x), 2 ** -24), x, result);
}

/** Splits a positive normal x into 2^exponent * (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2). */
function splitExponent(k: KernelBuilder, x: Expr): { exponent: Expr; f: Expr } {
  const isDenormal = k.let(binary('lt', x, 2 ** -126));
  const bits = k.let(asInt(select(isDenormal, mul(x, 2 ** 23), x)));
  const shifted = k.let(add(bits, 0x3f800000 - 0x3f3504f3)); // so that mantissas wrap at sqrt(1/2)
  const biased = sub(binary('shr_s', shifted, 23), 127);
  const exponent = k.let(unary('to_f32', sub(biased, select(isDenormal, 23, 0))));
  const mantissa = asFloat(add(and(shifted, 0x007fffff), 0x3f3504f3));
  return { exponent, f: k.let(sub(mantissa, 1)) };
}

/** Natural logarithm of x > 0 as an unevaluated sum high + low, good to 2^-29 beyond `high`. */
function logSum(k: KernelBuilder, x: Expr): { high: Expr; low: Expr } {
  const { exponent, f } = splitExponent(k, x);
  // f^2 / 2 in two exact parts: the high half of f has 12 bits.
  const top = k.let(asFloat(and(asInt(f), -0x1000)));
  const rest = k.let(sub(f, top));
  const square = k.let(mul(mul(top, top), 0.5));
  const difference = k.let(sub(f, square));
  const lost = sub(sub(sub(f, difference), square), mul(rest, fma(rest, 0.5, top)));
  const tail = fma(mul(mul(f, f), f), polynomial(f, LOG), lost);
  const whole = k.let(mul(exponent, LN2_HIGH));
  const high = k.let(add(whole, difference));
  // The sum's rounding error, for either operand being the larger (Knuth's two-sum).
  const added = k.let(sub(high, whole));
  const error = add(sub(whole, sub(high, added)), sub(difference, added));
  return { high, low: k.let(add(fma(exponent, LN2_LOW, tail), error)) };
}

/** Natural logarithm; -infinity at 0, NaN below. */
export function log(k: KernelBuilder, x: Expr): Expr {
  const { high, low } = logSum(k, x);
  const infinity = Number.POSITIVE_INFINITY;
  const positive = select(binary('lt', x, infinity), add(high, low), x);
  const others = select(binary('eq', x, 0), constantLike(x, -infinity), constantLike(x, Number.NaN));
  return select(binary('gt', x, 0), positive, others);
}

/** A number in the type of `x`. */
const constantLike = (x: Expr, value: number): Expr => ({ kind: 'const', type: x.type, value });

/** log(1 + x), accurate near 0. */
export function log1p(k: KernelBuilder, x: Expr): Expr {
  const u = k.let(add(x, 1));
  const corrected = mul(log(k, u), div(x, sub(u, 1))); // Kahan: the rounding of 1 + x cancels
  const isExact = either(binary('eq', u, 1), binary('eq', x, Number.POSITIVE_INFINITY));
  return select(isExact, x, corrected);
}

/** Hyperbolic tangent. */
export function tanh(k: KernelBuilder, x: Expr): Expr {
  const grown = k.let(expm1(k, k.let(mul(min(unary('abs', x), 10), 2))));
  return withSignOf(div(grown, add(grown, 2)), x);
}

/** 1 / (1 + e^-x), without overflow on either side. */
export function logistic(k: KernelBuilder, x: Expr): Expr {
  const decay = k.let(exp(k, unary('neg', unary('abs', x))));
  const numerator = select(binary('lt', x, 0), decay, constantLike(x, 1));
  return div(numerator, add(decay, 1));
}

/** Error function. */
export function erf(k: KernelBuilder, x: Expr): Expr {
  const size = k.let(min(unary('abs', x), 4));
  const near = mul(x, polynomial(k.let(mul(x, x)), ERF));
  const far = sub(1, exp(k, k.let(unary('neg', polynomial(size, ERFC)))));
  return select(binary('lt', size, 1), near, withSignOf(far, x));
}

/** Splits x = quadrant * pi/2 + r with |r| about <= pi/4. */
function reduceQuadrant(k: KernelBuilder, x: Expr): { quadrant: Expr; r: Expr } {
  const n = k.let(unary('nearest', mul(x, 2 / Math.PI)));
  const rest = HALF_PI.reduce<Expr>((r, part) => sub(r, mul(n, part)), x);
  return { quadrant: k.let(unary('to_i32', n)), r: k.let(max(min(rest, 0.8), -0.8)) };
}

/** Sine and cosine of the reduced angle. */
function sineAndCosine(k: KernelBuilder, r: Expr): { sine: Expr; cosine: Expr } {
  const z = k.let(mul(r, r));
  const sine = k.let(fma(mul(z, r), polynomial(z, SIN), r));
  return { sine, cosine: k.let(fma(mul(z, z), polynomial(z, COS), fma(z, -0.5, constantLike(z, 1)))) };
}

/** The sine of `steps` more quarter turns. */
function turned(k: KernelBuilder, x: Expr, steps: number): Expr {
  const { quadrant, r } = reduceQuadrant(k, x);
  const { sine, cosine } = sineAndCosine(k, r);
  const turn = k.let(add(quadrant, steps));
  const value = select(binary('eq', and(turn, 1), 0), sine, cosine);
  return asFloat(binary('xor', asInt(value), shl(and(turn, 2), 30)));
}

/** `value`, but a zero x as it is: argument reduction loses the sign of -0, which odd functions keep. */
const keepZero = (x: Expr, value: Expr): Expr => select(binary('eq', x, 0), x, value);

export const sin = (k: KernelBuilder, x: Expr): Expr => keepZero(x, turned(k, x, 0));
export const cos = (k: KernelBuilder, x: Expr): Expr => turned(k, x, 1);

/** Tangent. */
export function tan(k: KernelBuilder, x: Expr): Expr {
  const { quadrant, r } = reduceQuadrant(k, x);
  const { sine, cosine } = sineAndCosine(k, r);
  const isEven = binary('eq', and(quadrant, 1), 0);
  return keepZero(x, select(isEven, div(sine, cosine), div(unary('neg', cosine), sine)));
}

/** Angle of the point (x, y) in -pi..pi, with the signs of zeros as in C. */
export function atan2(k: KernelBuilder, y: Expr, x: Expr): Expr {
  const [height, width] = [k.let(unary('abs', y)), k.let(unary('abs', x))];
  const isSteep = binary('gt', height, width);
  const isInfinite = both(binary('eq', height, width), binary('eq', width, Number.POSITIVE_INFINITY));
  const [small, large] = [k.let(min(height, width)), k.let(max(height, width))];
  const slope = div(small, select(binary('eq', large, 0), constantLike(x, 1), large));
  const ratio = k.let(select(isInfinite, constantLike(x, 1), slope));
  // Above tan(pi/8), atan t = pi/4 + atan((t - 1) / (t + 1)).
  const isWide = k.let(binary('gt', ratio, 0.41421356));
  const t = k.let(select(isWide, div(sub(ratio, 1), add(ratio, 1)), ratio));
  const z = k.let(mul(t, t));
  const folded = fma(mul(z, t), polynomial(z, ATAN), t);
  const octant = k.let(select(isWide, add(folded, Math.PI / 4), folded));
  const quarter = k.let(select(isSteep, sub(Math.PI / 2, octant), octant));
  const isLeft = binary('lt', asInt(x), 0);
  const half = select(isLeft, sub(Math.PI, quarter), quarter);
  return select(either(isNotNumber(x), isNotNumber(y)), add(x, y), withSignOf(half, y));
}

/** 1 / sqrt(x). */
export const rsqrt = (_: KernelBuilder, x: Expr): Expr => div(constantLike(x, 1), unary('sqrt', x));

/** -1, 0 or 1; keeps -0 and NaN. */
export const sign = (_: KernelBuilder, x: Expr): Expr =>
  select(binary('gt', unary('abs', x), 0), withSignOf(constantLike(x, 1), x), x);

/** |a|^b for finite positive |a|, by the logarithm in two parts. */
function positivePower(k: KernelBuilder, a: Expr, b: Expr): Expr {
  const sum = logSum(k, a);
  const high = k.let(add(sum.high, sum.low));
  const low = k.let(add(sub(sum.high, high), sum.low));
  const cut = (x: Expr): Expr => k.let(asFloat(and(asInt(x), -0x1000)));
  const product = k.let(mul(b, high));
  const [bTop, highTop] = [cut(b), cut(high)];
  const [bRest, highRest] = [k.let(sub(b, bTop)), k.let(sub(high, highTop))];
  // Dekker's product: what rounding b * high lost, and b * low.
  const crossed = add(mul(bTop, highRest), mul(bRest, highTop));
  const lost = add(add(sub(mul(bTop, highTop), product), crossed), fma(b, low, mul(bRest, highRest)));
  // Products just above ln(2^128) may belong below it: let the last multiplication decide.
  const limit = 88.72283172607422;
  const argument = k.let(select(binary('lt', product, 88.73), min(product, limit), product));
  const base = k.let(exp(k, argument));
  const isOrdinary = both(binary('gt', base, 0), binary('lt', base, Number.POSITIVE_INFINITY));
  return select(isOrdinary, fma(base, add(sub(product, argument), lost), base), base);
}

/** a^b as in C: 1^b and a^0 are 1 even for NaN; a negative a needs a whole b. */
export function pow(k: KernelBuilder, a: Expr, b: Expr): Expr {
  const infinity = Number.POSITIVE_INFINITY;
  const size = k.let(unary('abs', a));
  const isExtreme = either(binary('eq', size, 0), binary('eq', size, infinity));
  const isEndless = binary('eq', unary('abs', b), infinity);
  const grows = binary('xor', binary('gt', size, 1), binary('lt', b, 0));
  const limit = select(grows, constantLike(a, infinity), constantLike(a, 0));
  const ordinary = positivePower(k, size, b);
  const endless = select(binary('eq', size, 1), constantLike(a, 1), limit);
  const magnitude = k.let(select(isEndless, endless, select(isExtreme, limit, ordinary)));
  const isWhole = binary('eq', unary('trunc', b), b);
  const isSmall = binary('lt', unary('abs', b), 2 ** 24);
  const isOdd = both(isSmall, both(isWhole, binary('eq', and(unary('to_i32', b), 1), 1)));
  const signed = select(both(isOdd, binary('lt', asInt(a), 0)), unary('neg', magnitude), magnitude);
  const isRootOfNegative = both(both(binary('lt', a, 0), binary('gt', a, -infinity)), unary('not', isWhole));
  const isUndefined = either(isRootOfNegative, either(isNotNumber(a), isNotNumber(b)));
  const isOne = either(binary('eq', b, 0), binary('eq', a, 1));
  return select(isOne, constantLike(a, 1), select(isUndefined, constantLike(a, Number.NaN), signed));
}

/** The greatest b * 2^n, n whole, that is at most r; for r >= b > 0. */
function alignedBelow(k: KernelBuilder, r: Expr, b: Expr): Expr {
  // The quotient may overflow twice over: b can be a denormal and r near 2^128.
  const isHuge = (divisor: Expr): Expr => binary('eq', div(r, divisor), Number.POSITIVE_INFINITY);
  const once = k.let(select(isHuge(b), mul(b, 2 ** 100), b));
  const base = k.let(select(isHuge(once), mul(once, 2 ** 100), once));
  const quotient = asFloat(and(asInt(div(r, base)), 0x7f800000));
  const candidate = k.let(mul(base, quotient));
  return select(binary('gt', candidate, r), mul(candidate, 0.5), candidate);
}

/** a - b * trunc(a / b), exact, with the sign of a: long division, one bit of the quotient a step. */
export function rem(k: KernelBuilder, a: Expr, b: Expr): Expr {
  const infinity = Number.POSITIVE_INFINITY;
  const [size, divisor] = [k.let(unary('abs', a)), k.let(unary('abs', b))];
  const isDefined = k.let(both(binary('lt', size, infinity), binary('gt', divisor, 0)));
  const rest = k.variable(select(isDefined, size, constantLike(a, 0)));
  const isUnfinished = binary('ge', rest, divisor);
  const remains = (mask: Expr): Expr => unary('mask_to_i32', mask);
  const flags = remains(both(isDefined, isUnfinished));
  const any = a.type.lanes > 1 ? unary('reduce_max', flags) : flags;
  k.while(binary('ne', any, 0), () => {
    k.set(rest, select(isUnfinished, sub(rest, alignedBelow(k, rest, divisor)), rest));
  });
  return select(either(isNotNumber(b), unary('not', isDefined)), constantLike(a, Number.NaN), withSignOf(rest, a));
}
