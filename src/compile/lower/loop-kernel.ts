/** Kernels of loop groups: each part a loop nest, divided among the threads, on vectors where its loads allow. */
import { add, divU, type Expr, i32, min, mul, remU } from '../../kernel/expression.ts';
import { type Kernel, KernelBuilder } from '../../kernel/language.ts';
import type { Machine } from '../../kernel/machine.ts';
import { Emitter, isVectorNest } from './emitter.ts';
import { type Address, type Formula, subFormulas } from './formula.ts';
import type { Nest } from './loop-axes.ts';

/** Work, in simple operations, that is worth waking another thread for. */
const LEAST_WORK_PER_THREAD = 16384;
/** Pieces start at multiples of this many elements, so that threads do not write to the same cache line. */
const PIECE_ELEMENTS = 64;
/** Simple operations that one call of an elementary function is worth. */
const FUNCTION_WORK = 12;
const FUNCTIONS: ReadonlySet<string> = new Set([
  'exp',
  'expm1',
  'log',
  'log1p',
  'sin',
  'cos',
  'tan',
  'tanh',
  'erf',
  'logistic',
  'pow',
  'atan2',
  'rem',
  'div',
]);

/** Simple operations that one element of a formula takes, scalar ones counted by the lanes they leave idle. */
export function workPerElement(formula: Formula, isVector: boolean): number {
  const work = subFormulas([formula]).reduce((n, f) => {
    if (f.kind === 'random') return n + 80;
    return n + (f.kind === 'op' && FUNCTIONS.has(f.op.name) ? FUNCTION_WORK : 1);
  }, 1);
  return isVector ? work / 4 : work;
}

/** Least number of elements that a thread should take. */
export const grainElements = (work: number): number =>
  Math.max(PIECE_ELEMENTS, Math.ceil(LEAST_WORK_PER_THREAD / Math.max(work, 1) / PIECE_ELEMENTS) * PIECE_ELEMENTS);

/** Indices of all axes of `extents` at row-major position `flat`. */
export function unflatten(k: KernelBuilder, flat: Expr, extents: readonly number[]): Expr[] {
  const axes: Expr[] = [];
  let rest = flat;
  for (let axis = extents.length - 1; axis > 0; axis--) {
    axes[axis] = k.let(remU(rest, extents[axis]!));
    rest = k.let(divU(rest, extents[axis]!));
  }
  if (extents.length > 0) axes[0] = rest;
  return axes;
}

/** How a nest is divided among the threads. Nests with equal texts give each thread the same points. */
export function partitionOf(nest: Nest, machine: Machine): { mode: 'inner' | 'outer'; grain: number; text: string } {
  const isVector = isVectorNest(nest);
  const inner = nest.extents.at(-1) ?? 1;
  const outer = nest.extents.slice(0, -1).reduce((n, e) => n * e, 1);
  const tiled = isVector || transposedAxis(nest) < 0 ? '' : ' in tiles';
  const grain = grainElements(workPerElement(nest.formula, isVector));
  if (outer * inner <= grain)
    return { mode: outer === 1 ? 'inner' : 'outer', grain: Math.max(inner, outer), text: 'one thread' };
  const isOuterLong = outer >= 2 * machine.threads || inner < 2 * grain;
  if (outer > 1 && isOuterLong) {
    const rows = Math.ceil(grain / inner);
    return { mode: 'outer', grain: rows, text: `${outer} rows of ${inner} by ${rows}${tiled}` };
  }
  return { mode: 'inner', grain, text: `${outer} rows of ${inner}, columns by ${grain}${tiled}` };
}

/** Rows and columns of a block in which loads may walk along rows: its cache lines stay in the first-level cache. */
const TILE = 16;

/**
 * The outer axis along which some load is contiguous that jumps along the inner one: a transpose. Such
 * nests go in square blocks, so that every cache line is used whole.
 */
