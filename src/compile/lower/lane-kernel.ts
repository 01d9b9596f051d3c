/** Kernels that walk each lane of a tensor along one axis: arg-reductions and running reductions. */
import type { DType } from '../../ir/dtype.ts';
import { isFloat } from '../../ir/dtype.ts';
import type { TensorType } from '../../ir/shape.ts';
import {
  add,
  type BufferParam,
  binary,
  divU,
  type Expr,
  i32,
  mul,
  or,
  remU,
  select,
  unary,
} from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import type { Machine } from '../../kernel/machine.ts';
import { decode, encode, MEMORY_TYPE } from './element-type.ts';
import { elementwise } from './elementwise.ts';
import { grainElements } from './loop-kernel.ts';

/** Sizes before, along and after an axis: element [o, i, r] lies at (o * size + i) * inner + r. */
export interface LaneShape {
  readonly outer: number;
  readonly size: number;
  readonly inner: number;
}

export function laneShape({ shape }: TensorType, axis: number): LaneShape {
  const product = (sizes: readonly number[]) => sizes.reduce((n, d) => n * d, 1);
  return { outer: product(shape.slice(0, axis)), size: shape[axis]!, inner: product(shape.slice(axis + 1)) };
}

/** Runs `body` for every lane, divided among the threads. `first` is the index of the lane's first element. */
export function parallelLanes(
  k: KernelBuilder,
  { outer, size, inner }: LaneShape,
  work: number,
  body: (first: Expr, lane: Expr) => void,
): void {
  const grain = Math.max(1, Math.ceil(grainElements(work) / Math.max(1, size)));
  k.parallelRange(outer * inner, grain, (from, to) =>
    k.loop(from, to, 1, (lane) => {
      const first = inner === 1 ? mul(lane, size) : add(mul(divU(lane, inner), size * inner), remU(lane, inner));
      body(k.let(first), lane);
    }),
  );
}

/** An element in comparable form: f32, or i32 (bool as 0 or 1). */
export function loadComparable(k: KernelBuilder, buffer: BufferParam, dtype: DType, index: Expr): Expr {
  const loaded = k.loadAt(buffer, MEMORY_TYPE[dtype], index);
  return dtype === 'bool' ? loaded : decode(dtype, loaded);
}

/** The first greatest (or least) element's place; a NaN counts as it. */
export function buildArgReduce(
  name: string,
  op: 'argmax' | 'argmin',
  type: TensorType,
  axis: number,
  machine: Machine,
): Kernel {
  const k = new KernelBuilder(name, machine.lanes);
  const [input, out] = [k.buffer('in0', 'read'), k.buffer('out', 'write')];
  const dtype = type.dtype as DType;
  const shape = laneShape(type, axis);
  const suffix = dtype === 'u32' ? '_u' : '';
  const beats = (a: Expr, b: Expr): Expr => binary(`${op === 'argmax' ? 'gt' : 'lt'}${suffix}` as 'gt', a, b);
  parallelLanes(k, shape, 2, (first, lane) => {
    const best = k.variable(loadComparable(k, input, dtype, first));
    const place = k.variable(i32(0));
    k.loop(1, shape.size, 1, (i) => {
      const x = k.let(loadComparable(k, input, dtype, add(first, mul(i, shape.inner))));
      const isNumber = (v: Expr): Expr => binary('eq', v, v);
      const isNewNaN = (): Expr => binary('and', unary('not', isNumber(x)), isNumber(best));
      const isBetter = k.let(isFloat(dtype) ? or(beats(x, best), isNewNaN()) : beats(x, best));
      k.set(best, select(isBetter, x, best));
      k.set(place, select(isBetter, i, place));
    });
    k.storeAt(out, 'i32', lane, place);
  });
  return k.finish();
}

const CUMULATIVE_COMBINE: Readonly<Record<string, string>> = {
  cumsum: 'add',
  cumprod: 'mul',
  cummax: 'max',
  cummin: 'min',
};

/** Neighbouring lanes together: each row of the result is the row before it joined with a row of the operand. */
function emitRowByRow(
  k: KernelBuilder,
  { outer, size, inner }: LaneShape,
  combine: string,
  dtype: DType,
  isReverse: boolean,
  [input, out]: readonly [BufferParam, BufferParam],
): void {
  const memory = MEMORY_TYPE[dtype];
  const row = (i: Expr | number): Expr => mul(isReverse ? binary('sub', i32(size - 1), i) : add(i32(0), i), inner);
  k.parallelRange(inner, grainElements(2 * outer * size), (from, to) =>
    k.loop(0, outer, 1, (o) => {
      const plane = k.let(mul(o, size * inner));
      const start = k.let(add(plane, row(0)));
      k.vectorLoop(from, to, (r, lanes) =>
        k.storeAt(out, memory, add(start, r), k.loadAt(input, memory, add(start, r), lanes)),
      );
      k.loop(1, size, 1, (i) => {
        const [before, at] = [k.let(add(plane, row(add(i, -1)))), k.let(add(plane, row(i)))];
        k.vectorLoop(from, to, (r, lanes) => {
          const load = (buffer: BufferParam, first: Expr): Expr => k.loadAt(buffer, memory, add(first, r), lanes);
          k.storeAt(
            out,
            memory,
            add(at, r),
            elementwise(k, combine, [load(out, before), load(input, at)], dtype, dtype),
          );
        });
      });
    }),
  );
}

/** Running sum, product, maximum or minimum along an axis, from its end if `isReverse`. 16-bit floats run in f32. */
export function buildCumulative(
  name: string,
  op: string,
  type: TensorType,
  axis: number,
  isReverse: boolean,
  machine: Machine,
): Kernel {
  const k = new KernelBuilder(name, machine.lanes);
  const [input, out] = [k.buffer('in0', 'read'), k.buffer('out', 'readwrite')];
  const dtype = type.dtype as DType;
  const shape = laneShape(type, axis);
  const wide: DType = isFloat(dtype) ? 'f32' : dtype;
  if (shape.inner >= machine.lanes && wide === dtype) {
    emitRowByRow(k, shape, CUMULATIVE_COMBINE[op]!, dtype, isReverse, [input, out]);
    return k.finish();
  }
  parallelLanes(k, shape, 2, (first) => {
    const at = (i: Expr): Expr =>
      k.let(add(first, mul(isReverse ? binary('sub', i32(shape.size - 1), i) : i, shape.inner)));
    const store = (index: Expr, value: Expr): void =>
      k.storeAt(out, MEMORY_TYPE[dtype], index, encode(k, dtype, value));
    const start = at(i32(0));
    const running = k.variable(decode(dtype, k.loadAt(input, MEMORY_TYPE[dtype], start)));
    store(start, running);
    k.loop(1, shape.size, 1, (i) => {
      const index = at(i);
      const x = decode(dtype, k.loadAt(input, MEMORY_TYPE[dtype], index));
      k.set(running, elementwise(k, CUMULATIVE_COMBINE[op]!, [running, x], wide, wide));
      store(index, running);
    });
  });
  return k.finish();
}
