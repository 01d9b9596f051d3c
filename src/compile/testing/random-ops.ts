/** How each op enters a random program: picks operands that fit, or makes them. */
import * as b from '../../ir/build.ts';
import * as composite from '../../ir/composites.ts';
import { DTYPE_BYTES, DTYPES, type DType, isFloat } from '../../ir/dtype.ts';
import { apply, type Value } from '../../ir/graph.ts';
import { binaryOps, compareOps, unaryOps } from '../../ir/op/elementwise.ts';
import { SCATTER_MODES } from '../../ir/op/indexing.ts';
import { cumulativeOps, orderingOps, reductionOps } from '../../ir/op/reduction.ts';
import { ops } from '../../ir/ops.ts';
import { ropeFrequencies } from '../../ir/rope.ts';
import { elementCount, type Shape } from '../../ir/shape.ts';
import { ACTIVATION_FORMATS, dequantize, linear, PACKED_FORMATS, quantize } from '../../quant/index.ts';
import { jumps } from './exactness.ts';
import type { ProgramGrower } from './random-graph.ts';

type RandomOp = (g: ProgramGrower) => Value[];

const INDICES: readonly DType[] = ['i32', 'i32', 'u8', 'u32', 'i8'];

/** Element types that a row of the op table takes, found by asking it. */
function typesOf(name: keyof typeof ops, arity: number): readonly DType[] {
  return DTYPES.filter((dtype) => {
    try {
      apply(
        ops[name],
        Array.from({ length: arity }, () => b.input(0, 'probe', dtype, [])),
      );
      return true;
    } catch {
      return false;
    }
  });
}

/** Functions whose bounds hold for moderate angles only. */
const TURNING: ReadonlySet<string> = new Set(['sin', 'cos', 'tan']);

function limited(x: Value): Value {
  const bound = (angle: number) => b.full(x.type.dtype as DType, x.type.shape, angle);
  return b.min(b.max(x, bound(-1000)), bound(1000));
}

const unary = (name: keyof typeof unaryOps): RandomOp => {
  const types = typesOf(name, 1);
  return (g) => {
    const x = g.operand((v) => g.mayApply(name, [v]), types);
    return [apply(ops[name], [TURNING.has(name) ? limited(x) : x])];
  };
};

const binary = (name: keyof typeof binaryOps | keyof typeof compareOps): RandomOp => {
  const types = typesOf(name, 2);
  return (g) => {
    const a = g.operand((v) => g.mayApply(name, [v]), types);
    const other = g.like(a.type.dtype as DType, a.type.shape, jumps(name));
    const operands = g.choices.flip() ? [a, other] : [other, a];
    return g.mayApply(name, operands) ? [apply(ops[name], operands)] : [];
  };
};

const axisOf = (g: ProgramGrower, x: Value): number => g.choices.below(x.type.shape.length);
const hasAxes = (v: Value): boolean => v.type.shape.length > 0;
const subset = (g: ProgramGrower, rank: number): number[] =>
  Array.from({ length: rank }, (_, i) => i).filter(() => g.choices.flip());

const reduction = (name: keyof typeof reductionOps): RandomOp => {
  const isArg = name === 'argmax' || name === 'argmin';
  const types = DTYPES.filter(
    (t) => isArg || (name === 'reduce_and' || name === 'reduce_or' ? !isFloat(t) : t !== 'bool'),
  );
  return (g) => {
    const canBeTamed = name !== 'reduce_prod';
    const x = canBeTamed
      ? g.operand((v) => hasAxes(v) && g.mayApply(name, [v]), types)
      : g.input(g.choices.pick(types), g.shape(), true);
    if (!isArg) return [apply(ops[name], [x], { axes: subset(g, x.type.shape.length) })];
    if (!hasAxes(x)) return [];
    const axis = axisOf(g, x);
    return x.type.shape[axis] === 0 ? [] : [apply(ops[name], [x], { axis })];
  };
};

const cumulative =
  (name: keyof typeof cumulativeOps): RandomOp =>
  (g) => {
    const numeric = DTYPES.filter((t) => t !== 'bool');
    const x =
      name === 'cumprod'
        ? g.input(g.choices.pick(numeric), [...g.shape().slice(0, 2), 5], true)
        : g.operand(hasAxes, numeric);
    return hasAxes(x) ? [apply(ops[name], [x], { axis: axisOf(g, x), reverse: g.choices.flip() })] : [];
  };

