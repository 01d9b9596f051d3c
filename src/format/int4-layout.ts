/**
 * 4-bit weights as AWQ and GPTQ lay them out, turned into rows of the packed format `I4_G<group>Z` without a change of
 * value. Both pack eight codes in a 32-bit word: AWQ eight output features in the order 0, 2, 4, 6, 1, 3, 5, 7, GPTQ eight
 * input features (zero points: eight output features) in order.
 * Sources: Lin et al. 2024 (AWQ) with AutoAWQ's "gemm" packing; Frantar et al. 2023 (GPTQ) with AutoGPTQ's packing.
 */
import type { NumberFormat } from '../quant/index.ts';

/** The raw tensors of one layer, in words of eight codes; those of codes transposed, so that a row's lie together. */
export interface Int4Words {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Input features under one scale in the checkpoint; a multiple of the format's. */
  readonly groupSize: number;
  /** AWQ: [outFeatures / 8, inFeatures]. GPTQ: [outFeatures, inFeatures / 8]. */
  readonly codes: Uint32Array;
  /** [groups, outFeatures / 8]. */
  readonly zeros: Uint32Array;
  /** [groups, outFeatures] f16. */
  readonly scales: Uint16Array;
}

/** How a method packs. */
export interface Int4Layout {
  /** Features that one word of codes spans, along outputs (AWQ) or inputs. */
  readonly axis: 'out' | 'in';
  /** Where in a word the zero point of each of eight outputs is, in steps of four bits. */
  readonly zeroPlaces: readonly number[];
  /** What is added to a stored zero point; the sum is modulo 16. */
  readonly zeroOffset: number;
}

/** Nibble of each of eight outputs in a word of AWQ. */
const AWQ_PLACES = [0, 4, 1, 5, 2, 6, 3, 7] as const;
const IN_ORDER = [0, 1, 2, 3, 4, 5, 6, 7] as const;

export const AWQ_LAYOUT: Int4Layout = { axis: 'out', zeroPlaces: AWQ_PLACES, zeroOffset: 0 };
/** GPTQ's first format stores zero points minus one, its second as they are. */
export const GPTQ_LAYOUT: Int4Layout = { axis: 'in', zeroPlaces: IN_ORDER, zeroOffset: 1 };
export const GPTQ_V2_LAYOUT: Int4Layout = { ...GPTQ_LAYOUT, zeroOffset: 0 };

const LOW = 0x0f0f0f0f;
const HIGH = 0xf0f0f0f0;

/** Codes of 32 inputs of eight outputs, AWQ: word `at + i` has input i. Row r's 16 bytes go to out[r * rowBytes + to ..]. */
function awqCodes(words: Uint32Array, at: number, out: Uint8Array, to: number, rowBytes: number): void {
  for (let j = 0; j < 16; j++) {
    const low = words[at + j]!;
    const high = words[at + j + 16]!;
    const first = (low & LOW) | ((high & LOW) << 4); // nibbles 0, 2, 4, 6, a byte each
    const second = ((low >>> 4) & LOW) | (high & HIGH); // nibbles 1, 3, 5, 7
    for (let row = 0; row < 8; row++) {
      const place = AWQ_PLACES[row]!;
      out[row * rowBytes + to + j] = (place & 1 ? second : first) >>> (8 * (place >> 1));
    }
  }
}

/** Codes of 32 inputs of one output, GPTQ: words at + 0, 1, 2, 3, eight inputs each, to 16 bytes. */
function gptqCodes(words: Uint32Array, at: number, out: Uint8Array, to: number): void {
  for (let half = 0; half < 2; half++) {
    const low = words[at + half]!;
    const high = words[at + half + 2]!;
    const even = (low & LOW) | ((high & LOW) << 4);
    const odd = ((low >>> 4) & LOW) | (high & HIGH);
    for (let j = 0; j < 4; j++) {
      out[to + 8 * half + 2 * j] = even >>> (8 * j);
      out[to + 8 * half + 2 * j + 1] = odd >>> (8 * j);
    }
  }
}

/** Words of a cache line. */
const TILE = 16;

/** [columns, rows] from words [rows, columns], a tile of cache lines at a time. */
export function transposedWords(words: Uint32Array, rows: number, columns: number): Uint32Array {
  const result = new Uint32Array(words.length);
  for (let column = 0; column < columns; column += TILE) {
    const lastColumn = Math.min(columns, column + TILE);
    for (let row = 0; row < rows; row += TILE) {
      const lastRow = Math.min(rows, row + TILE);
      for (let c = column; c < lastColumn; c++)
        for (let r = row; r < lastRow; r++) result[c * rows + r] = words[r * columns + c]!;
    }
  }
  return result;
}

/** Rows 8 * eight … 8 * eight + 7 in `format`, to `out` (8 rows). */
export function int4Rows(
  words: Int4Words,
  layout: Int4Layout,
  format: NumberFormat,
  eight: number,
  out: Uint8Array,
): void {
  const { inFeatures, outFeatures, groupSize, codes, zeros, scales } = words;
  const { blockSize, blockBytes, planes, zeroPoint, scale } = format;
  const rowBytes = (inFeatures / blockSize) * blockBytes;
  const wordsPerRow = outFeatures / 8;
  for (let block = 0; block < inFeatures / blockSize; block++) {
    const start = block * blockSize;
    const group = Math.floor(start / groupSize);
    const zeroWord = zeros[group * wordsPerRow + eight]!;
    for (let row = 0; row < 8; row++) {
      const base = row * rowBytes + block * blockBytes;
      const bits = scales[group * outFeatures + 8 * eight + row]!;
      out[base + scale.byteOffset] = bits;
      out[base + scale.byteOffset + 1] = bits >>> 8;
      out[base + zeroPoint!.byteOffset] = ((zeroWord >>> (4 * layout.zeroPlaces[row]!)) + layout.zeroOffset) & 15;
    }
    for (let sub = 0; sub < blockSize; sub += 32) {
      const to = block * blockBytes + planes[0]!.byteOffset + sub / 2;
      if (layout.axis === 'out') awqCodes(codes, eight * inFeatures + start + sub, out, to, rowBytes);
      else
        for (let row = 0; row < 8; row++) {
          gptqCodes(codes, ((8 * eight + row) * inFeatures + start + sub) / 8, out, row * rowBytes + to);
        }
    }
  }
}
