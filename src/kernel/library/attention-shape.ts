/** What the ways to compute attention share: sizes, operands, visible positions, and what a score becomes. */
import type { TensorType } from '../../ir/shape.ts';
import { add, type BufferParam, binary, div, divU, type Expr, i32, min, mul, remU, select } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { tanh } from '../math.ts';
import type { KernelRequest } from '../template.ts';
import { type CacheRows, cacheRows } from './cache-rows.ts';

/** Where running maximums begin: below every score, and still a number to subtract. */
export const LOWEST = -3.4028234663852886e38;

/** Sizes of q [seqLen, nHeads, keyDim] and caches [nKvHeads, context, keyDim or valueDim]. */
export interface AttentionSizes {
  readonly seqLen: number;
  readonly nHeads: number;
  readonly nKvHeads: number;
  /** Heads that read one cache head. */
  readonly group: number;
  /** Pairs (query, head of the group) that read one cache head. */
  readonly rows: number;
  readonly context: number;
  readonly keyDim: number;
  readonly valueDim: number;
}

export function attentionSizes([q, keys, values]: readonly TensorType[]): AttentionSizes {
  const [seqLen, nHeads, keyDim] = q!.shape as readonly [number, number, number];
  const [nKvHeads, context] = keys!.shape as readonly [number, number];
  const group = nHeads / nKvHeads;
  return { seqLen, nHeads, nKvHeads, group, rows: seqLen * group, context, keyDim, valueDim: values!.shape[2]! };
}

/** Lanes of the widest vectors of at most `most` that rows of `dim` elements, a multiple of four, consist of. */
export const lanesFor = (most: number, dim: number): number => [16, 8].find((n) => n <= most && dim % n === 0) ?? 4;

/** A region of scratch. */
export interface Region {
  readonly buffer: BufferParam;
  readonly byteOffset: number;
}

/** A region of f32, or i32, with the given sizes, private to each thread. */
export const region = (k: KernelBuilder, ...sizes: readonly number[]): Region =>
  k.threadScratch(sizes.reduce((a, b) => a * b, 4));

/** The operands of one kernel, and where its rows, pairs (query, head) of a cache head, and its positions lie. */
export class AttentionOperands {
  readonly sizes: AttentionSizes;
  /** How rows of the caches are read. */
  readonly cache: CacheRows;
  readonly q: BufferParam;
  readonly keys: BufferParam;
  readonly values: BufferParam;
  readonly output: BufferParam;
  readonly #k: KernelBuilder;
  readonly #attrs: KernelRequest['attrs'];
  /** Positions in the caches before the first query. */
  readonly #start: Expr;

  constructor(k: KernelBuilder, { inputs, attrs }: KernelRequest) {
    this.#k = k;
    this.#attrs = attrs;
    this.sizes = attentionSizes(inputs);
    this.cache = cacheRows(inputs[1]!.dtype)!;
    this.q = k.buffer('q', 'read');
    this.keys = k.buffer('keys', 'read');
    this.values = k.buffer('values', 'read');
    const start = k.buffer('start', 'read');
    this.output = k.buffer('output', 'write');
    this.#start = k.let(k.load(start, 'i32', 0));
  }

  get scale(): number {
    return this.#attrs.scale as number;
  }

  get hasWindow(): boolean {
    return this.#attrs.window !== null;
  }

  /** The last position that a row sees. */
  lastOf(row: Expr): Expr {
    const { seqLen, group, context } = this.sizes;
    const own = add(this.#start, this.#attrs.causal ? divU(row, group) : seqLen - 1);
    return min(own, i32(context - 1));
  }

  /** The first position that a row sees under a window; it may be below 0. */
  firstOf(row: Expr): Expr {
    return add(add(this.#start, divU(row, this.sizes.group)), 1 - (this.#attrs.window as number));
  }

  /** Byte offset of the query, or the result, of a row: `dim` elements a head. */
  rowStart(head: Expr, row: Expr, dim: number): Expr {
    const { group, nHeads } = this.sizes;
    const number = add(mul(divU(row, group), nHeads), add(mul(head, group), remU(row, group)));
    return this.#k.let(mul(number, 4 * dim));
  }

  /** Byte offset of a position in a cache head. */
  cacheRow(head: Expr, position: Expr, dim: number): Expr {
    return this.#k.let(mul(add(mul(head, this.sizes.context), position), this.cache.rowBytes(dim)));
  }

  /**
   * Scores as softmax takes them: capped, and -infinity where `position` is not in first..last. Operands have the lanes
   * of the scores.
   */
  seen(scores: Expr, position: Expr, last: Expr, first: Expr | null): Expr {
    const k = this.#k;
    const softCap = this.#attrs.softCap as number | null;
    const capped = softCap === null ? scores : mul(tanh(k, k.let(div(scores, softCap))), softCap);
    const isKnown = binary('le', position, last);
    const isSeen = first ? binary('and', isKnown, binary('ge', position, first)) : isKnown;
    return k.let(select(isSeen, capped, Number.NEGATIVE_INFINITY));
  }
}