const ordering =
  (name: keyof typeof orderingOps): RandomOp =>
  (g) => {
    const x = g.operand((v) => hasAxes(v) && g.mayApply(name, [v]), DTYPES);
    return hasAxes(x) ? [apply(ops[name], [x], { axis: axisOf(g, x), descending: g.choices.flip() })] : [];
  };

/** Another shape with as many elements: axes merged, then one factored. */
function regrouped(g: ProgramGrower, shape: Shape): number[] {
  const result = [...shape];
  if (result.length > 1 && g.choices.flip()) {
    const at = g.choices.below(result.length - 1);
    result.splice(at, 2, result[at]! * result[at + 1]!);
  }
  const factor = g.choices.pick([2, 3, 4, 1, 7, 8]);
  const at = result.findIndex((d) => d > 0 && d % factor === 0);
  if (at >= 0 && result.length < 5)
    result.splice(at, 1, ...(g.choices.flip() ? [factor, result[at]! / factor] : [result[at]! / factor, factor]));
  return result;
}

function permutation(g: ProgramGrower, rank: number): number[] {
  const left = Array.from({ length: rank }, (_, i) => i);
  return Array.from({ length: rank }, () => left.splice(g.choices.below(left.length), 1)[0]!);
}

const views: Record<string, RandomOp> = {
  broadcast(g) {
    const x = g.operand((v) => v.type.shape.length < 4 && elementCount(v.type.shape) < 200);
    const shape: number[] = [];
    const axes: number[] = [];
    for (const d of x.type.shape) {
      if (g.choices.below(3) === 1) shape.push(g.choices.pick([2, 3, 1, 4]));
      axes.push(shape.length);
      shape.push(d === 1 && g.choices.flip() ? g.choices.pick([5, 2, 8]) : d);
    }
    return [b.broadcast(x, shape, axes)];
  },
  reshape: (g) => {
    const x = g.operand();
    return [b.reshape(x, regrouped(g, x.type.shape))];
  },
  transpose: (g) => {
    const x = g.operand((v) => v.type.shape.length > 1);
    return [b.transpose(x, permutation(g, x.type.shape.length))];
  },
  slice: (g) => {
    const x = g.operand(hasAxes);
    const starts = x.type.shape.map((d) => g.choices.below(d + 1));
    const limits = x.type.shape.map((d, i) => d - g.choices.below(d - starts[i]! + 1));
    return [
      b.slice(
        x,
        starts,
        limits,
        starts.map(() => 1 + g.choices.below(3)),
      ),
    ];
  },
  pad: (g) => {
    const x = g.operand();
    const sizes = () => x.type.shape.map(() => g.choices.below(3));
    const inner = g.choices.flip() ? sizes() : x.type.shape.map(() => 0);
    return [b.pad(x, g.like(x.type.dtype as DType, []), sizes(), sizes(), inner)];
  },
  reverse: (g) => {
    const x = g.operand(hasAxes);
    return [b.reverse(x, subset(g, x.type.shape.length))];
  },
  concat: (g) => {
    const x = g.operand(hasAxes);
    if (!hasAxes(x)) return [];
    const axis = axisOf(g, x);
    const parts = [x];
    while (parts.length < 2 + g.choices.below(2)) {
      parts.push(g.choices.flip() ? x : g.like(x.type.dtype as DType, x.type.shape.with(axis, g.choices.below(6))));
    }
    return [b.concat(parts, axis)];
  },
  bitcast: (g) => {
    // The bits of a computed NaN are a target's own: floats come from inputs only.
    const isPlainBits = (v: Value) => v.type.dtype !== 'bool' && (v.op.name === 'input' || !isFloat(v.type.dtype));
    const x = g.operand(isPlainBits);
    if (!isPlainBits(x)) return [];
    const from = DTYPE_BYTES[x.type.dtype as DType];
    const fits = DTYPES.filter(
      (t) => t !== 'bool' && (DTYPE_BYTES[t] <= from || x.type.shape.at(-1) === DTYPE_BYTES[t] / from),
    );
    // NaN patterns may change when f32 registers carry them, so integers stay integers.
    const safe = fits.filter((t) => !isFloat(t));
    return safe.length === 0 ? [] : [b.bitcast(x, g.choices.pick(safe))];
  },
};

