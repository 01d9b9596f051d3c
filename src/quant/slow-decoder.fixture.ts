/**
 * One plain function per GGUF type that turns a block's bytes into numbers, written from the published layouts and sharing
 * nothing with the rows of formats: what these are held to.
 * Source: ggml's published block layouts (GGUF specification, "ggml_type"); OCP Microscaling Formats v1.0 for MXFP4.
 */

type Block = Uint8Array;
const f32 = Math.fround;

function half(block: Block, at: number): number {
  const bits = block[at]! + 256 * block[at + 1]!;
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
const int8 = (byte: number): number => (byte < 128 ? byte : byte - 256);
const low = (byte: number): number => byte % 16;
const high = (byte: number): number => Math.floor(byte / 16);
const bit = (byte: number, number: number): number => Math.floor(byte / 2 ** number) % 2;
const pair = (byte: number, number: number): number => Math.floor(byte / 4 ** number) % 4;

const NORMAL_LEVELS = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
const FLOAT4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6];

function q8_0(block: Block): number[] {
  const d = half(block, 0);
  return Array.from({ length: 32 }, (_, i) => f32(d * int8(block[2 + i]!)));
}

function q4_0(block: Block): number[] {
  const d = half(block, 0);
  const y: number[] = [];
  for (let j = 0; j < 16; j++) {
    y[j] = f32(d * (low(block[2 + j]!) - 8));
    y[j + 16] = f32(d * (high(block[2 + j]!) - 8));
  }
  return y;
}

function q4_1(block: Block): number[] {
  const [d, m] = [half(block, 0), half(block, 2)];
  const y: number[] = [];
  for (let j = 0; j < 16; j++) {
    y[j] = f32(f32(d * low(block[4 + j]!)) + m);
    y[j + 16] = f32(f32(d * high(block[4 + j]!)) + m);
  }
  return y;
}

function q5_0(block: Block): number[] {
  const d = half(block, 0);
  const y: number[] = [];
  for (let j = 0; j < 16; j++) {
    const top = (i: number): number => 16 * bit(block[2 + Math.floor(i / 8)]!, i % 8);
    y[j] = f32(d * (low(block[6 + j]!) + top(j) - 16));
    y[j + 16] = f32(d * (high(block[6 + j]!) + top(j + 16) - 16));
  }
  return y;
}

function q5_1(block: Block): number[] {
  const [d, m] = [half(block, 0), half(block, 2)];
  const y: number[] = [];
  for (let j = 0; j < 16; j++) {
    const top = (i: number): number => 16 * bit(block[4 + Math.floor(i / 8)]!, i % 8);
    y[j] = f32(f32(d * (low(block[8 + j]!) + top(j))) + m);
    y[j + 16] = f32(f32(d * (high(block[8 + j]!) + top(j + 16))) + m);
  }
  return y;
}

function q2_k(block: Block): number[] {
  const [d, dmin] = [half(block, 80), half(block, 82)];
  const y: number[] = [];
  for (let i = 0; i < 256; i++) {
    const sizes = block[Math.floor(i / 16)]!;
    const code = pair(block[16 + 32 * Math.floor(i / 128) + (i % 32)]!, Math.floor((i % 128) / 32));
    y.push(f32(f32(f32(d * low(sizes)) * code) - f32(dmin * high(sizes))));
  }
  return y;
}

function q3_k(block: Block): number[] {
  const d = half(block, 108);
  const y: number[] = [];
  for (let i = 0; i < 256; i++) {
    const group = Math.floor(i / 16);
    const nibbles = block[96 + (group % 8)]!;
    const scale = (group < 8 ? low(nibbles) : high(nibbles)) + 16 * pair(block[104 + (group % 4)]!, group >> 2) - 32;
    const lowBits = pair(block[32 + 32 * Math.floor(i / 128) + (i % 32)]!, Math.floor((i % 128) / 32));
    const code = lowBits - (bit(block[i % 32]!, Math.floor(i / 32)) === 1 ? 0 : 4);
    y.push(f32(f32(d * scale) * code));
  }
  return y;
}

/** Scale and minimum number `j` of the 12 bytes that Q4_K and Q5_K share. */
function sixBits(block: Block, at: number, j: number): [scale: number, min: number] {
  if (j < 4) return [block[at + j]! % 64, block[at + j + 4]! % 64];
  const nibbles = block[at + j + 4]!;
  return [low(nibbles) + 16 * pair(block[at + j - 4]!, 3), high(nibbles) + 16 * pair(block[at + j]!, 3)];
}

function q4_k(block: Block): number[] {
  const [d, dmin] = [half(block, 0), half(block, 2)];
  const y: number[] = [];
  for (let i = 0; i < 256; i++) {
    const group = Math.floor(i / 32);
    const [scale, min] = sixBits(block, 4, group);
    const byte = block[16 + 32 * (group >> 1) + (i % 32)]!;
    const code = group % 2 === 0 ? low(byte) : high(byte);
    y.push(f32(f32(f32(d * scale) * code) - f32(dmin * min)));
  }
  return y;
}

