/**
 * Both operands of a packed product laid out for tiles of 4 tokens x 4 rows in thread scratch, so that many tokens share
 * the decoding of weights, and every load of a tile is one plain vector.
 */
import { type NumberFormat, panelBlockBytes, SUB_BLOCK } from '../../quant/number-format.ts';
import {
  add,
  and,
  binary,
  constant,
  type Expr,
  i32,
  min,
  mul,
  type Operand,
  shl,
  unary,
  vectorType,
} from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { quadOrder } from '../packed-block.ts';
import {
  blockReader,
  hasLeast,
  LANES,
  type PackedOperand,
  panelBytes,
  type UnitReader,
  type UnitSizes,
} from './packed-product.ts';
import { transpose4 } from './transpose.ts';

const VECTOR_BYTES = 16;
const I32X4 = vectorType('i32', LANES);

/**
 * Integer sums start at the bits of this float, 1.5 * 2^23, so that the bits of a sum are a float above it by that
 * sum: one fma by the activations' scale then converts and scales (sums stay below 2^22).
 */
export const SUM_ORIGIN = 12_582_912;
const SUM_ORIGIN_BITS = 0x4b400000;

/** Vectors of one unit of 4 tokens: level codes, the scale, its product with -SUM_ORIGIN, then per span what follows. */
interface TokenLayout {
  readonly scale: number;
  readonly originScale: number;
  /** What integer sums start at; -1 where that is the same everywhere. */
  readonly initial: number;
  /** Scale times sum of codes; -1 where no weight has a minimum. */
  readonly shift: number;
  readonly bytes: number;
}

export function tokenLayout(w: NumberFormat, { quads, spans }: UnitSizes): TokenLayout {
  const scale = VECTOR_BYTES * quads;
  const originScale = scale + VECTOR_BYTES;
  const initial = originScale + VECTOR_BYTES;
  const shift = initial + (w.offset === 0 ? 0 : VECTOR_BYTES * spans);
  const bytes = shift + (hasLeast(w) ? VECTOR_BYTES * spans : 0);
  return { scale, originScale, initial: w.offset === 0 ? -1 : initial, shift: hasLeast(w) ? shift : -1, bytes };
}

/** Activations by fours of tokens: lane t of each vector belongs to token t of the four. */
export class TokenStage {
  readonly #k: KernelBuilder;
  readonly #x: PackedOperand;
  readonly #w: NumberFormat;
  readonly #sizes: UnitSizes;
  readonly #layout: TokenLayout;
  readonly #scratch: { readonly buffer: PackedOperand['buffer']; readonly byteOffset: number };
  /** Whether sums start at SUM_ORIGIN. */
  readonly isShifted: boolean;

  constructor(
    k: KernelBuilder,
    x: PackedOperand,
    w: NumberFormat,
    sizes: UnitSizes,
    fours: number,
    isShifted: boolean,
  ) {
    this.#k = k;
    this.#x = x;
    this.#w = w;
    this.#sizes = sizes;
    this.#layout = tokenLayout(w, sizes);
    this.isShifted = isShifted;
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
    const [, , scaleBits, sumWord] = words(format.blockBytes - VECTOR_BYTES);
    // 22 bits of the scale make its product with SUM_ORIGIN exact.
    const scale = k.let(unary('bits_f32', this.isShifted ? and(scaleBits, ~3) : scaleBits));
    put(layout.scale, scale);
    if (this.isShifted) put(layout.originScale, mul(scale, -SUM_ORIGIN));
    this.#sums(sumWord).forEach((sum, span) => {
      if (layout.initial >= 0) put(layout.initial + VECTOR_BYTES * span, this.#start(mul(sum, -this.#w.offset)));
      if (layout.shift >= 0) put(layout.shift + VECTOR_BYTES * span, mul(scale, unary('to_f32', sum)));
    });
  }

  #start(sum: Expr): Expr {
    return this.isShifted ? add(sum, SUM_ORIGIN_BITS) : sum;
  }

  /** The sums of a unit's spans: one i32, or two i16 in one word. */
  #sums(word: Expr): Expr[] {
    const k = this.#k;
    if (this.#x.format.codeSum!.dtype === 'i32') return [word];
    return [k.let(binary('shr_s', shl(word, 16), 16)), k.let(binary('shr_s', word, 16))];
  }

  #load(at: Expr, memory: 'f32' | 'i32', offset: number): Expr {
    return this.#k.load(this.#scratch.buffer, memory, add(at, offset), LANES);
  }

  codes(at: Expr, quad: number): Expr {
    return this.#load(at, 'i32', VECTOR_BYTES * quad);
  }

  /** What the integer sums of a span start at. */
  initial(at: Expr, span: number): Expr {
    const { initial } = this.#layout;
    if (initial < 0) return constant(I32X4, this.isShifted ? SUM_ORIGIN_BITS : 0);
    return this.#load(at, 'i32', initial + VECTOR_BYTES * span);
  }

  scale(at: Expr): Expr {
    return this.#load(at, 'f32', this.#layout.scale);
  }

  /** The scale times -SUM_ORIGIN. */
  originScale(at: Expr): Expr {
    return this.#load(at, 'f32', this.#layout.originScale);
  }

  /** Scale times sum of codes of a span. */
  shift(at: Expr, span: number): Expr {
    return this.#load(at, 'f32', this.#layout.shift + VECTOR_BYTES * span);
  }
}