const indexing: Record<string, RandomOp> = {
  gather: (g) => {
    const x = g.operand((v) => hasAxes(v) && !v.type.shape.includes(0));
    const indices = g.operand((v) => v.type.shape.length < 3 && elementCount(v.type.shape) < 40, INDICES);
    return hasAxes(x) && !x.type.shape.includes(0) ? [b.gather(x, indices, axisOf(g, x))] : [];
  },
  gather_along: (g) => {
    const x = g.operand((v) => hasAxes(v) && !v.type.shape.includes(0));
    if (!hasAxes(x) || x.type.shape.includes(0)) return [];
    const axis = axisOf(g, x);
    return [b.gatherAlong(x, g.like(g.choices.pick(INDICES), x.type.shape.with(axis, 1 + g.choices.below(6))), axis)];
  },
  scatter: (g) => {
    const mode = g.choices.pick(SCATTER_MODES);
    const x = g.operand(
      (v) => hasAxes(v) && !(mode === 'mul' && g.isInexact(v)),
      mode === 'set' ? DTYPES : DTYPES.filter((t) => t !== 'bool'),
    );
    if (!hasAxes(x)) return [];
    const axis = axisOf(g, x);
    const count = g.choices.below(6);
    const updates = g.like(x.type.dtype as DType, x.type.shape.with(axis, count));
    return [b.scatter(x, g.like(g.choices.pick(INDICES), [count]), updates, axis, mode)];
  },
  dynamic_slice: (g) => {
    const x = g.operand(hasAxes);
    return [
      b.dynamicSlice(
        x,
        x.type.shape.map(() => g.like(g.choices.pick(INDICES), [])),
        x.type.shape.map((d) => g.choices.below(d + 1)),
      ),
    ];
  },
  dynamic_update_slice: (g) => {
    const x = g.operand(hasAxes);
    const update = g.like(
      x.type.dtype as DType,
      x.type.shape.map((d) => g.choices.below(d + 1)),
    );
    return [
      b.dynamicUpdateSlice(
        x,
        update,
        x.type.shape.map(() => g.like(g.choices.pick(INDICES), [])),
      ),
    ];
  },
};

const leaves: Record<string, RandomOp> = {
  iota: (g) => {
    const shape = g.shape();
    return shape.length === 0
      ? []
      : [b.iota(g.choices.pick(DTYPES.filter((t) => t !== 'bool')), shape, g.choices.below(shape.length))];
  },
  random_bits: (g) => [b.randomBits(g.input('u32', [2]), g.shape())],
  constant: (g) => {
    const dtype = g.dtype();
    return [b.constant(dtype, [3], [1, 0, 2])];
  },
};

const contractions: Record<string, RandomOp> = {
  dot_general: (g) => {
    const [batch, m, n, k] = [
      g.choices.pick([1, 2, 3]),
      g.choices.pick([1, 5, 4, 9]),
      g.choices.pick([3, 1, 8, 17]),
      g.choices.pick([4, 1, 16, 33, 0]),
    ];
    const dtype = g.choices.pick(['f32', 'f32', 'f16', 'i8', 'i32', 'u8'] as const);
    const isSwapped = g.choices.flip();
    const lhs = g.like(dtype, isSwapped ? [k, batch, m] : [batch, m, k]);
    const rhs = g.like(dtype, [batch, n, k]);
    const axes = isSwapped ? { lhsBatch: [1], lhsContract: [0] } : { lhsBatch: [0], lhsContract: [2] };
    return [b.dotGeneral(lhs, rhs, { ...axes, rhsBatch: [0], rhsContract: [2] })];
  },
  conv: (g) => {
    const groups = g.choices.pick([1, 2]);
    const [channels, out] = [groups * g.choices.pick([1, 3]), groups * g.choices.pick([2, 1])];
    const rank = g.choices.pick([1, 2]);
    const sizes = (list: readonly number[]) => Array.from({ length: rank }, () => g.choices.pick(list));
    const dtype = g.choices.pick(['f32', 'i32', 'f16'] as const);
    const x = g.like(dtype, [1 + g.choices.below(2), channels, ...sizes([5, 1, 4, 8])]);
    const w = g.like(dtype, [out, channels / groups, ...sizes([2, 1, 3])]);
    return [
      b.conv(x, w, {
        groups,
        strides: sizes([1, 2]),
        padLow: sizes([0, 1, 2]),
        padHigh: sizes([1, 0]),
        lhsDilation: sizes([1, 2]),
        rhsDilation: sizes([1, 2]),
      }),
    ];
  },
};

