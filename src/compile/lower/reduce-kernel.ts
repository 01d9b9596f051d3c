/**
 * Kernels of reductions with their fused producers. Vectors run along the reduced axis where memory
 * does, else along the kept one. Few results of long sums are split among the threads.
 */
import type { DType } from '../../ir/dtype.ts';
import { DTYPE_BYTES, isFloat, isSigned } from '../../ir/dtype.ts';
import {
  add,
  type BufferParam,
  binary,
  constant,
  type Expr,
  i32,
  mul,
  threadCount,
  threadIndex,
  vectorType,
} from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder, type Variable } from '../../kernel/language.ts';
import type { Machine } from '../../kernel/machine.ts';
import { encode, MEMORY_TYPE } from './element-type.ts';
import { elementwise, REDUCTION_COMBINE } from './elementwise.ts';
import { Emitter, isVectorNest } from './emitter.ts';
import { type Nest, reorderAxes } from './loop-axes.ts';
import { grainElements, unflatten, workPerElement } from './loop-kernel.ts';

/** Formulas of at most this much work are unrolled over several accumulators, which hides the latency of adds. */
const MOST_UNROLLED_WORK = 12;
const ACCUMULATORS = 4;

/** The register type that partial results have: f32, i32 or u32. */
const accumulatorType = (dtype: DType): DType => (isFloat(dtype) ? 'f32' : dtype === 'u32' ? 'u32' : 'i32');

/** What nothing combines to. Sums of floats start at -0, which changes no number. */
export function identityOf(op: string, dtype: DType): number {
  if (op === 'reduce_sum') return isFloat(dtype) ? -0 : 0;
  if (op === 'reduce_prod') return 1;
  if (op === 'reduce_and') return dtype === 'bool' ? 1 : -1;
  if (op === 'reduce_or') return 0;
  const isLeast = op === 'reduce_max';
  if (isFloat(dtype)) return isLeast ? -Infinity : Infinity;
  const bits = 8 * DTYPE_BYTES[dtype];
  if (!isSigned(dtype)) return isLeast ? 0 : 2 ** bits - 1;
  return isLeast ? -(2 ** (bits - 1)) : 2 ** (bits - 1) - 1;
}

/** How a reduction's partial results are combined, on registers of any lanes. */
class Combiner {
  readonly #k: KernelBuilder;
  readonly #op: string;
  readonly #dtype: DType;
  readonly #accumulator: DType;

  constructor(k: KernelBuilder, op: string, dtype: DType) {
    this.#k = k;
    this.#op = op;
    this.#dtype = dtype;
    this.#accumulator = accumulatorType(dtype);
  }

