/**
 * How far a result may be from its reference. The interpreter rounds once from double precision, so
 * most ops are exact; elementary functions of different libraries differ by a last bit.
 */
import type { Op } from '../graph.ts';

/**
 * `exact`: the same bits, any NaN for NaN; `value`: the same but for signs of zeros; `ulps`: so many steps of
 * the result type; `relative`: absolute error over the greatest finite expected magnitude.
 */
export type Bound =
  | { readonly kind: 'exact' }
  | { readonly kind: 'value' }
  | { readonly kind: 'ulps'; readonly ulps: number }
  | { readonly kind: 'relative'; readonly error: number };

const exact: Bound = { kind: 'exact' };
const value: Bound = { kind: 'value' };
const oneUlp: Bound = { kind: 'ulps', ulps: 1 };
/** Several f32 roundings in a row, in units of the greatest result. */
const layer: Bound = { kind: 'relative', error: 1e-6 };

/** Bounds by op name; all others are exact. */
export const BOUNDS: Readonly<Record<string, Bound>> = {
  exp: oneUlp,
  expm1: oneUlp,
  log: oneUlp,
  log1p: oneUlp,
  sin: oneUlp,
  cos: oneUlp,
  tan: oneUlp,
  tanh: oneUlp,
  erf: oneUlp,
  logistic: oneUlp,
  rsqrt: oneUlp,
  pow: oneUlp,
  atan2: oneUlp,
  sign: value,
  max: value,
  min: value,
  reduce_max: value,
  reduce_min: value,
  cummax: value,
  cummin: value,
  reduce_sum: oneUlp,
  reduce_prod: oneUlp,
  cumsum: oneUlp,
  cumprod: oneUlp,
  dot_general: oneUlp,
  conv: oneUlp,
  scatter: layer, // each update rounds, the reference once
  rms_norm: layer,
  layer_norm: layer,
  softmax: layer,
  silu: layer,
  swiglu: layer,
  gelu: layer,
  rope: layer,
  attention: layer,
};

export const boundOf = (op: Op): Bound => BOUNDS[op.name] ?? exact;