const layers: Record<string, RandomOp> = {
  softmax: (g) => {
    const x = g.float((v) => hasAxes(v));
    return hasAxes(x) ? [composite.softmax(x, axisOf(g, x))] : [];
  },
  norms: (g) => {
    const x = g.like(g.choices.pick(['f32', 'f16']), [3, g.choices.pick([8, 1, 33])], true);
    const vector = () => g.input(g.choices.pick(['f32', 'f16']), [x.type.shape[1]!], true);
    return [g.choices.flip() ? composite.rmsNorm(x, vector(), 1e-5) : composite.layerNorm(x, vector(), vector(), 1e-5)];
  },
  gates: (g) => {
    const x = g.float();
    const kind = g.choices.below(4);
    if (kind === 0) return [composite.silu(x)];
    if (kind === 1) return [composite.swiglu(x, g.like(x.type.dtype as DType, x.type.shape))];
    return [composite.gelu(x, kind === 2 ? 'tanh' : 'none')];
  },
  rope: (g) => {
    const shape = [g.choices.pick([3, 1]), 2, g.choices.pick([8, 10])];
    const frequencies = ropeFrequencies(g.choices.pick([8, 4]), 10000);
    return [
      composite.rope(
        g.input('f32', shape, true),
        g.input('i32', [shape[0]!], true),
        g.choices.pick(['half', 'interleaved']),
        frequencies,
      ),
    ];
  },
  attention: (g) => {
    const [seqLen, context, headDim] = [g.choices.pick([1, 3]), g.choices.pick([9, 16]), g.choices.pick([4, 8])];
    const cache = () => g.input(g.choices.pick(['f32']), [2, context, headDim], true);
    const start = b.constant('i32', [1], [g.choices.below(context - seqLen + 1)]);
    return [
      composite.attention(g.input('f32', [seqLen, 4, headDim], true), cache(), cache(), start, {
        causal: g.choices.flip(),
      }),
    ];
  },
  embedding: (g) => [
    composite.embedding(
      g.input(g.choices.pick(['f32', 'f16', 'bf16']), [11, 8]),
      g.input('i32', [g.choices.pick([4, 1])], true),
    ),
  ],
  packed: (g) => {
    const format = g.choices.pick(PACKED_FORMATS);
    const w = g.input(format, [g.choices.pick([3, 8]), format.blockSize * 2], true);
    const kind = g.choices.below(3);
    if (kind === 0) return [dequantize(w)];
    if (kind === 1) return [dequantize(b.gather(w, g.input('i32', [4]), 0))];
    return [linear(g.input('f32', [2, format.blockSize * 2], true), w)];
  },
  quantized: (g) => {
    const format = g.choices.pick(ACTIVATION_FORMATS);
    return [dequantize(quantize(g.input('f32', [2, format.blockSize], true), format))];
  },
};

const choice: Record<string, RandomOp> = {
  select: (g) => {
    const a = g.operand();
    const { dtype, shape } = a.type;
    return [b.select(g.like('bool', shape), a, g.like(dtype as DType, shape))];
  },
  cast: (g) => {
    const to = g.dtype();
    const x = g.operand((v) => g.mayApply('cast', [v], to));
    return g.mayApply('cast', [x], to) ? [b.cast(x, to)] : [];
  },
};

const keyed = <N extends string>(
  table: Readonly<Record<N, unknown>>,
  make: (name: N) => RandomOp,
): Record<string, RandomOp> => Object.fromEntries((Object.keys(table) as N[]).map((name) => [name, make(name)]));

/** Builders by op. Each gives the values it made, none where nothing fits. */
export const RANDOM_OPS: Readonly<Record<string, RandomOp>> = {
  ...keyed(binaryOps, binary),
  ...keyed(unaryOps, unary),
  ...views,
  ...keyed(compareOps, binary),
  ...keyed(reductionOps, reduction),
  ...indexing,
  ...choice,
  ...keyed(cumulativeOps, cumulative),
  ...keyed(orderingOps, ordering),
  ...leaves,
  ...contractions,
  ...layers,
};
