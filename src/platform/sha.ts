/**
 * SHA-1 and SHA-256 over bytes as they come: Web Crypto has no incremental form, and none at all on plain http.
 * After FIPS 180-4 (Secure Hash Standard, 2015), sections 5 and 6.
 */
import type { Digest, DigestName } from './platform.ts';

/** Mixes one block, expanded to the schedule's words, into the state. */
type Mix = (state: Int32Array, schedule: Int32Array) => void;

interface Algorithm {
  readonly initial: readonly number[];
  /** Words of the message schedule; the first 16 are the block itself. */
  readonly scheduleWords: number;
  readonly mix: Mix;
}

const rotateLeft = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));
const rotateRight = (x: number, bits: number): number => (x >>> bits) | (x << (32 - bits));

/** The first 32 bits of the fractional part of `root(p)` for the first `count` primes. */
function primeRoots(count: number, root: (prime: number) => number): Int32Array {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((p) => n % p !== 0)) primes.push(n);
  return Int32Array.from(primes, (p) => (root(p) % 1) * 2 ** 32);
}

/** Made at the first use: nothing is computed at import. */
let sha256Constants: Int32Array | undefined;

function mixSha256(state: Int32Array, w: Int32Array): void {
  sha256Constants ??= primeRoots(64, Math.cbrt);
  const constants = sha256Constants;
  for (let t = 16; t < 64; t++) {
    const [near, far] = [w[t - 2]!, w[t - 15]!];
    const s1 = rotateRight(near, 17) ^ rotateRight(near, 19) ^ (near >>> 10);
    const s0 = rotateRight(far, 7) ^ rotateRight(far, 18) ^ (far >>> 3);
    w[t] = s1 + w[t - 7]! + s0 + w[t - 16]!;
  }
  let [a, b, c, d] = [state[0]!, state[1]!, state[2]!, state[3]!];
  let [e, f, g, h] = [state[4]!, state[5]!, state[6]!, state[7]!];
  for (let t = 0; t < 64; t++) {
    const s1 = rotateRight(e, 6) ^ rotateRight(e, 11) ^ rotateRight(e, 25);
    const first = (h + s1 + ((e & f) ^ (~e & g)) + constants[t]! + w[t]!) | 0;
    const s0 = rotateRight(a, 2) ^ rotateRight(a, 13) ^ rotateRight(a, 22);
    const second = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  addQuad(state, 0, a, b, c, d);
  addQuad(state, 4, e, f, g, h);
}

const SHA1_CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6] as const;

function mixSha1(state: Int32Array, w: Int32Array): void {
  for (let t = 16; t < 80; t++) w[t] = rotateLeft(w[t - 3]! ^ w[t - 8]! ^ w[t - 14]! ^ w[t - 16]!, 1);
  let [a, b, c, d, e] = [state[0]!, state[1]!, state[2]!, state[3]!, state[4]!];
  for (let t = 0; t < 80; t++) {
    const choice = t < 20 ? (b & c) ^ (~b & d) : t >= 40 && t < 60 ? (b & c) ^ (b & d) ^ (c & d) : b ^ c ^ d;
    const next = (rotateLeft(a, 5) + choice + e + SHA1_CONSTANTS[(t / 20) | 0]! + w[t]!) | 0;
    e = d;
    d = c;
    c = rotateLeft(b, 30);
    b = a;
    a = next;
  }
  addQuad(state, 0, a, b, c, d);
  state[4] = state[4]! + e;
}

function addQuad(state: Int32Array, at: number, a: number, b: number, c: number, d: number): void {
  state[at] = state[at]! + a;
  state[at + 1] = state[at + 1]! + b;
  state[at + 2] = state[at + 2]! + c;
  state[at + 3] = state[at + 3]! + d;
}

const ALGORITHMS: Readonly<Record<DigestName, Algorithm>> = {
  sha1: {
    initial: [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0],
    scheduleWords: 80,
    mix: mixSha1,
  },
  sha256: {
    initial: [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19],
    scheduleWords: 64,
    mix: mixSha256,
  },
};

/** A digest in plain TypeScript. Bytes may lie in shared memory. */
export function createPlainDigest(name: DigestName): Digest {
  const { initial, scheduleWords, mix } = ALGORITHMS[name];
  const state = Int32Array.from(initial);
  const schedule = new Int32Array(scheduleWords);
  const block = new Uint8Array(64);
  let length = 0;

  const mixBlock = (bytes: Uint8Array, at: number): void => {
    for (let i = 0; i < 16; i++, at += 4) {
      schedule[i] = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    }
    mix(state, schedule);
  };
  const update = (bytes: Uint8Array): void => {
    let at = 0;
    const waiting = length % 64;
    length += bytes.length;
    if (waiting > 0) {
      at = Math.min(64 - waiting, bytes.length);
      block.set(bytes.subarray(0, at), waiting);
      if (waiting + at < 64) return;
      mixBlock(block, 0);
    }
    for (; at + 64 <= bytes.length; at += 64) mixBlock(bytes, at);
    block.set(bytes.subarray(at));
  };
  return {
    update,
    hex() {
      const bits = length * 8;
      const ending = new Uint8Array(72 - ((length + 8) % 64));
      ending[0] = 0x80;
      const view = new DataView(ending.buffer);
      view.setUint32(ending.length - 8, Math.floor(bits / 2 ** 32));
      view.setUint32(ending.length - 4, bits % 2 ** 32);
      update(ending);
      return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
    },
  };
}
