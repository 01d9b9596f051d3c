/**
 * The terms of many tokens' activations (token-terms.ts) as tiles of repeated activations read them: for each token an array
 * of each term with a number for every unit of the depth, so that a tile walks them all by one index. Codes stay
 * where they are.
 */
import type { NumberFormat } from '../../quant/number-format.ts';
import { add, type BufferParam, type Expr, I32, i32, mul } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { hasLeast, type PackedOperand, type UnitSizes } from './packed-product.ts';
import type { TermMaker } from './token-terms.ts';

/** Units that are laid out at a time. */
const FOUR = 4;
const WORD_BYTES = 4;

/** Terms by their arrays' numbers: one each, then what sums start at for every span, then shifts for every span. */
const [SCALE, ORIGIN_SCALE, FIRST_INITIAL] = [0, 1, 2] as const;

/** Bytes of one unit's terms. */
export const recordBytes = (w: NumberFormat, { spans }: UnitSizes): number =>
  WORD_BYTES * (FIRST_INITIAL + (w.offset === 0 ? 0 : spans) + (hasLeast(w) ? spans : 0));

export class TokenRecords {
  readonly #k: KernelBuilder;
  readonly #x: PackedOperand;
  readonly #w: NumberFormat;
  readonly #sizes: UnitSizes;
  readonly #terms: TermMaker;
  /** Bytes of one term's array. */
  readonly #arrayBytes: number;
  readonly #scratch: { readonly buffer: BufferParam; readonly byteOffset: number };

  constructor(k: KernelBuilder, x: PackedOperand, w: NumberFormat, sizes: UnitSizes, tokens: number, terms: TermMaker) {
    this.#k = k;
    this.#x = x;
    this.#w = w;
    this.#sizes = sizes;
    this.#terms = terms;
    this.#arrayBytes = WORD_BYTES * FOUR * Math.ceil(sizes.units / FOUR);
    this.#scratch = k.threadScratch(tokens * this.tokenBytes);
  }

  /** Bytes from one token to the next. */
  get tokenBytes(): number {
    return (recordBytes(this.#w, this.#sizes) / WORD_BYTES) * this.#arrayBytes;
  }

  /** Bytes from one unit to the next. */
  readonly unitBytes = WORD_BYTES;

  /** Where unit `unit` of token number `token` lies. */
  at(token: Expr, unit: Expr): Expr {
    return add(add(mul(token, this.tokenBytes), mul(unit, WORD_BYTES)), this.#scratch.byteOffset);
  }

  /** Lays out `count` tokens from token `first` of x on. */
  fill(first: Expr, count: number): void {
    const [k, { units }, bytes] = [this.#k, this.#sizes, this.#x.format.blockBytes];
    const whole = units - (units % FOUR);
    k.loop(0, count, 1, (token) => {
      const row = k.let(mul(add(first, token), units * bytes));
      const to = k.variable(this.at(token, i32(0)));
      k.loop(row, add(row, whole * bytes), FOUR * bytes, (block) => {
        this.#fillUnits(
          [0, 1, 2, 3].map((i) => add(block, i * bytes)),
          to,
        );
        k.set(to, add(to, FOUR * WORD_BYTES));
      });
      // The last units, with the very last one again for those that are missing.
      if (whole === units) return;
      this.#fillUnits(
        [0, 1, 2, 3].map((i) => add(row, Math.min(whole + i, units - 1) * bytes)),
        to,
      );
    });
  }

  #fillUnits(blocks: readonly Expr[], to: Expr): void {
    const [k, { buffer, format }] = [this.#k, this.#x];
    // The last four words of a block end with its scale and its sum.
    const [a, b, c, d] = blocks.map((block) =>
      k.let(k.load(buffer, 'i32', add(block, format.blockBytes - FOUR * WORD_BYTES), FOUR)),
    ) as [Expr, Expr, Expr, Expr];
    const pick = (x: Expr, y: Expr, ...pattern: number[]): Expr =>
      k.let({ kind: 'shuffle', type: x.type, a: x, b: y, pattern });
    const [first, second] = [pick(a, b, 2, 6, 3, 7), pick(c, d, 2, 6, 3, 7)];
    const { scale, originScale, initial, shift } = this.#terms.of(
      pick(first, second, 0, 1, 4, 5),
      pick(first, second, 2, 3, 6, 7),
    );
    const put = (term: number, value: Expr): void =>
      k.store(this.#scratch.buffer, value.type.element === 'f32' ? 'f32' : 'i32', this.#term(to, term), value);
    put(SCALE, scale);
    if (originScale) put(ORIGIN_SCALE, originScale);
    for (const [span, value] of initial.entries()) put(FIRST_INITIAL + span, value);
    for (const [span, value] of shift.entries()) put(this.#firstShift + span, value);
  }

  get #firstShift(): number {
    return FIRST_INITIAL + (this.#w.offset === 0 ? 0 : this.#sizes.spans);
  }

  #term(at: Expr, term: number): Expr {
    return add(at, term * this.#arrayBytes);
  }

  #load(at: Expr, memory: 'f32' | 'i32', term: number): Expr {
    return this.#k.load(this.#scratch.buffer, memory, this.#term(at, term));
  }

  /** What the integer sums of a span start at; a constant where that is the same everywhere. */
  initial(at: Expr, span: number): Expr {
    return this.#w.offset === 0 ? this.#terms.commonStart(I32) : this.#load(at, 'i32', FIRST_INITIAL + span);
  }

  scale(at: Expr): Expr {
    return this.#load(at, 'f32', SCALE);
  }

  /** The scale times minus the origin of sums; null where they start at zero. */
  originScale(at: Expr): Expr | null {
    return this.#terms.isShifted ? this.#load(at, 'f32', ORIGIN_SCALE) : null;
  }

  /** Scale times sum of codes of a span. */
  shift(at: Expr, span: number): Expr {
    return this.#load(at, 'f32', this.#firstShift + span);
  }
}
