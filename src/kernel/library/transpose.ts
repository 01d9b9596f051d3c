/** Transposes squares of vectors in registers. */
import type { Expr } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';

const shuffle = (k: KernelBuilder, a: Expr, b: Expr, ...pattern: number[]): Expr =>
  k.let({ kind: 'shuffle', type: a.type, a, b, pattern });

/** Rows of a 4 x 4 square as its columns: 8 shuffles. */
export function transpose4(k: KernelBuilder, rows: readonly [Expr, Expr, Expr, Expr]): [Expr, Expr, Expr, Expr] {
  const [a, b, c, d] = rows;
  const [low01, high01] = [shuffle(k, a, b, 0, 4, 1, 5), shuffle(k, a, b, 2, 6, 3, 7)];
  const [low23, high23] = [shuffle(k, c, d, 0, 4, 1, 5), shuffle(k, c, d, 2, 6, 3, 7)];
  return [
    shuffle(k, low01, low23, 0, 1, 4, 5),
    shuffle(k, low01, low23, 2, 3, 6, 7),
    shuffle(k, high01, high23, 0, 1, 4, 5),
    shuffle(k, high01, high23, 2, 3, 6, 7),
  ];
}
