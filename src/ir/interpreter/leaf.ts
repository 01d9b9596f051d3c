/** Meaning of ops that bring values in. */
import { elementsOf, makeElements } from '../host-tensor.ts';
import type { leafOps } from '../op/leaf.ts';
import { axisAttr } from '../op/rule.ts';
import { lanes, type Rule } from './rule.ts';

const ROTATIONS = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;
const rotateLeft = (x: number, bits: number) => (x << bits) | (x >>> (32 - bits));

/**
 * The Threefry-2x32 block cipher, 20 rounds, of a two-word counter under a two-word key.
 * Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.
 */
export function threefry2x32(key0: number, key1: number, counter0: number, counter1: number): [number, number] {
  const keys = [key0, key1, key0 ^ key1 ^ 0x1bd11bda];
  let [x0, x1] = [(counter0 + key0) | 0, (counter1 + key1) | 0];
  for (let round = 0; round < 20; round++) {
    x0 = (x0 + x1) | 0;
    x1 = rotateLeft(x1, ROTATIONS[(round >> 2) & 1]![round & 3]!) ^ x0;
    if (round % 4 !== 3) continue;
    const injection = (round + 1) >> 2;
    x0 = (x0 + keys[injection % 3]!) | 0;
    x1 = (x1 + keys[(injection + 1) % 3]! + injection) | 0;
  }
  return [x0 >>> 0, x1 >>> 0];
}

export const leafRules: Record<Exclude<keyof typeof leafOps, 'input'>, Rule> = {
  constant: (_, attrs, type) => elementsOf({ type, bytes: attrs.data as Uint8Array }),
  iota(_, attrs, type) {
    const { size, inner } = lanes(type.shape, axisAttr(attrs, type.shape.length));
    const out = makeElements(type);
    for (let i = 0; i < out.length; i++) out[i] = Math.floor(i / inner) % size;
    return out;
  },
  random_bits([key], _, type) {
    const out = makeElements(type);
    for (let i = 0; i < out.length; i++) {
      const [x0, x1] = threefry2x32(key!.data[0]!, key!.data[1]!, Math.floor(i / 2 ** 32), i);
      out[i] = x0 ^ x1;
    }
    return out;
  },
};