  identity(lanes: number): Expr {
    const element = isFloat(this.#accumulator) ? 'f32' : 'i32';
    return constant(vectorType(element, lanes), identityOf(this.#op, this.#dtype));
  }

  combine(a: Expr, b: Expr): Expr {
    return elementwise(this.#k, REDUCTION_COMBINE[this.#op]!, [a, b], this.#accumulator, this.#accumulator);
  }

  /** Adds an element to a partial result. */
  take(partial: Variable, element: Expr): void {
    this.#k.set(partial, this.combine(partial, element));
  }

  /** One result of a vector's lanes. */
  acrossLanes(vector: Expr): Expr {
    const scalar = vectorType(vector.type.element, 1);
    const lane = (i: number): Expr => ({ kind: 'extract', type: scalar, a: vector, lane: i });
    let result = lane(0);
    for (let i = 1; i < vector.type.lanes; i++) result = this.combine(result, lane(i));
    return result;
  }

  /** The element of a formula in the form that is combined: bool as 0 or 1. */
  element(emitter: Emitter, nest: Nest): Expr {
    return this.#dtype === 'bool' ? emitter.bits(nest.formula) : emitter.wide(nest.formula);
  }

  /** What is stored of a finished result. */
  stored(result: Expr): Expr {
    return this.#dtype === 'bool' || !isFloat(this.#dtype) ? result : encode(this.#k, this.#dtype, this.#k.let(result));
  }
}

interface Reduction {
  readonly k: KernelBuilder;
  readonly nest: Nest;
  readonly emitter: Emitter;
  readonly combiner: Combiner;
  readonly isVector: boolean;
}

const product = (sizes: readonly number[]): number => sizes.reduce((n, e) => n * e, 1);

/** Combines the inner axis from `from` to `to` into the partial results, which start as the identity. */
function combineInner(
  { k, nest, emitter, combiner, isVector }: Reduction,
  from: Expr,
  to: Expr,
  partial: Variable,
): void {
  const one = (lanes: number, into: Variable, index: Expr): void => {
    emitter.openInner(index, lanes);
    combiner.take(into, combiner.element(emitter, nest));
  };
  if (!isVector) {
    k.loop(from, to, 1, (i) => one(1, partial, i));
    return;
  }
  const count = workPerElement(nest.formula, false) <= MOST_UNROLLED_WORK ? ACCUMULATORS : 1;
  const accumulators = Array.from({ length: count }, () => k.variable(combiner.identity(k.lanes)));
  const step = count * k.lanes;
  const first = k.let(from);
  const length = k.let(binary('sub', to, first));
  const wholeSteps = k.let(add(first, mul(binary('div_u', length, step), step)));
  const wholeVectors = k.let(add(first, binary('and', length, -k.lanes)));
  k.loop(first, wholeSteps, step, (i) => accumulators.forEach((a, n) => one(k.lanes, a, add(i, n * k.lanes))));
  if (count > 1) k.loop(wholeSteps, wholeVectors, k.lanes, (i) => one(k.lanes, accumulators[0]!, i));
  k.loop(wholeVectors, to, 1, (i) => one(1, partial, i));
  const total = accumulators.reduce<Expr>((sum, a) => (sum === a ? sum : combiner.combine(sum, a)), accumulators[0]!);
  combiner.take(partial, combiner.acrossLanes(k.let(total)));
}

/** Element index of a result: the target address at the kept axes. */
function targetIndex(nest: Nest, kept: readonly Expr[]): Expr {
  return kept.reduce<Expr>((sum, axis, i) => add(sum, mul(axis, nest.target.strides[i]!)), i32(nest.target.constant));
}

/** All reduced axes, for the kept axes given; [from, to) bounds the first reduced axis. */
function reduceRange(r: Reduction, kept: readonly Expr[], from: Expr, to: Expr): Variable {
  const { k, nest, emitter, combiner } = r;
  const reduced = nest.extents.slice(nest.keptAxes);
  const partial = k.variable(combiner.identity(1));
  if (reduced.length === 1) {
    emitter.openOuter(kept);
    combineInner(r, from, to, partial);
    return partial;
  }
  const middle = reduced.slice(1, -1);
  k.loop(from, to, 1, (first) =>
    k.loop(0, product(middle), 1, (flat) => {
      emitter.openOuter([...kept, first, ...unflatten(k, flat, middle)]);
      combineInner(r, i32(0), i32(reduced.at(-1)!), partial);
    }),
  );
  return partial;
}

/** Reduced axes inside: one result after the other. */
function emitResultByResult(r: Reduction, dtype: DType, out: BufferParam, grain: number): void {
  const { k, nest, emitter, combiner } = r;
  const keptExtents = nest.extents.slice(0, nest.keptAxes);
  emitter.openKernel();
  k.parallelRange(product(keptExtents), grain, (begin, end) =>
    k.loop(begin, end, 1, (flat) => {
      const kept = unflatten(k, flat, keptExtents);
      const result = reduceRange(r, kept, i32(0), i32(nest.extents[nest.keptAxes]!));
      k.storeAt(out, MEMORY_TYPE[dtype], targetIndex(nest, kept), combiner.stored(result));
    }),
  );
}

/** Few results: every thread reduces a part of the first reduced axis, then one joins the parts. */
function emitSplit(r: Reduction, dtype: DType, out: BufferParam, machine: Machine): void {
  const { k, nest, emitter, combiner } = r;
  const keptExtents = nest.extents.slice(0, nest.keptAxes);
  const results = product(keptExtents);
  const parts = k.sharedScratch(results * machine.threads * 4);
  const memory = isFloat(dtype) ? 'f32' : 'i32';
  const place = (flat: Expr, thread: Expr): Expr => add(mul(add(mul(thread, results), flat), 4), parts.byteOffset);
  emitter.openKernel();
  k.parallelRange(nest.extents[nest.keptAxes]!, k.lanes, (from, to) =>
    k.loop(0, results, 1, (flat) => {
      const partial = reduceRange(r, unflatten(k, flat, keptExtents), from, to);
      k.store(parts.buffer, memory, place(flat, threadIndex), partial);
    }),
  );
  k.barrier();
  k.parallelLoop(results, 1, (flat) => {
    const total = k.variable(combiner.identity(1));
    k.loop(0, threadCount, 1, (thread) => combiner.take(total, k.load(parts.buffer, memory, place(flat, thread))));
    k.storeAt(out, MEMORY_TYPE[dtype], targetIndex(nest, unflatten(k, flat, keptExtents)), combiner.stored(total));
  });
}

/** The last kept axis on vectors, reduced axes inside. The nest has that axis last. */
function emitVectorOfResults(r: Reduction, dtype: DType, out: BufferParam, grain: number): void {
  const { k, nest, emitter, combiner } = r;
  const rank = nest.extents.length;
  const [keptOuter, reduced] = [nest.extents.slice(0, nest.keptAxes - 1), nest.extents.slice(nest.keptAxes - 1, -1)];
  const columns = nest.extents[rank - 1]!;
  emitter.openKernel();
  /** `width` vectors (or elements) of neighbouring results at once: together they use whole cache lines. */
  const block = (kept: readonly Expr[], column: Expr, lanes: number, width: number): void => {
    const partials = Array.from({ length: width }, () => k.variable(combiner.identity(lanes)));
    k.loop(0, product(reduced), 1, (flat) => {
      emitter.openOuter([...kept, ...unflatten(k, flat, reduced)]);
      partials.forEach((partial, i) => {
        emitter.openInner(add(column, i * lanes), lanes);
        combiner.take(partial, combiner.element(emitter, nest));
      });
    });
    const strides = [...nest.target.strides.slice(0, keptOuter.length), nest.target.strides[rank - 1]!];
    const index = [...kept, column].reduce<Expr>(
      (sum, axis, i) => add(sum, mul(axis, strides[i]!)),
      i32(nest.target.constant),
    );
    partials.forEach((partial, i) =>
      k.storeAt(out, MEMORY_TYPE[dtype], add(index, i * lanes), combiner.stored(partial)),
    );
  };
  const wide = workPerElement(nest.formula, false) <= MOST_UNROLLED_WORK ? ACCUMULATORS : 1;
  const all = (kept: readonly Expr[], from: Expr, to: Expr): void => {
    const step = wide * k.lanes;
    const whole = k.let(add(from, mul(binary('div_u', binary('sub', to, from), step), step)));
    k.loop(from, whole, step, (column) => block(kept, column, k.lanes, wide));
    k.vectorLoop(whole, to, (column, lanes) => block(kept, column, lanes, 1));
  };
  const rows = product(keptOuter);
  if (rows === 1) {
    k.parallelRange(columns, Math.max(wide * k.lanes, grain), (from, to) => all([], from, to));
    return;
  }
  k.parallelRange(rows, Math.max(1, Math.ceil(grain / columns)), (begin, end) =>
    k.loop(begin, end, 1, (flat) => all(unflatten(k, flat, keptOuter), i32(0), i32(columns))),
  );
}

/** The nest with its last kept axis moved behind the reduced ones. */
function keptAxisLast(nest: Nest): Nest {
  const axis = nest.keptAxes - 1;
  const move = <T>(list: readonly T[]): T[] => [...list.slice(0, axis), ...list.slice(axis + 1), list[axis]!];
  return reorderAxes(nest, move);
}

/** Builds the kernel of a reduction. Buffers: what the formula loads, then the result. */
export function buildReduceKernel(
  name: string,
  nest: Nest,
  op: string,
  dtype: DType,
  readCount: number,
  machine: Machine,
): Kernel {
  const k = new KernelBuilder(name, machine.lanes);
  const reads = Array.from({ length: readCount }, (_, i) => k.buffer(`in${i}`, 'read'));
  const out = k.buffer('out', 'write');
  const results = product(nest.extents.slice(0, nest.keptAxes));
  const length = product(nest.extents.slice(nest.keptAxes));
  const withTarget = (n: Nest): Nest => ({ ...n, target: { ...n.target, strides: n.target.strides.with(-1, 1) } });
  const isVector = nest.extents.length > nest.keptAxes && isVectorNest(withTarget(nest));
  const turned = nest.keptAxes > 0 ? keptAxisLast(nest) : nest;
  const combiner = new Combiner(k, op, dtype);
  const reductionOf = (n: Nest, vector: boolean): Reduction => ({
    k,
    nest: n,
    emitter: new Emitter(k, reads, n),
    combiner,
    isVector: vector,
  });
  const grain = Math.max(1, Math.ceil(grainElements(workPerElement(nest.formula, isVector)) / length));
  if (!isVector && nest.keptAxes > 0 && isVectorNest(turned) && nest.extents[nest.keptAxes - 1]! >= k.lanes) {
    emitVectorOfResults(reductionOf(turned, true), dtype, out, grain);
  } else if (
    !machine.isDeterministic &&
    results < machine.threads &&
    results * length > 2 * grainElements(workPerElement(nest.formula, isVector))
  ) {
    emitSplit(reductionOf(nest, isVector), dtype, out, machine);
  } else {
    emitResultByResult(reductionOf(nest, isVector), dtype, out, grain);
  }
  return k.finish();
}
