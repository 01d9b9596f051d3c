/**
 * Panels of packed weights decoded to bytes in thread scratch, so that many tokens share the decoding; and the reader by
 * which a tile finds codes and parameters, wherever they lie.
 */
import { type NumberFormat, panelBlockBytes, SUB_BLOCK } from '../../quant/number-format.ts';
import { groupOrder, loadField, panelCodes, subBlockBytes } from '../decode.ts';
import { add, type BufferParam, type Expr, i32, mul } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';

const LANES = 4;
const VECTOR_BYTES = 16;

/** Where a tile finds the codes and parameters of its panels in the block at hand. */
export interface PanelReader {
  codes(panel: number, subBlock: number): (group: number) => Expr;
  field(panel: number, which: 'scale' | 'min' | 'zeroPoint'): Expr;
}

/** Panels decoded to bytes in scratch: per block the parameters as f32, then one vector of codes per group and panel. */
export class PanelStage {
  readonly #k: KernelBuilder;
  readonly #buffer: BufferParam;
  readonly #format: NumberFormat;
  readonly #blocks: number;
  readonly #panels: number;
  readonly #scratch: { buffer: BufferParam; byteOffset: number };
  readonly #fields: readonly ('scale' | 'min' | 'zeroPoint')[];

  constructor(k: KernelBuilder, buffer: BufferParam, format: NumberFormat, panels: number, blocks: number) {
    this.#k = k;
    this.#buffer = buffer;
    this.#format = format;
    this.#panels = panels;
    this.#blocks = blocks;
    this.#fields = (['scale', 'min', 'zeroPoint'] as const).filter((which) => format[which] !== null);
    this.#scratch = k.threadScratch(blocks * this.#blockBytes);
  }

  get #blockBytes(): number {
    return VECTOR_BYTES * this.#panels * (this.#fields.length + this.#format.blockSize / 4);
  }

  #fieldOffset(panel: number, which: 'scale' | 'min' | 'zeroPoint'): number {
    return VECTOR_BYTES * (this.#fields.indexOf(which) * this.#panels + panel);
  }

  #codeOffset(panel: number, subBlock: number, group: number): number {
    return VECTOR_BYTES * ((this.#fields.length + (subBlock * SUB_BLOCK) / 4 + group) * this.#panels + panel);
  }

  /** Decodes panels first .. first + panels - 1. */
  fill(first: Expr, panels: number): void {
    const [k, format] = [this.#k, this.#format];
    const to = k.variable(i32(this.#scratch.byteOffset));
    const bytes = panelBlockBytes(format);
    const start = k.let(mul(first, this.#blocks * bytes));
    k.loop(start, add(start, this.#blocks * bytes), bytes, (at) => {
      for (let p = 0; p < panels; p++) {
        const base = add(at, p * this.#blocks * bytes);
        const put = (offset: number, memory: 'f32' | 'i32', value: Expr): void =>
          k.store(this.#scratch.buffer, memory, add(to, offset), value);
        for (const which of this.#fields)
          put(this.#fieldOffset(p, which), 'f32', loadField(k, format, format[which]!, this.#buffer, base, 0, LANES));
        for (let subBlock = 0; subBlock * SUB_BLOCK < format.blockSize; subBlock++) {
          const codes = panelCodes(k, format, this.#buffer, add(base, subBlock * subBlockBytes(format)));
          for (const group of groupOrder(format)) put(this.#codeOffset(p, subBlock, group), 'i32', codes(group));
        }
      }
      k.set(to, add(to, this.#blockBytes));
    });
  }

  /** A reader that stands at the first block. */
  reader(): { reader: PanelReader; next: () => void } {
    const k = this.#k;
    const at = k.variable(i32(this.#scratch.byteOffset));
    const load = (memory: 'f32' | 'i32', offset: number): Expr =>
      k.load(this.#scratch.buffer, memory, add(at, offset), LANES);
    return {
      reader: {
        codes: (panel, subBlock) => (group) => load('i32', this.#codeOffset(panel, subBlock, group)),
        field: (panel, which) => load('f32', this.#fieldOffset(panel, which)),
      },
      next: () => k.set(at, add(at, this.#blockBytes)),
    };
  }
}
