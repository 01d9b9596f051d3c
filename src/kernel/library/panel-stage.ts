/**
 * Packed panels decoded to bytes in thread scratch, so that many tokens share the decoding, and every load of a tile is one
 * plain vector.
 */
import { levelBits, type NumberFormat, panelBlockBytes, SUB_BLOCK } from '../../quant/number-format.ts';
import { add, binary, type Expr, mul, type Operand, or, sub } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import { quadOrder } from '../packed-block.ts';
import {
  blockReader,
  hasLeast,
  type PackedOperand,
  panelBytes,
  type UnitReader,
  type UnitSizes,
} from './packed-product.ts';

/** Bytes of a vector with a word of each row. */
const vectorBytes = ({ panelRows }: NumberFormat): number => 4 * panelRows;

/** Bytes of one unit of a staged panel. */
export const stagedUnitBytes = (w: NumberFormat, { quads, spans }: UnitSizes): number =>
  vectorBytes(w) * (quads + spans * (hasLeast(w) ? 2 : 1));

/** Whether `signedLevels` gives levels minus the offset of a format. */
export const hasSignedLevels = (w: NumberFormat): boolean => levelBits(w) < 8 || w.offset === 128;

/** Bytes of unsigned levels as two's complement bytes of level - offset. */
export function signedLevels(w: NumberFormat, levels: Expr): Expr {
  const bytes = (byte: number): number => (byte * 0x01010101) | 0;
  if (w.offset === 128) return binary('xor', levels, bytes(0x80));
  // With their highest bits set, no byte borrows from the next.
  return binary('xor', sub(or(levels, bytes(0x80)), bytes(w.offset)), bytes(0x80));
}

/** Panels decoded to bytes, unit after unit: one vector of levels per quad, then the steps and minimums of the spans. */
export class PanelStage {
  readonly #k: KernelBuilder;
  readonly #w: PackedOperand;
  readonly #sizes: UnitSizes;
  /** Bytes from one staged panel to the next. */
  readonly panelBytes: number;
  readonly #scratch: { readonly buffer: PackedOperand['buffer']; readonly byteOffset: number };

  readonly #isSigned: boolean;

  /** Room for `blocks` blocks of each of `panels` panels. `isSigned`: levels minus their offset, as signed bytes. */
  constructor(k: KernelBuilder, w: PackedOperand, sizes: UnitSizes, panels: number, blocks: number, isSigned = false) {
    this.#isSigned = isSigned;
    this.#k = k;
    this.#w = w;
    this.#sizes = sizes;
    this.panelBytes = blocks * sizes.unitsPerBlock * this.unitBytes;
    this.#scratch = k.threadScratch(panels * this.panelBytes);
  }

  get unitBytes(): number {
    return stagedUnitBytes(this.#w.format, this.#sizes);
  }

  /** Where panel number `panel` of the stage begins. */
  at(panel: Expr): Expr {
    return add(mul(panel, this.panelBytes), this.#scratch.byteOffset);
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
      k.store(this.#scratch.buffer, memory, add(to, vectorBytes(format) * vector), value);
    for (let start = 0; start < quads; start += SUB_BLOCK / 4) {
      for (const quad of quadOrder(format)) {
        const levels = reader.levels(0, start + quad);
        put(start + quad, 'i32', this.#isSigned ? signedLevels(format, levels) : levels);
      }
    }
    for (let span = 0; span < spans; span++) {
      put(quads + span, 'f32', reader.step(0, span));
      if (hasLeast(format)) put(quads + spans + span, 'f32', reader.least(0, span));
    }
  }

  #load(at: Expr, memory: 'f32' | 'i32', vector: number): Expr {
    const { format } = this.#w;
    return this.#k.load(this.#scratch.buffer, memory, add(at, vectorBytes(format) * vector), format.panelRows);
  }

  /** Where the levels lie that `at` begins with: a vector of 4 bytes of each row for each quad. */
  get buffer(): PackedOperand['buffer'] {
    return this.#scratch.buffer;
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
