/**
 * Stable sort of each lane by bottom-up merging of place lists (Knuth, The Art of Computer Programming,
 * vol. 3, 5.2.4). Elements stay where they are until the end; NaN goes last in either direction.
 */
import type { DType } from '../../ir/dtype.ts';
import { isFloat } from '../../ir/dtype.ts';
import type { TensorType } from '../../ir/shape.ts';
import {
  add,
  and,
  type BufferParam,
  binary,
  type Expr,
  i32,
  min,
  mul,
  or,
  select,
  sub,
  unary,
} from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import type { Machine } from '../../kernel/machine.ts';
import { MEMORY_TYPE } from './element-type.ts';
import { laneShape, loadComparable, parallelLanes } from './lane-kernel.ts';

/** What one lane's sort works on. Lists of places lie in thread scratch; `from` and `to` swap after each pass. */
interface Lane {
  readonly k: KernelBuilder;
  readonly scratch: BufferParam;
  readonly size: number;
  /** Whether the element at place b must come before the one at place a. */
  readonly isBefore: (b: Expr, a: Expr) => Expr;
}

function comparison(dtype: DType, isDescending: boolean): (x: Expr, y: Expr) => Expr {
  const suffix = dtype === 'u32' ? '_u' : '';
  const op = `${isDescending ? 'gt' : 'lt'}${suffix}` as 'lt';
  const isNumber = (v: Expr): Expr => binary('eq', v, v);
  if (!isFloat(dtype)) return (x, y) => binary(op, x, y);
  return (x, y) => or(binary(op, x, y), and(isNumber(x), unary('not', isNumber(y))));
}

/** Merges the sorted runs [low, middle) and [middle, high) of list `from` into list `to` (byte offsets). */
function mergeRuns({ k, scratch, isBefore }: Lane, from: Expr, to: Expr, low: Expr, middle: Expr, high: Expr): void {
  const place = (list: Expr, i: Expr): Expr => k.load(scratch, 'i32', add(list, mul(i, 4)));
  const left = k.variable(low);
  const right = k.variable(middle);
  k.loop(low, high, 1, (i) => {
    const takesRight = k.variable(i32(0));
    k.if(
      binary('ge', left, middle),
      () => k.set(takesRight, i32(1)),
      () =>
        k.if(binary('lt', right, high), () => {
          k.set(takesRight, unary('mask_to_i32', isBefore(place(from, right), place(from, left))));
        }),
    );
    const source = k.let(select(binary('ne', takesRight, 0), right, left));
    k.store(scratch, 'i32', add(to, mul(i, 4)), place(from, source));
    k.set(right, add(right, takesRight));
    k.set(left, add(left, sub(1, takesRight)));
  });
}

/** Sorts the places 0..size-1. Returns the byte offset of the finished list. */
function sortPlaces(lane: Lane, lists: readonly [number, number]): Expr {
  const { k, scratch, size } = lane;
  k.loop(0, size, 1, (i) => k.store(scratch, 'i32', add(mul(i, 4), lists[0]), i));
  const from = k.variable(i32(lists[0]));
  const to = k.variable(i32(lists[1]));
  const width = k.variable(i32(1));
  k.while(binary('lt', width, size), () => {
    const low = k.variable(i32(0));
    k.while(binary('lt', low, size), () => {
      const middle = k.let(min(add(low, width), size));
      const high = k.let(min(add(middle, width), size));
      mergeRuns(lane, from, to, low, middle, high);
      k.set(low, high);
    });
    const old = k.variable(from);
    k.set(from, to);
    k.set(to, old);
    k.set(width, mul(width, 2));
  });
  return from;
}

/** Sorts along an axis; `gives` the elements or their i32 places. */
export function buildSort(
  name: string,
  gives: 'elements' | 'places',
  type: TensorType,
  axis: number,
  isDescending: boolean,
  machine: Machine,
): Kernel {
  const k = new KernelBuilder(name, machine.lanes);
  const [input, out] = [k.buffer('in0', 'read'), k.buffer('out', 'write')];
  const dtype = type.dtype as DType;
  const shape = laneShape(type, axis);
  const lists = [k.threadScratch(shape.size * 4), k.threadScratch(shape.size * 4)] as const;
  const isLess = comparison(dtype, isDescending);
  parallelLanes(k, shape, 8 * Math.ceil(Math.log2(shape.size + 1)), (first) => {
    const at = (place: Expr): Expr => add(first, mul(place, shape.inner));
    const key = (place: Expr): Expr => k.let(loadComparable(k, input, dtype, at(place)));
    const isBefore = (b: Expr, a: Expr): Expr => isLess(key(b), key(a));
    const lane = { k, scratch: lists[0].buffer, size: shape.size, isBefore };
    const sorted = sortPlaces(lane, [lists[0].byteOffset, lists[1].byteOffset]);
    k.loop(0, shape.size, 1, (i) => {
      const place = k.let(k.load(lists[0].buffer, 'i32', add(sorted, mul(i, 4))));
      if (gives === 'places') k.storeAt(out, 'i32', at(i), place);
      else k.storeAt(out, MEMORY_TYPE[dtype], at(i), k.loadAt(input, MEMORY_TYPE[dtype], at(place)));
    });
  });
  return k.finish();
}
