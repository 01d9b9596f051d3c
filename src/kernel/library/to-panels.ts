/**
 * `to_panels`: plain rows of any format, as files have them, in panels of the canonical layout. Sixteen codes of
 * a row at a time are taken from the file's planes; four rows' are turned into columns, joined to canonical words and
 * stored, so that a panel is filled four rows at a time. Loading a model runs every weight through this.
 */
import {
  codeParts,
  FIELD_BYTES,
  fieldOffset,
  type GroupField,
  groupOffset,
  isCanonical,
  isNumberFormat,
  type NumberFormat,
  paddingBytes,
  panel,
  panelBlockBytes,
  SUB_BLOCK,
} from '../../quant/number-format.ts';
import {
  add,
  and,
  type BufferParam,
  constant,
  type Expr,
  i32,
  type MemoryType,
  mul,
  or,
  shl,
  shrU,
  vectorType,
} from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import { storedInteger, vectorOf } from '../packed-block.ts';
import type { KernelTemplate } from '../template.ts';
import { kernelName } from './naming.ts';
import { transpose4 } from './transpose.ts';

/** Rows that are laid out together. */
const ROWS = 4;
const WORD_BYTES = 4;
/** Codes that one vector holds. */
const CODES = 16;
const I32X4 = vectorType('i32', ROWS);
const EACH = 0x01010101;

/** How a header field moves. */
const MEMORY_OF_SIZE: Readonly<Record<number, MemoryType>> = { 1: 'u8', 2: 'u16', 4: 'i32' };

/** Where four rows' blocks lie; null for rows that the last panel lacks. */
type RowPlaces = readonly (Expr | null)[];

/** Where four rows go: the panel's block, and which four of its rows they are. */
interface FourOfPanel {
  readonly block: Expr;
  readonly four: Expr;
}

class PanelCopy {
  readonly #k: KernelBuilder;
  readonly #from: NumberFormat;
  readonly #to: NumberFormat;
  readonly #x: BufferParam;
  readonly #out: BufferParam;

  constructor(k: KernelBuilder, from: NumberFormat, to: NumberFormat) {
    this.#k = k;
    this.#from = from;
    this.#to = to;
    this.#x = k.buffer('x', 'read');
    this.#out = k.buffer('output', 'write');
  }

