/**
 * Reads panels of sparse matrices as vectors of f32, a depth of 16 rows each: a word of the bitmap and the elements behind a
 * running number become two vectors. The number moves on by the bits of each word, one addition a step, so that steps do
 * not wait for each other's elements.
 *
 * With AVX-512 a step of bf16 costs seven operations of the two vector units: the mask's move, the expansion (two), two to
 * widen and a multiply-add for each depth: four cycles for 32 weights, while 36 bytes (half of them zero) come from memory.
 */
import { isPaired, SPARSE, type SparseDType } from '../../quant/sparse.ts';
import { FLOAT_BYTES } from '../decode.ts';
import { add, and, type BufferParam, binary, type Expr, i32, mul, shl, shrU, unary } from '../expression.ts';
import type { KernelBuilder, Variable } from '../language.ts';

/** A sparse matrix [n, depth] in memory. */
export interface SparseOperand {
  readonly bitmap: BufferParam;
  readonly values: BufferParam;
  readonly starts: BufferParam;
  readonly dtype: SparseDType;
  /** Elements of `values`. */
  readonly count: number;
  readonly n: number;
  readonly depth: number;
}

/** Steps between two looks at whether elements are left: between them, no more are read than lie behind the last one. */
export const MOST_STEPS = SPARSE.slack / (SPARSE.rows * SPARSE.depths);

export const stepsOf = (depth: number): number => Math.ceil(depth / SPARSE.depths);

/** A place in one panel: the number of its next element, and where the words of its steps begin, in bytes. */
export interface PanelCursor {
  readonly at: Variable;
  readonly words: Expr;
}

/** One step of one panel: its word of the bitmap, and the number of its first element. */
export interface SparseStep {
  readonly word: Expr;
  readonly at: Expr;
}

export class SparsePanels {
  readonly #k: KernelBuilder;
  readonly #w: SparseOperand;

  constructor(k: KernelBuilder, w: SparseOperand) {
    this.#k = k;
    this.#w = w;
  }

  /** The beginning of a panel, or its place `from`: the number of its next element. */
  cursor(panel: Expr, from: Expr = this.start(panel)): PanelCursor {
    const k = this.#k;
    return { at: k.variable(this.#within(from)), words: k.let(mul(panel, 4 * stepsOf(this.#w.depth))) };
  }

  /** The number of a panel's first element. */
  start(panel: Expr): Expr {
    return this.#k.loadAt(this.#w.starts, 'i32', panel);
  }

  /** Whatever bitmap and starts say, reading up to `MOST_STEPS` steps from there stays in the values. */
  #within(at: Expr): Expr {
    return binary('min_u', at, i32(this.#w.count - SPARSE.slack));
  }

  /**
   * Goes through steps first .. first + count - 1 (`MOST_STEPS` at most) of panels and moves their cursors on: `begin` is
   * told each step, what it gives gets the step of one panel after the other.
   */
  read(
    cursors: readonly PanelCursor[],
    first: Expr,
    count: number,
    begin: (u: number) => (panel: number, step: SparseStep) => void,
  ): void {
    const k = this.#k;
    const numbers: Expr[] = cursors.map(({ at }) => at);
    for (let u = 0; u < count; u++) {
      const take = begin(u);
      for (const [p, { words }] of cursors.entries()) {
        const word = k.let(k.load(this.#w.bitmap, 'i32', add(add(words, shl(first, 2)), 4 * u)));
        const at = numbers[p]!;
        numbers[p] = k.let(add(at, unary('popcount', word)));
        take(p, { word, at });
      }
    }
    for (const [p, { at }] of cursors.entries()) k.set(at, this.#within(numbers[p]!));
  }

  /** Both depths of a step as f32. */
  vectors({ word, at }: SparseStep): [Expr, Expr] {
    const [k, { dtype, values }] = [this.#k, this.#w];
    if (dtype === 'f32') {
      const upper = add(at, unary('popcount', and(word, 0xffff)));
      return [
        k.expand(values, 'f32', mul(at, FLOAT_BYTES.f32), word),
        k.expand(values, 'f32', mul(upper, FLOAT_BYTES.f32), shrU(word, 16)),
      ];
    }
    const both = k.let(k.expand(values, 'u16', mul(at, FLOAT_BYTES[dtype]), word));
    if (isPaired(dtype)) return [unary('bits_f32', shl(both, 16)), unary('bits_f32', and(both, 0xffff0000 | 0))];
    const half = (part: 'low' | 'high'): Expr =>
      unary('f16_to_f32', { kind: 'halves', type: both.type, a: both, part });
    return [half('low'), half('high')];
  }
}
