/**
 * Attention over a key/value cache as a composite: grouped query heads, causal or not, with an
 * optional soft cap of scores and sliding window ("Attention Is All You Need", 2017; GQA, 2023).
 */
import {
  add,
  and,
  broadcast,
  cast,
  div,
  dotGeneral,
  full,
  gt,
  iota,
  le,
  mul,
  reshape,
  select,
  tanh,
  transpose,
} from './build.ts';
import { type Attributes, apply, type Op, type Value } from './graph.ts';
import { softmax } from './layer-composites.ts';
import { booleanAttr, defineOp, numberAttr, requireDType, requireSameDType, requireShape } from './op/rule.ts';

/** Options of `attention`. */
export interface AttentionOptions {
  /** Factor on scores; 1 / sqrt(headDim) if absent. */
  readonly scale?: number;
  /** Row i sees positions 0..start + i; else every row sees 0..start + seqLen - 1. Default true. */
  readonly causal?: boolean;
  /** Scores become cap * tanh(score / cap). */
  readonly softCap?: number;
  /** Row i sees its last `window` positions only, its own included. */
  readonly window?: number;
}

/** bool [seqLen, context]: which cache positions each query row sees. */
function visible(start: Value, seqLen: number, context: number, attrs: Attributes): Value {
  const shape = [seqLen, context];
  const position = iota('i32', shape, 1);
  const first = broadcast(start, shape, [1]);
  const own = add(first, iota('i32', shape, 0));
  const last = booleanAttr(attrs, 'causal') ? own : add(first, full('i32', shape, seqLen - 1));
  const known = le(position, last);
  if (attrs.window === null) return known;
  return and(known, gt(add(position, full('i32', shape, numberAttr(attrs, 'window'))), own));
}

function decompose([q, k, v, start]: readonly Value[], attrs: Attributes): Value {
  const [seqLen, nHeads, headDim] = q!.type.shape as readonly [number, number, number];
  const [nKvHeads, context] = k!.type.shape as readonly [number, number, number];
  const group = nHeads / nKvHeads;
  const grouped = reshape(q!, [seqLen, nKvHeads, group, headDim]);
  const raw = dotGeneral(grouped, cast(k!, 'f32'), {
    lhsBatch: [1],
    rhsBatch: [0],
    lhsContract: [3],
    rhsContract: [2],
  });
  const shape = [nKvHeads, seqLen, group, context];
  const scaled = mul(raw, full('f32', shape, numberAttr(attrs, 'scale')));
  const cap = attrs.softCap === null ? undefined : full('f32', shape, numberAttr(attrs, 'softCap'));
  const scores = cap ? mul(cap, tanh(div(scaled, cap))) : scaled;
  const mask = broadcast(visible(start!, seqLen, context, attrs), shape, [1, 3]);
  const weights = softmax(select(mask, scores, full('f32', shape, -Infinity)), 3);
  const mixed = dotGeneral(weights, cast(v!, 'f32'), {
    lhsBatch: [0],
    rhsBatch: [0],
    lhsContract: [3],
    rhsContract: [1],
  });
  return reshape(transpose(mixed, [1, 0, 2, 3]), [seqLen, nHeads, v!.type.shape[2]!]);
}

export const attentionOp: Op = defineOp(
  'attention',
  {
    arity: 4,
    groups: ['composite'],
    meaning:
      'rows of q [seqLen, nHeads, headDim] f32 attend to caches k, v [nKvHeads, context, headDim] from position ' +
      '`start` i32[1] on; head h reads cache head floor(h * nKvHeads / nHeads)',
    infer(inputs, attrs, name) {
      const [q, k, v, start] = inputs;
      numberAttr(attrs, 'scale');
      booleanAttr(attrs, 'causal');
      for (const key of ['softCap', 'window']) if (attrs[key] !== null) numberAttr(attrs, key);
      const [, nHeads, headDim] = q!.shape;
      const [nKvHeads, context] = k!.shape;
      const ranksFit = q!.shape.length === 3 && k!.shape.length === 3 && v!.shape.length === 3;
      requireShape(ranksFit, name, 'needs q [seqLen, nHeads, headDim] and k, v [nKvHeads, context, headDim]', inputs);
      const cacheFits = k!.shape[2] === headDim && v!.shape[0] === nKvHeads && v!.shape[1] === context;
      requireShape(cacheFits && nHeads! % nKvHeads! === 0, name, 'heads, head sizes or contexts do not fit', inputs);
      requireShape(start!.shape.length === 1 && start!.shape[0] === 1, name, 'start must be i32[1]', inputs);
      requireSameDType(`${name} start`, [start!, { dtype: 'i32', shape: [] }]);
      requireSameDType(`${name} q`, [q!, { dtype: 'f32', shape: [] }]);
      requireDType(name, k!, 'float');
      requireSameDType(`${name} cache`, [k!, v!]);
      return { dtype: 'f32', shape: [q!.shape[0]!, nHeads!, v!.shape[2]!] };
    },
  },
  decompose,
);

/**
 * Attends q [seqLen, nHeads, headDim] f32 to the caches k, v [nKvHeads, context, headDim] (f32, f16 or bf16),
 * which hold the rows of this call from position `start` i32[1] on. Gives [seqLen, nHeads, headDim] f32.
 */
export const attention = (q: Value, k: Value, v: Value, start: Value, options: AttentionOptions = {}): Value =>
  apply(attentionOp, [q, k, v, start], attentionAttributes(q.type.shape.at(-1)!, options));

/** The attributes of attention with heads of `headDim`. */
export function attentionAttributes(headDim: number, options: AttentionOptions): Attributes {
  const { scale = 1 / Math.sqrt(headDim), causal = true, softCap = null, window = null } = options;
  return { scale, causal, softCap, window };
}
