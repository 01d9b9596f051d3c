/**
 * What the scale and the sum of codes of a block of activations become before a tile of many tokens reads them: lane by
 * lane, whether lanes are tokens or blocks of one token.
 */
import type { NumberFormat } from '../../quant/number-format.ts';
import { add, and, binary, constant, type Expr, fma, mul, shl, type Type, unary } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { hasLeast } from './packed-product.ts';

/**
 * Integer sums start at the bits of this float, 1.5 * 2^23, so that the bits of a sum are a float above it by that
 * sum: one fma by the activations' scale then converts and scales (sums stay below 2^22).
 */
const SUM_ORIGIN = 12_582_912;
const SUM_ORIGIN_BITS = 0x4b400000;

export interface TokenTerms {
  readonly scale: Expr;
  /** The scale times -SUM_ORIGIN; null where sums start at zero. */
  readonly originScale: Expr | null;
  /** What the integer sums of each span start at; empty where that is the same everywhere. */
  readonly initial: readonly Expr[];
  /** Scale times sum of codes of each span; empty where no weight has a minimum. */
  readonly shift: readonly Expr[];
}

/** The terms of products with one format of weights. `isShifted`: integer sums start at SUM_ORIGIN. */
export class TermMaker {
  readonly #k: KernelBuilder;
  readonly #x: NumberFormat;
  readonly #w: NumberFormat;
  readonly isShifted: boolean;

  constructor(k: KernelBuilder, x: NumberFormat, w: NumberFormat, isShifted: boolean) {
    this.#k = k;
    this.#x = x;
    this.#w = w;
    this.isShifted = isShifted;
  }

  /** From the bits of scales and the words of sums. */
  of(scaleBits: Expr, sumWords: Expr): TokenTerms {
    const k = this.#k;
    // 22 bits of the scale make its product with SUM_ORIGIN exact.
    const scale = k.let(unary('bits_f32', this.isShifted ? and(scaleBits, ~3) : scaleBits));
    const sums = this.#spanSums(sumWords);
    return {
      scale,
      originScale: this.isShifted ? mul(scale, -SUM_ORIGIN) : null,
      initial: this.#w.offset === 0 ? [] : sums.map((sum) => this.#start(mul(sum, -this.#w.offset))),
      shift: hasLeast(this.#w) ? sums.map((sum) => mul(scale, unary('to_f32', sum))) : [],
    };
  }

  #start(sum: Expr): Expr {
    return this.isShifted ? add(sum, SUM_ORIGIN_BITS) : sum;
  }

  /** What integer sums start at where that is the same everywhere. */
  commonStart(type: Type): Expr {
    return constant(type, this.isShifted ? SUM_ORIGIN_BITS : 0);
  }

  /** The sums of a unit's spans: one i32, or two i16 in one word. */
  #spanSums(word: Expr): Expr[] {
    const k = this.#k;
    if (this.#x.codeSum!.dtype === 'i32') return [word];
    return [k.let(binary('shr_s', shl(word, 16), 16)), k.let(binary('shr_s', word, 16))];
  }

  /** Integer sums as floats times the activations' scale. */
  scaled(sums: Expr, scale: Expr, originScale: Expr | null): Expr {
    return originScale === null ? mul(unary('to_f32', sums), scale) : fma(unary('bits_f32', sums), scale, originScale);
  }
}
