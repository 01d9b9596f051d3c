/**
 * Threefry-2x32, 20 rounds, in the kernel language: the two output words xored, for counters below 2^32.
 * Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.
 */
import { add, binary, type Expr, or, shl, shrU } from '../../kernel/expression.ts';
import type { KernelBuilder } from '../../kernel/language.ts';

const ROTATIONS = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;
const PARITY = 0x1bd11bda;

const xor = (a: Expr, b: Expr | number): Expr => binary('xor', a, b);
const rotateLeft = (x: Expr, bits: number): Expr => or(shl(x, bits), shrU(x, 32 - bits));

/** Random words of the element numbers `counter` (any lanes, as wide as the key words) under a key of two words. */
export function threefry(k: KernelBuilder, key0: Expr, key1: Expr, counter: Expr): Expr {
  const keys = [key0, key1, k.let(xor(xor(key0, key1), PARITY))];
  let x0 = key0;
  let x1 = k.let(add(counter, key1));
  for (let round = 0; round < 20; round++) {
    x0 = k.let(add(x0, x1));
    x1 = k.let(xor(rotateLeft(x1, ROTATIONS[(round >> 2) & 1]![round & 3]!), x0));
    if (round % 4 !== 3) continue;
    const injection = (round + 1) >> 2;
    x0 = k.let(add(x0, keys[injection % 3]!));
    x1 = k.let(add(add(x1, keys[(injection + 1) % 3]!), injection));
  }
  return xor(x0, x1);
}
