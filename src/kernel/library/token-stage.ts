/**
 * Activations laid out for tiles of 4 tokens x 4 rows (packed-tiles.ts) in thread scratch, so that every load of a tile is
 * one plain vector.
 */
import type { NumberFormat } from '../../quant/number-format.ts';
import { add, type Expr, i32, min, mul, vectorType } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { hasLeast, type PackedOperand, type UnitSizes } from './packed-product.ts';
import type { TermMaker } from './token-terms.ts';
import { transpose4 } from './transpose.ts';

const LANES = 4;
const VECTOR_BYTES = 16;
const I32X4 = vectorType('i32', LANES);

/** Vectors of one unit of 4 tokens: level codes, the scale, its product with the origin of sums, then per span what follows. */
interface TokenLayout {
  readonly scale: number;
  readonly originScale: number;
  readonly initial: number;
  readonly shift: number;
  readonly bytes: number;
}

export function tokenLayout(w: NumberFormat, { quads, spans }: UnitSizes): TokenLayout {
  const scale = VECTOR_BYTES * quads;
  const originScale = scale + VECTOR_BYTES;
  const initial = originScale + VECTOR_BYTES;
  const shift = initial + (w.offset === 0 ? 0 : VECTOR_BYTES * spans);
  const bytes = shift + (hasLeast(w) ? VECTOR_BYTES * spans : 0);
  return { scale, originScale, initial, shift, bytes };
}

/** Activations by fours of tokens: lane t of each vector belongs to token t of the four. */
export class TokenStage {
  readonly #k: KernelBuilder;
  readonly #x: PackedOperand;
  readonly #w: NumberFormat;
  readonly #sizes: UnitSizes;
  readonly #layout: TokenLayout;
  readonly #terms: TermMaker;
  readonly #scratch: { readonly buffer: PackedOperand['buffer']; readonly byteOffset: number };

  constructor(k: KernelBuilder, x: PackedOperand, w: NumberFormat, sizes: UnitSizes, fours: number, terms: TermMaker) {
    this.#k = k;
    this.#x = x;
    this.#w = w;
    this.#sizes = sizes;
    this.#layout = tokenLayout(w, sizes);
    this.#terms = terms;
    this.#scratch = k.threadScratch(fours * this.fourBytes);
  }

  /** Bytes from one four of tokens to the next. */
  get fourBytes(): number {
    return this.#sizes.units * this.#layout.bytes;
  }

  /** Where unit `unit` of four number `four` lies. */
  at(four: Expr, unit: Expr): Expr {
    return add(add(mul(four, this.fourBytes), mul(unit, this.#layout.bytes)), this.#scratch.byteOffset);
  }

  get unitBytes(): number {
    return this.#layout.bytes;
  }

  /** Lays out tokens 4 * first .. in `count` fours; tokens past the last repeat it. */
  fill(first: Expr, count: Expr, tokens: number): void {
    const [k, { format }, { units }] = [this.#k, this.#x, this.#sizes];
    k.loop(0, count, 1, (four) => {
      const to = k.variable(this.at(four, i32(0)));
      const rows = Array.from({ length: LANES }, (_, t) => {
        const token = min(add(mul(add(first, four), LANES), t), i32(tokens - 1));
        return k.let(mul(token, units * format.blockBytes));
      });
      k.loop(0, units * format.blockBytes, format.blockBytes, (block) => {
        this.#fillUnit(
          rows.map((row) => k.let(add(row, block))),
          to,
        );
        k.set(to, add(to, this.#layout.bytes));
      });
    });
  }

  #fillUnit(blocks: readonly Expr[], to: Expr): void {
    const [k, { buffer, format }, layout] = [this.#k, this.#x, this.#layout];
    const words = (offset: number): [Expr, Expr, Expr, Expr] =>
      transpose4(
        k,
        blocks.map((at) => k.let(k.load(buffer, 'i32', add(at, offset), LANES))) as [Expr, Expr, Expr, Expr],
      );
    const put = (offset: number, value: Expr): void =>
      k.store(this.#scratch.buffer, value.type.element === 'f32' ? 'f32' : 'i32', add(to, offset), value);
    const codes = format.planes[0]!.byteOffset;
    for (let quad = 0; quad < this.#sizes.quads; quad += LANES) {
      for (const [i, word] of words(codes + 4 * quad).entries()) put(VECTOR_BYTES * (quad + i), word);
    }
    // Scale and sum lie behind the codes: the last four words of the block end with them.
    const [, , scaleBits, sumWords] = words(format.blockBytes - VECTOR_BYTES);
    const { scale, originScale, initial, shift } = this.#terms.of(scaleBits, sumWords);
    put(layout.scale, scale);
    if (originScale) put(layout.originScale, originScale);
    for (const [span, value] of initial.entries()) put(layout.initial + VECTOR_BYTES * span, value);
    for (const [span, value] of shift.entries()) put(layout.shift + VECTOR_BYTES * span, value);
  }

  #load(at: Expr, memory: 'f32' | 'i32', offset: number): Expr {
    return this.#k.load(this.#scratch.buffer, memory, add(at, offset), LANES);
  }

  codes(at: Expr, quad: number): Expr {
    return this.#load(at, 'i32', VECTOR_BYTES * quad);
  }

  /** What the integer sums of a span start at. */
  initial(at: Expr, span: number): Expr {
    if (this.#w.offset === 0) return this.#terms.commonStart(I32X4);
    return this.#load(at, 'i32', this.#layout.initial + VECTOR_BYTES * span);
  }

  scale(at: Expr): Expr {
    return this.#load(at, 'f32', this.#layout.scale);
  }

  /** The scale times minus the origin of sums; null where they start at zero. */
  originScale(at: Expr): Expr | null {
    return this.#terms.isShifted ? this.#load(at, 'f32', this.#layout.originScale) : null;
  }

  /** Scale times sum of codes of a span. */
  shift(at: Expr, span: number): Expr {
    return this.#load(at, 'f32', this.#layout.shift + VECTOR_BYTES * span);
  }
}