function q5_k(block: Block): number[] {
  const [d, dmin] = [half(block, 0), half(block, 2)];
  const y: number[] = [];
  for (let i = 0; i < 256; i++) {
    const group = Math.floor(i / 32);
    const [scale, min] = sixBits(block, 4, group);
    const byte = block[48 + 32 * (group >> 1) + (i % 32)]!;
    const code = (group % 2 === 0 ? low(byte) : high(byte)) + 16 * bit(block[16 + (i % 32)]!, group);
    y.push(f32(f32(f32(d * scale) * code) - f32(dmin * min)));
  }
  return y;
}

function q6_k(block: Block): number[] {
  const d = half(block, 208);
  const y: number[] = [];
  for (let i = 0; i < 256; i++) {
    const [part, within] = [Math.floor(i / 128), i % 128];
    const byte = block[64 * part + (within % 64)]!;
    const lowBits = within < 64 ? low(byte) : high(byte);
    const code = lowBits + 16 * pair(block[128 + 32 * part + (within % 32)]!, Math.floor(within / 32)) - 32;
    y.push(f32(f32(d * int8(block[192 + Math.floor(i / 16)]!)) * code));
  }
  return y;
}

function iq4_nl(block: Block): number[] {
  const d = half(block, 0);
  const y: number[] = [];
  for (let j = 0; j < 16; j++) {
    y[j] = f32(d * NORMAL_LEVELS[low(block[2 + j]!)]!);
    y[j + 16] = f32(d * NORMAL_LEVELS[high(block[2 + j]!)]!);
  }
  return y;
}

function iq4_xs(block: Block): number[] {
  const d = half(block, 0);
  const y: number[] = [];
  for (let i = 0; i < 256; i++) {
    const group = Math.floor(i / 32);
    const nibbles = block[4 + (group >> 1)]!;
    const scale =
      (group % 2 === 0 ? low(nibbles) : high(nibbles)) + 16 * pair(block[2 + (group >> 2)]!, group % 4) - 32;
    const byte = block[8 + 16 * group + (i % 16)]!;
    y.push(f32(f32(d * scale) * NORMAL_LEVELS[i % 32 < 16 ? low(byte) : high(byte)]!));
  }
  return y;
}

function mxfp4(block: Block): number[] {
  const scale = 2 ** (block[0]! - 127);
  const y: number[] = [];
  for (let j = 0; j < 16; j++) {
    y[j] = f32(scale * FLOAT4[low(block[1 + j]!)]!);
    y[j + 16] = f32(scale * FLOAT4[high(block[1 + j]!)]!);
  }
  return y;
}

/** A GGUF type as published: its id, block sizes, where its half floats are, and a block's numbers. */
export interface PublishedType {
  readonly name: string;
  readonly ggufType: number;
  readonly blockSize: number;
  readonly blockBytes: number;
  readonly halves: readonly number[];
  readonly decode: (block: Block) => number[];
}

const row = (
  name: string,
  ggufType: number,
  blockSize: number,
  blockBytes: number,
  halves: readonly number[],
  decode: (block: Block) => number[],
): PublishedType => ({ name, ggufType, blockSize, blockBytes, halves, decode });

export const PUBLISHED_TYPES: readonly PublishedType[] = [
  row('Q4_0', 2, 32, 18, [0], q4_0),
  row('Q4_1', 3, 32, 20, [0, 2], q4_1),
  row('Q5_0', 6, 32, 22, [0], q5_0),
  row('Q5_1', 7, 32, 24, [0, 2], q5_1),
  row('Q8_0', 8, 32, 34, [0], q8_0),
  row('Q2_K', 10, 256, 84, [80, 82], q2_k),
  row('Q3_K', 11, 256, 110, [108], q3_k),
  row('Q4_K', 12, 256, 144, [0, 2], q4_k),
  row('Q5_K', 13, 256, 176, [0, 2], q5_k),
  row('Q6_K', 14, 256, 210, [208], q6_k),
  row('IQ4_NL', 20, 32, 18, [0], iq4_nl),
  row('IQ4_XS', 23, 256, 136, [0], iq4_xs),
  row('MXFP4', 39, 32, 17, [], mxfp4),
];

/** The numbers of many blocks. */
export function slowDecode(
  { blockSize, blockBytes, decode }: PublishedType,
  bytes: Uint8Array,
): Float32Array<ArrayBuffer> {
  const values = new Float32Array((bytes.length / blockBytes) * blockSize);
  for (let block = 0; block * blockBytes < bytes.length; block++) {
    values.set(decode(bytes.subarray(block * blockBytes, (block + 1) * blockBytes)), block * blockSize);
  }
  return values;
}

/** Random bytes of `count` blocks whose half floats are finite. */
export function randomBlocks({ blockBytes, halves }: PublishedType, count: number, seed: number): Uint8Array {
  let state = seed >>> 0;
  const bytes = Uint8Array.from({ length: count * blockBytes }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
  for (let block = 0; block < count; block++) {
    for (const at of halves)
      if ((bytes[block * blockBytes + at + 1]! & 0x7c) === 0x7c) bytes[block * blockBytes + at + 1]! ^= 4;
  }
  return bytes;
}
