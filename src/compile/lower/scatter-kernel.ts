/** Scatter: entries of updates joined into places along an axis, in order; in place where the operand dies. */
import type { DType } from '../../ir/dtype.ts';
import type { Value } from '../../ir/graph.ts';
import { elementCount } from '../../ir/shape.ts';
import { add, type BufferParam, binary, type Expr, i32, mul } from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import type { Machine } from '../../kernel/machine.ts';
import { decode, encode, MEMORY_TYPE } from './element-type.ts';
import { elementwise } from './elementwise.ts';
import { laneShape } from './lane-kernel.ts';
import { grainElements } from './loop-kernel.ts';

/** Copies whole tensors, divided among the threads. */
function copyAll(k: KernelBuilder, from: BufferParam, to: BufferParam, dtype: DType, count: number): void {
  const memory = MEMORY_TYPE[dtype];
  k.parallelRange(count, grainElements(1), (begin, end) =>
    k.vectorLoop(begin, end, (i, lanes) => k.storeAt(to, memory, i, k.loadAt(from, memory, i, lanes))),
  );
}

/** Builds the kernel of a scatter. Buffers: operand (unless in place), indices, updates, result. */
export function buildScatter(name: string, value: Value, isInPlace: boolean, machine: Machine): Kernel {
  const k = new KernelBuilder(name, machine.lanes);
  const operand = isInPlace ? undefined : k.buffer('in0', 'read');
  const [indices, updates] = [k.buffer('indices', 'read'), k.buffer('updates', 'read')];
  const out = k.buffer('out', 'readwrite');
  const dtype = value.type.dtype as DType;
  const memory = MEMORY_TYPE[dtype];
  const mode = value.attrs.mode as string;
  const { outer, size, inner } = laneShape(value.type, value.attrs.axis as number);
  const indexType = value.inputs[1]!.type.dtype as DType;
  const count = value.inputs[1]!.type.shape[0]!;
  if (operand) {
    copyAll(k, operand, out, dtype, elementCount(value.type.shape));
    k.barrier();
  }
  /** One update row, elements [from, to) of it. */
  const row = (o: Expr, i: Expr, from: Expr, to: Expr): void => {
    const at = k.let(k.loadAt(indices, MEMORY_TYPE[indexType], i));
    k.if(binary('lt_u', at, size), () => {
      const target = k.let(mul(add(mul(o, size), at), inner));
      const source = k.let(mul(add(mul(o, count), i), inner));
      k.vectorLoop(from, to, (r, lanes) => {
        const update = k.loadAt(updates, memory, add(source, r), lanes);
        if (mode === 'set') {
          k.storeAt(out, memory, add(target, r), update);
          return;
        }
        const old = decode(dtype, k.loadAt(out, memory, add(target, r), lanes));
        const joined = elementwise(k, mode, [old, decode(dtype, update)], dtype, dtype);
        k.storeAt(out, memory, add(target, r), encode(k, dtype, joined));
      });
    });
  };
  const work = 2 * count;
  if (outer >= machine.threads) {
    k.parallelRange(outer, Math.max(1, Math.ceil(grainElements(work) / inner)), (begin, end) =>
      k.loop(begin, end, 1, (o) => k.loop(0, count, 1, (i) => row(o, i, i32(0), i32(inner)))),
    );
  } else {
    k.parallelRange(inner, grainElements(work), (from, to) =>
      k.loop(0, outer, 1, (o) => k.loop(0, count, 1, (i) => row(o, i, from, to))),
    );
  }
  return k.finish();
}
