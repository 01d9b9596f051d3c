/**
 * Composites of small layers: normalisation, softmax, gates, embedding. Each runs anywhere through
 * its decomposition, computed in f32; a target may have a kernel for it. See also rope.ts, attention.ts.
 */
import {
  add,
  broadcast,
  cast,
  div,
  erf,
  exp,
  full,
  gather,
  logistic,
  mul,
  reduceMax,
  reduceSum,
  rsqrt,
  sub,
  tanh,
} from './build.ts';
import type { DType } from './dtype.ts';
import { type Attributes, apply, type Op, type Value } from './graph.ts';
import {
  axisAttr,
  booleanAttr,
  defineOp,
  numberAttr,
  type OpRow,
  requireDType,
  requireSameDType,
  requireSameShape,
  requireShape,
} from './op/rule.ts';
import type { TensorType } from './shape.ts';

/** Axes of `x` without `axis`. */
const others = (x: Value, axis: number): number[] => x.type.shape.map((_, i) => i).filter((i) => i !== axis);
const like = (x: Value, value: number): Value => full('f32', x.type.shape, value);
/** A value of the shape without `axis`, repeated along it to the shape of `x`. */
const along = (reduced: Value, x: Value, axis: number): Value => broadcast(reduced, x.type.shape, others(x, axis));
const onLastAxis = (weight: Value, x: Value): Value =>
  broadcast(cast(weight, 'f32'), x.type.shape, [x.type.shape.length - 1]);
const resultLike = (result: Value, x: Value): Value => cast(result, x.type.dtype as DType);

/** Mean over the last axis, repeated along it. */
function lastMean(x: Value): Value {
  const axis = x.type.shape.length - 1;
  const sum = reduceSum(x, [axis]);
  return along(mul(sum, like(sum, 1 / x.type.shape[axis]!)), x, axis);
}

/** A row for x [..., dim] float and vectors [dim] float; the result is like x. */
const normRow = (arity: number, meaning: string): OpRow => ({
  arity,
  groups: ['composite'],
  meaning,
  infer(inputs, attrs, name) {
    const [x, ...vectors] = inputs as [TensorType, ...TensorType[]];
    numberAttr(attrs, 'eps');
    for (const type of inputs) requireDType(name, type, 'float');
    const fits = x.shape.length > 0 && vectors.every((t) => t.shape.length === 1 && t.shape[0] === x.shape.at(-1));
    requireShape(fits, name, 'needs x [..., dim] and vectors [dim]', inputs);
    return x;
  },
});

const rmsNormRow = normRow(
  2,
  'x [..., dim] / sqrt(mean(x^2) + eps) * (weight [dim] + weightOffset, which is 0 if absent)',
);

/** What a `rms_norm` adds to its weights. */
export const weightOffset = (attrs: Attributes): number =>
  attrs.weightOffset === undefined ? 0 : numberAttr(attrs, 'weightOffset');

export const rmsNormOp: Op = defineOp(
  'rms_norm',
  {
    ...rmsNormRow,
    infer(inputs, attrs, name) {
      weightOffset(attrs);
      return rmsNormRow.infer(inputs, attrs, name);
    },
  },
  ([x, weight], attrs) => {
    const wide = cast(x!, 'f32');
    const scale = rsqrt(add(lastMean(mul(wide, wide)), like(wide, numberAttr(attrs, 'eps'))));
    const gain = onLastAxis(weight!, wide);
    const offset = weightOffset(attrs);
    return resultLike(mul(mul(wide, scale), offset === 0 ? gain : add(gain, like(wide, offset))), x!);
  },
);
/**
 * x [..., dim] over its root mean square, times weight [dim] + offset: 0, or 1 where weights are stored as the
 * distance from 1 (Gemma). Source: Zhang & Sennrich 2019.
 */
export const rmsNorm = (x: Value, weight: Value, eps: number, offset = 0): Value =>
  apply(rmsNormOp, [x, weight], offset === 0 ? { eps } : { eps, weightOffset: offset });

export const layerNormOp: Op = defineOp(
  'layer_norm',
  normRow(3, '(x - mean) / sqrt(variance + eps) * weight [dim] + bias [dim] over the last axis of x'),
  ([x, weight, bias], attrs) => {
    const wide = cast(x!, 'f32');
    const centred = sub(wide, lastMean(wide));
    const scale = rsqrt(add(lastMean(mul(centred, centred)), like(wide, numberAttr(attrs, 'eps'))));
    const scaled = mul(mul(centred, scale), onLastAxis(weight!, wide));
    return resultLike(add(scaled, onLastAxis(bias!, wide)), x!);
  },
);
/** x [..., dim] made zero-mean and unit-variance, times weight [dim], plus bias [dim]. Source: Ba et al. 2016. */
export const layerNorm = (x: Value, weight: Value, bias: Value, eps: number): Value =>
  apply(layerNormOp, [x, weight, bias], { eps });