/** Bytes of one unit of a staged panel. */
export const stagedUnitBytes = (w: NumberFormat, { quads, spans }: UnitSizes): number =>
  VECTOR_BYTES * (quads + spans * (hasLeast(w) ? 2 : 1));

/** Panels decoded to bytes, unit after unit: one vector of levels per quad, then the steps and minimums of the spans. */
export class PanelStage {
  readonly #k: KernelBuilder;
  readonly #w: PackedOperand;
  readonly #sizes: UnitSizes;
  readonly #panelBytes: number;
  readonly #scratch: { readonly buffer: PackedOperand['buffer']; readonly byteOffset: number };

  /** Room for `blocks` blocks of each of `panels` panels. */
  constructor(k: KernelBuilder, w: PackedOperand, sizes: UnitSizes, panels: number, blocks: number) {
    this.#k = k;
    this.#w = w;
    this.#sizes = sizes;
    this.#panelBytes = blocks * sizes.unitsPerBlock * this.unitBytes;
    this.#scratch = k.threadScratch(panels * this.#panelBytes);
  }

  get unitBytes(): number {
    return stagedUnitBytes(this.#w.format, this.#sizes);
  }

  /** Where panel number `panel` of the stage begins. */
  at(panel: Expr): Expr {
    return add(mul(panel, this.#panelBytes), this.#scratch.byteOffset);
  }

  /** Decodes `count` blocks from block `from` on of the panels first .. first + panels - 1. */
  fill(first: Expr, panels: number, from: Expr, count: Expr): void {
    const [k, { format }, sizes] = [this.#k, this.#w, this.#sizes];
    const bytes = panelBytes(format, sizes.units * sizes.quads * 4);
    const blockBytes = panelBlockBytes(format);
    k.loop(0, panels, 1, (panel) => {
      const to = k.variable(this.at(panel));
      const start = k.let(add(mul(add(first, panel), bytes), mul(from, blockBytes)));
      k.loop(start, add(start, mul(count, blockBytes)), blockBytes, (block) => {
        const unit = blockReader(k, this.#w, sizes, { count: 1, bytes }, block);
        const fill = (u: Operand): void => {
          this.#fillUnit(unit(u), to);
          k.set(to, add(to, this.unitBytes));
        };
        if (sizes.unitsPerBlock === 1) fill(0);
        else k.loop(0, sizes.unitsPerBlock, 1, fill);
      });
    });
  }

  #fillUnit(reader: UnitReader, to: Expr): void {
    const [k, { format }, { quads, spans }] = [this.#k, this.#w, this.#sizes];
    const put = (vector: number, memory: 'f32' | 'i32', value: Expr): void =>
      k.store(this.#scratch.buffer, memory, add(to, VECTOR_BYTES * vector), value);
    for (let start = 0; start < quads; start += SUB_BLOCK / 4) {
      for (const quad of quadOrder(format)) put(start + quad, 'i32', reader.levels(0, start + quad));
    }
    for (let span = 0; span < spans; span++) {
      put(quads + span, 'f32', reader.step(0, span));
      if (hasLeast(format)) put(quads + spans + span, 'f32', reader.least(0, span));
    }
  }

  #load(at: Expr, memory: 'f32' | 'i32', vector: number): Expr {
    return this.#k.load(this.#scratch.buffer, memory, add(at, VECTOR_BYTES * vector), LANES);
  }

  levels(at: Expr, quad: number): Expr {
    return this.#load(at, 'i32', quad);
  }

  step(at: Expr, span: number): Expr {
    return this.#load(at, 'f32', this.#sizes.quads + span);
  }

  least(at: Expr, span: number): Expr {
    return this.#load(at, 'f32', this.#sizes.quads + this.#sizes.spans + span);
  }
}