  /** Bytes from a word of one row to the next word of the same row. */
  get #wordStep(): number {
    return WORD_BYTES * this.#to.panelRows;
  }

  /** One block of each of four rows. */
  block(rows: RowPlaces, to: FourOfPanel): void {
    const k = this.#k;
    this.#fields(rows, to);
    this.#integers(rows, to);
    this.#padding(rows, to);
    const { bits, blockSize, planes, panelRows } = this.#to;
    const words = k.let(add(to.block, mul(to.four, WORD_BYTES * ROWS)));
    const codes = add(words, planes[0]!.byteOffset * panelRows);
    if (isCanonical(this.#from)) {
      this.#words(rows, codes, (blockSize / SUB_BLOCK) * bits);
      return;
    }
    for (let subBlock = 0; subBlock * SUB_BLOCK < blockSize; subBlock++)
      this.#subBlock(rows, subBlock, add(codes, subBlock * bits * this.#wordStep));
  }

  #fields(rows: RowPlaces, { block, four }: FourOfPanel): void {
    const k = this.#k;
    for (const which of ['scale', 'min', 'zeroPoint', 'codeSum'] as const) {
      const [own, target] = [this.#from[which], this.#to[which]];
      if (own === null || target === null) continue;
      const bytes = FIELD_BYTES[own.dtype];
      const memory = MEMORY_OF_SIZE[bytes]!;
      const to = k.let(add(block, mul(four, ROWS * bytes)));
      for (const [row, at] of rows.entries()) {
        const value = at === null ? i32(0) : k.load(this.#x, memory, add(at, own.byteOffset));
        k.store(this.#out, memory, add(to, fieldOffset(this.#to, target, row)), value);
      }
    }
  }

  /** Group integers as bytes; a scale and a minimum that share a byte are joined. */
  #integers(rows: RowPlaces, { block, four }: FourOfPanel): void {
    const k = this.#k;
    const to = k.let(add(block, mul(four, ROWS)));
    const { subScale, subMin, blockSize, groupSize } = this.#to;
    const pairs = [
      [this.#from.subScale, subScale],
      [this.#from.subMin, subMin],
    ].filter((pair): pair is [GroupField, GroupField] => pair[0] !== null && pair[1] !== null);
    const starts = new Set(pairs.map(([, target]) => target.tables[0]!.byteOffsets[0]!));
    for (const start of starts) {
      const sharing = pairs.filter(([, target]) => target.tables[0]!.byteOffsets[0] === start);
      for (let group = 0; group * groupSize < blockSize; group++) {
        for (const [row, at] of rows.entries()) {
          const parts = sharing.map(([own, target]) => {
            const kept = and(storedInteger(k, this.#from, own, this.#x, at ?? i32(0), group), 2 ** target.bits - 1);
            return shl(kept, target.tables[0]!.shifts[0]!);
          });
          const byte = at === null ? i32(0) : parts.reduce((joined, part) => or(joined, part));
          k.store(this.#out, 'u8', add(to, groupOffset(this.#to, start + group, row)), byte);
        }
      }
    }
  }

  /** Zeros where nothing is. */
  #padding(rows: RowPlaces, { block, four }: FourOfPanel): void {
    const to = this.#k.let(add(block, mul(four, ROWS)));
    for (const byteOffset of paddingBytes(this.#to)) {
      for (const row of rows.keys())
        this.#k.store(this.#out, 'u8', add(to, groupOffset(this.#to, byteOffset, row)), i32(0));
    }
  }

  /** Words that are canonical already: four of each row become four columns. */
  #words(rows: RowPlaces, to: Expr, count: number): void {
    const k = this.#k;
    const from = this.#from.planes[0]!.byteOffset;
    const whole = count - (count % ROWS);
    for (let word = 0; word < whole; word += ROWS) {
      const own = rows.map((at) => at && k.load(this.#x, 'i32', add(at, from + WORD_BYTES * word), ROWS));
      this.#columns(own, add(to, word * this.#wordStep), ROWS);
    }
    for (let word = whole; word < count; word++) {
      for (const [row, at] of rows.entries()) {
        const value = at === null ? i32(0) : k.load(this.#x, 'i32', add(at, from + WORD_BYTES * word));
        k.store(this.#out, 'i32', add(to, word * this.#wordStep + row * WORD_BYTES), value);
      }
    }
  }

  /** The first `count` lanes of four rows' vectors as columns. */
  #columns(rows: readonly (Expr | null)[], to: Expr, count: number): void {
    const k = this.#k;
    for (const [word, column] of transpose4(k, this.#square(rows)).slice(0, count).entries())
      k.store(this.#out, 'i32', add(to, word * this.#wordStep), column);
  }

  /** Four rows' vectors, zero for those that are missing. */
  #square(rows: readonly (Expr | null)[]): [Expr, Expr, Expr, Expr] {
    return rows.map((row) => this.#k.let(row ?? constant(I32X4, 0))) as [Expr, Expr, Expr, Expr];
  }

  /** The canonical words of a sub-block: rows' quads turned into columns, from which those of the words are joined. */
  #subBlock(rows: RowPlaces, subBlock: number, to: Expr): void {
    const k = this.#k;
    const { bits, planes } = this.#to;
    const halves = rows.map(
      (at) => at && [0, CODES].map((half) => this.#codes(at, subBlock * SUB_BLOCK + half)),
    ) as readonly ([Expr, Expr] | null)[];
    if (bits === 4) {
      // A word is a quad and the fourth after it: as well joined before.
      this.#columns(
        halves.map((row) => row && or(row[0], shl(row[1], 4))),
        to,
        ROWS,
      );
      return;
    }
    const quads = [0, 1].flatMap((half) => transpose4(k, this.#square(halves.map((row) => row && row[half]!))));
    const words = Array.from({ length: bits }, () => [] as Expr[]);
    for (const [quad, codes] of quads.entries()) {
      const own = k.let(codes);
      for (const { byteOffset, shift, mask, place } of codeParts({ planes, panelRows: 1 }, quad)) {
        const [isAll, word] = [mask === 2 ** bits - 1, (byteOffset - planes[0]!.byteOffset) / WORD_BYTES];
        const part = isAll ? own : and(own, (mask << place) * EACH);
        words[word]!.push(shift < place ? shrU(part, place - shift) : shl(part, shift - place));
      }
    }
    for (const [word, parts] of words.entries()) {
      const joined = parts.reduce((all, part) => or(all, part));
      k.store(this.#out, 'i32', add(to, word * this.#wordStep), joined);
    }
  }

  /** Sixteen codes of a row as bytes, from element `element` of its block on. */
  #codes(at: Expr, element: number): Expr {
    const k = this.#k;
    const parts = codeParts(this.#from, element / 4).map(({ byteOffset, byteStep, shift, mask, place }) => {
      if (byteStep === 1) {
        const bytes = shrU(k.load(this.#x, 'i32', add(at, byteOffset), ROWS), shift);
        return shl(mask === 0xff ? bytes : and(bytes, mask * EACH), place);
      }
      // Single bits side by side: this product puts bit i of four into byte i.
      const bits = k.let(k.load(this.#x, 'u16', add(at, byteOffset)));
      const spread = [0, 4, 8, 12].map((start) => and(mul(and(shrU(bits, start), 15), 0x204081), EACH));
      return shl(vectorOf(spread), place);
    });
    return k.let(parts.reduce((joined, part) => or(joined, part)));
  }
}

/** Whether sixteen neighbouring codes lie in sixteen neighbouring bytes of each plane, or are single bits side by side. */
const isReadable = ({ planes }: NumberFormat): boolean =>
  planes.every(({ period, bits }) => period % CODES === 0 || (period === 1 && bits === 1));

export const toPanelsKernel: KernelTemplate = {
  op: 'to_panels',
  name: 'to panels',
  supports: ({ inputs: [x], attrs, machine, epilogue }) =>
    isNumberFormat(x!.dtype) &&
    (isCanonical(x!.dtype) || isReadable(x!.dtype)) &&
    (attrs.panelRows as number) % ROWS === 0 &&
    machine.lanes >= ROWS &&
    !epilogue,
  schedules: () => [{}],
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('to_panels', request, schedule), request.machine.lanes);
    const format = request.inputs[0]!.dtype as NumberFormat;
    const panelRows = request.attrs.panelRows as number;
    const target = panel(format, panelRows);
    const copy = new PanelCopy(k, format, target);
    const [rows, columns] = request.output.shape as readonly [number, number];
    const blocks = columns / format.blockSize;
    const rowBytes = blocks * format.blockBytes;
    const blockBytes = panelBlockBytes(target);
    const copyPanel = (number: Expr, count: number): void => {
      const to = k.variable(mul(number, blocks * blockBytes));
      const start = k.let(mul(number, panelRows * rowBytes));
      k.loop(start, add(start, rowBytes), format.blockBytes, (at) => {
        forFours(k, panelRows, count, (four, valid) => {
          const first = k.let(add(at, mul(four, ROWS * rowBytes)));
          const places = [0, 1, 2, 3].map((row) => (row < valid ? add(first, row * rowBytes) : null));
          copy.block(places, { block: to, four });
        });
        k.set(to, add(to, blockBytes));
      });
    };
    const whole = Math.floor(rows / panelRows);
    k.parallelLoop(whole, 1, (number) => copyPanel(number, panelRows));
    if (rows % panelRows !== 0) k.parallelLoop(1, 1, () => copyPanel(i32(whole), rows % panelRows));
    return k.finish();
  },
};

/** The fours of a panel of which `count` rows exist: whole ones, one with rows that are missing, and those without any. */
function forFours(k: KernelBuilder, panelRows: number, count: number, body: (four: Expr, valid: number) => void): void {
  const [whole, present, all] = [Math.floor(count / ROWS), Math.ceil(count / ROWS), panelRows / ROWS];
  const run = (from: number, end: number, valid: number): void => {
    if (end - from === 1) body(i32(from), valid);
    else if (end > from) k.loop(from, end, 1, (four) => body(four, valid));
  };
  run(0, whole, ROWS);
  run(whole, present, count % ROWS);
  run(present, all, 0);
}
