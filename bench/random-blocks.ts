/**
 * Random weights made directly in their stored form, which is a hundred times quicker than drawing normal
 * numbers and packing them. Their mean is near zero and their deviation as asked, so that activations stay tame.
 */
import { numberToF16 } from '../src/ir/float16.ts';
import { type GroupField, type NumberFormat, Q2_K, Q3_K, Q4_0, Q4_K, Q8_0 } from '../src/quant/index.ts';

/** Source of 32-bit words (xorshift128, Marsaglia 2003). The same seed gives the same words. */
export class RandomWords {
  #x: number;
  #y = 362436069;
  #z = 521288629;
  #w = 88675123;

  constructor(seed: number) {
    this.#x = (seed ^ 0x9e3779b9) | 1;
    for (let i = 0; i < 20; i++) this.next();
  }

  next(): number {
    const t = this.#x ^ (this.#x << 11);
    this.#x = this.#y;
    this.#y = this.#z;
    this.#z = this.#w;
    this.#w = this.#w ^ (this.#w >>> 19) ^ t ^ (t >>> 8);
    return this.#w;
  }

  fill(words: Uint32Array): void {
    let [x, y, z, w] = [this.#x, this.#y, this.#z, this.#w];
    for (let i = 0; i < words.length; i++) {
      const t = x ^ (x << 11);
      x = y;
      y = z;
      z = w;
      w = w ^ (w >>> 19) ^ t ^ (t >>> 8);
      words[i] = w;
    }
    [this.#x, this.#y, this.#z, this.#w] = [x, y, z, w];
  }
}

/** Turns random bytes into elements with the given standard deviation, in place. */
export type Shaper = (bytes: Uint8Array, deviation: number) => void;

/** f16: a random sign and fraction under one exponent; |value| is uniform in [2^e, 2^(e+1)). */
function shapeF16(bytes: Uint8Array, deviation: number): void {
  const exponent = Math.round(Math.log2(deviation / 1.53));
  const bits = ((exponent + 15) << 10) * 0x10001;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  for (let i = 0; i < words.length; i++) words[i] = (words[i]! & 0x83ff83ff) | bits;
}

/** Sets every block's f16 scale to `deviation` over the codes' deviation, its low bits as they fell. */
function setScales({ blockBytes, scale }: NumberFormat, bytes: Uint8Array, value: number): void {
  const bits = numberToF16(value);
  for (let at = scale.byteOffset; at < bytes.length; at += blockBytes) bytes[at + 1] = bits >> 8;
}

/** Codes 1..15 around 8: a nibble of 0 becomes 8, which keeps the mean at zero. */
function shapeQ4(bytes: Uint8Array, deviation: number): void {
  const balanced = Uint8Array.from({ length: 256 }, (_, b) => (b & 15 ? b & 15 : 8) | (b >> 4 ? b & 0xf0 : 0x80));
  for (let i = 0; i < bytes.length; i++) bytes[i] = balanced[bytes[i]!]!;
  setScales(Q4_0, bytes, deviation / 4.18);
}

function shapeQ8(bytes: Uint8Array, deviation: number): void {
  setScales(Q8_0, bytes, deviation / 73.9);
}

/** bf16: as f16, with another place for the exponent. */
function shapeBf16(bytes: Uint8Array, deviation: number): void {
  const exponent = Math.round(Math.log2(deviation / 1.53));
  const bits = ((exponent + 127) << 7) * 0x10001;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  for (let i = 0; i < words.length; i++) words[i] = (words[i]! & 0x807f807f) | bits;
}

/** Mean, and mean of the squares, of the whole numbers from `low` to `high`. */
function moments(low: number, high: number): { mean: number; square: number } {
  const mean = (low + high) / 2;
  return { mean, square: mean ** 2 + ((high - low + 1) ** 2 - 1) / 12 };
}

const groupMoments = ({ range: [low, high] }: GroupField) => moments(low, high);

/**
 * Super-blocks: codes and the groups' small integers stay as they fell; the block's scale makes them as large as asked, and its
 * minimum moves their mean to zero.
 */
const superBlockShaper = (format: NumberFormat): Shaper => {
  const { bits, offset, blockBytes, scale, min, subMin } = format;
  const code = moments(-offset, 2 ** bits - 1 - offset);
  const sub = groupMoments(format.subScale!);
  const least = subMin === null ? { mean: 0, square: 0 } : groupMoments(subMin);
  const minRatio = subMin === null ? 0 : (sub.mean * code.mean) / least.mean;
  const mean = sub.mean * code.mean - minRatio * least.mean;
  const cross = 2 * minRatio * sub.mean * code.mean * least.mean;
  const square = sub.square * code.square + minRatio ** 2 * least.square - cross;
  const own = Math.sqrt(square - mean ** 2);
  return (bytes, deviation) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const [scaleBits, minBits] = [deviation / own, (minRatio * deviation) / own].map(numberToF16) as [number, number];
    for (let at = 0; at < bytes.length; at += blockBytes) {
      view.setUint16(at + scale.byteOffset, scaleBits, true);
      if (min !== null) view.setUint16(at + min.byteOffset, minBits, true);
    }
  };
};

export const SHAPERS = {
  F16: shapeF16,
  BF16: shapeBf16,
  Q8_0: shapeQ8,
  Q4_0: shapeQ4,
  Q4_K: superBlockShaper(Q4_K),
  Q3_K: superBlockShaper(Q3_K),
  Q2_K: superBlockShaper(Q2_K),
} as const satisfies Readonly<Record<string, Shaper>>;

/** Bytes of random elements in a format: the same for the same words. `byteLength` is that of whole blocks. */
export function randomElements(
  format: keyof typeof SHAPERS,
  byteLength: number,
  deviation: number,
  random: RandomWords,
): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(byteLength / 4));
  random.fill(words);
  const bytes = new Uint8Array(words.buffer, 0, byteLength);
  SHAPERS[format](bytes, deviation);
  return bytes;
}