function transposedAxis(nest: Nest): number {
  const inner = nest.extents.length - 1;
  if (inner < 1 || nest.extents[inner]! < TILE) return -1;
  const isJumping = (a: Address): boolean => Math.abs(a.strides[inner]!) >= TILE;
  const jumps = subFormulas([nest.formula]).filter(
    (f): f is Formula & { kind: 'load' } => f.kind === 'load' && isJumping(f.address),
  );
  return nest.extents.findIndex(
    (e, axis) => axis < inner && e >= TILE && jumps.some((f) => Math.abs(f.address.strides[axis]!) === 1),
  );
}

/** Emits a nest in blocks of `axis` and the inner axis. */
function emitTiled(
  k: KernelBuilder,
  nest: Nest,
  emitter: Emitter,
  axis: number,
  rows: number,
  body: (from: Expr, to: Expr) => void,
): void {
  const inner = nest.extents.at(-1)!;
  const blocks = nest.extents.slice(0, -1).with(axis, Math.ceil(nest.extents[axis]! / TILE));
  const count = blocks.reduce((n, e) => n * e, 1);
  k.parallelRange(count, Math.max(1, Math.ceil(rows / TILE)), (begin, end) =>
    k.loop(begin, end, 1, (flat) => {
      const outer = unflatten(k, flat, blocks);
      const first = k.let(mul(outer[axis]!, TILE));
      const last = k.let(min(add(first, TILE), nest.extents[axis]!));
      k.loop(0, inner, TILE, (column) => {
        const limit = k.let(min(add(column, TILE), inner));
        k.loop(first, last, 1, (row) => {
          emitter.openOuter(outer.with(axis, row));
          body(column, limit);
        });
      });
    }),
  );
}

/** Emits one nest that stores its formula at its target. */
export function emitNest(k: KernelBuilder, nest: Nest, emitter: Emitter, machine: Machine, store: () => void): void {
  const { mode, grain } = partitionOf(nest, machine);
  const inner = nest.extents.at(-1) ?? 1;
  const outerExtents = nest.extents.slice(0, -1);
  const outer = outerExtents.reduce((n, e) => n * e, 1);
  const isVector = isVectorNest(nest);
  const body = (index: Expr, lanes: number): void => {
    emitter.openInner(index, lanes);
    store();
  };
  const columns = (from: Expr, to: Expr): void => {
    if (isVector) k.vectorLoop(from, to, body);
    else k.loop(from, to, 1, (i) => body(i, 1));
  };
  emitter.openKernel();
  const tiled = isVector ? -1 : transposedAxis(nest);
  if (tiled >= 0) {
    emitTiled(k, nest, emitter, tiled, mode === 'outer' ? grain : Math.ceil(grain / inner), columns);
    return;
  }
  const row = (flat: Expr): void => emitter.openOuter(unflatten(k, flat, outerExtents));
  if (mode === 'outer') {
    k.parallelRange(outer, grain, (from, to) =>
      k.loop(from, to, 1, (flat) => {
        row(flat);
        columns(i32(0), i32(inner));
      }),
    );
    return;
  }
  const divided = (): void => k.parallelRange(inner, grain, columns);
  if (outer === 1) {
    emitter.openOuter([]);
    divided();
  } else {
    k.loop(0, outer, 1, (flat) => {
      row(flat);
      divided();
    });
  }
}

/** Builds the kernel of a loop group. Buffers: what the formulas load, then the result. */
export function buildLoopKernel(
  name: string,
  nests: readonly Nest[],
  isLayered: boolean,
  readCount: number,
  machine: Machine,
): Kernel {
  const k = new KernelBuilder(name, machine.lanes);
  const reads = Array.from({ length: readCount }, (_, i) => k.buffer(`in${i}`, 'read'));
  const result = k.buffer('out', 'write');
  nests.forEach((nest, i) => {
    if (i > 0 && isLayered) k.barrier();
    const emitter = new Emitter(k, reads, nest);
    emitNest(k, nest, emitter, machine, () => emitter.store(result));
  });
  return k.finish();
}