export const softmaxOp: Op = defineOp(
  'softmax',
  {
    arity: 1,
    groups: ['composite'],
    meaning: 'e^(x - max) over its sum along `axis`',
    infer([x], attrs, name) {
      requireDType(name, x!, 'float');
      axisAttr(attrs, x!.shape.length);
      return x!;
    },
  },
  ([x], attrs) => {
    const axis = numberAttr(attrs, 'axis');
    const wide = cast(x!, 'f32');
    const powers = exp(sub(wide, along(reduceMax(wide, [axis]), wide, axis)));
    return resultLike(div(powers, along(reduceSum(powers, [axis]), wide, axis)), x!);
  },
);
/** Probabilities along `axis`; a lane that is all -Infinity gives NaN. */
export const softmax = (x: Value, axis: number): Value => apply(softmaxOp, [x], { axis });

const elementwiseRow = (arity: number, meaning: string, check: OpRow['infer'] = ([x]) => x!): OpRow => ({
  arity,
  groups: ['composite', 'elementwise'],
  meaning,
  infer(inputs, attrs, name) {
    for (const type of inputs) requireDType(name, type, 'float');
    requireSameDType(name, inputs);
    requireSameShape(name, inputs);
    return check(inputs, attrs, name);
  },
});

export const siluOp: Op = defineOp('silu', elementwiseRow(1, 'x * logistic(x)'), ([x]) => {
  const wide = cast(x!, 'f32');
  return resultLike(mul(wide, logistic(wide)), x!);
});
/** x * logistic(x), also called swish. */
export const silu = (x: Value): Value => apply(siluOp, [x]);

export const swigluOp: Op = defineOp('swiglu', elementwiseRow(2, 'silu(gate) * up'), ([gate, up]) => {
  const wide = silu(cast(gate!, 'f32'));
  return resultLike(mul(wide, cast(up!, 'f32')), gate!);
});
/** silu(gate) * up, the gate of Llama's feed-forward layer. Source: Shazeer 2020. */
export const swiglu = (gate: Value, up: Value): Value => apply(swigluOp, [gate, up]);

export const geluOp: Op = defineOp(
  'gelu',
  elementwiseRow(1, 'x * Phi(x); with `tanh` by its tanh approximation', ([x], attrs) => {
    booleanAttr(attrs, 'tanh');
    return x!;
  }),
  ([x], attrs) => {
    const wide = cast(x!, 'f32');
    const cubic = add(wide, mul(like(wide, 0.044715), mul(wide, mul(wide, wide))));
    const inner = attrs.tanh
      ? tanh(mul(like(wide, Math.sqrt(2 / Math.PI)), cubic))
      : erf(mul(wide, like(wide, Math.SQRT1_2)));
    return resultLike(mul(mul(wide, like(wide, 0.5)), add(inner, like(wide, 1))), x!);
  },
);
/** x * Phi(x), Phi the normal distribution; exact, or the tanh form of GPT-2. Source: Hendrycks & Gimpel 2016. */
export const gelu = (x: Value, approximate: 'none' | 'tanh' = 'none'): Value =>
  apply(geluOp, [x], { tanh: approximate === 'tanh' });

export const embeddingOp: Op = defineOp(
  'embedding',
  {
    arity: 2,
    groups: ['composite', 'index'],
    meaning: 'rows of table [vocabSize, dim] number `tokens` [seqLen] i32 as f32 [seqLen, dim]; tokens clamped',
    infer(inputs, _, name) {
      const [table, tokens] = inputs as [TensorType, TensorType];
      requireDType(name, table, 'float');
      requireDType(name, tokens, 'integer');
      requireShape(
        table.shape.length === 2 && tokens.shape.length === 1,
        name,
        'needs a table [vocabSize, dim] and tokens [seqLen]',
        inputs,
      );
      return { dtype: 'f32', shape: [tokens.shape[0]!, table.shape[1]!] };
    },
  },
  ([table, tokens]) => cast(gather(table!, tokens!, 0), 'f32'),
);
/**
 * Rows of a float table [vocabSize, dim] for tokens [seqLen] i32, as f32 [seqLen, dim]. A packed table
 * needs no composite of its own: `gather` takes its rows and dequantizing them follows.
 */
export const embedding = (table: Value, tokens: Value): Value => apply(embeddingOp, [table, tokens]);
