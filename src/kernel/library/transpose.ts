/**
 * Transposes squares of vectors in registers, and adds up the lanes of several vectors at once.
 *
 * Wide machines shuffle in one instruction within groups of four lanes, by one pattern for all groups that takes lanes
 * of `a` and of `b` in turn or in halves, and they move whole groups, the lower half from `a`, the upper from `b`. All
 * patterns here are of these two kinds. At four lanes there is one group.
 */
import { add, type Expr } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';

/** The same pattern in each group of four lanes: 0..3 are lanes of `a`, 4..7 those of `b`. */
function inGroups(k: KernelBuilder, a: Expr, b: Expr, ...places: readonly number[]): Expr {
  const { lanes } = a.type;
  const pattern = Array.from({ length: lanes }, (_, lane) => {
    const place = places[lane % 4]!;
    return lane - (lane % 4) + (place < 4 ? place : lanes + place - 4);
  });
  return k.let({ kind: 'shuffle', type: a.type, a, b, pattern });
}

/** Every other group from `first` (0 or 1) on: those of `a`, then those of `b`. */
function everyOther(k: KernelBuilder, a: Expr, b: Expr, first: number): Expr {
  const { lanes } = a.type;
  const pattern = Array.from({ length: lanes }, (_, lane) => 8 * Math.floor(lane / 4) + 4 * first + (lane % 4));
  return k.let({ kind: 'shuffle', type: a.type, a, b, pattern });
}

/** Rows of 4 x 4 squares as their columns, in each group of four lanes: 8 shuffles. */
export function transpose4(k: KernelBuilder, rows: readonly [Expr, Expr, Expr, Expr]): [Expr, Expr, Expr, Expr] {
  const [a, b, c, d] = rows;
  const [low01, high01] = [inGroups(k, a, b, 0, 4, 1, 5), inGroups(k, a, b, 2, 6, 3, 7)];
  const [low23, high23] = [inGroups(k, c, d, 0, 4, 1, 5), inGroups(k, c, d, 2, 6, 3, 7)];
  return [
    inGroups(k, low01, low23, 0, 1, 4, 5),
    inGroups(k, low01, low23, 2, 3, 6, 7),
    inGroups(k, high01, high23, 0, 1, 4, 5),
    inGroups(k, high01, high23, 2, 3, 6, 7),
  ];
}

/** Vectors of as many groups as there are vectors, as squares of groups: its columns. */
function transposeGroups(k: KernelBuilder, rows: readonly Expr[]): Expr[] {
  if (rows.length === 1) return [...rows];
  const half = (first: number): Expr[] => {
    const picked = rows.flatMap((a, i) => (i % 2 === 0 ? [everyOther(k, a, rows[i + 1]!, first)] : []));
    return transposeGroups(k, picked);
  };
  const [even, odd] = [half(0), half(1)];
  return even.flatMap((column, i) => [column, odd[i]!]);
}

/** As many rows as they have lanes, as the columns of their square: log2(lanes) shuffles a row. */
export function transposeSquare(k: KernelBuilder, rows: readonly Expr[]): Expr[] {
  const quads = Array.from({ length: rows.length / 4 }, (_, i) =>
    transpose4(k, rows.slice(4 * i, 4 * i + 4) as [Expr, Expr, Expr, Expr]),
  );
  const columns = [0, 1, 2, 3].map((i) =>
    transposeGroups(
      k,
      quads.map((quad) => quad[i]!),
    ),
  );
  return rows.map((_, i) => columns[i % 4]![Math.floor(i / 4)]!);
}

/**
 * The sum of the lanes of each vector: lane i of the result is that of vector i; lanes past the last hold anything.
 * A tree whose steps add halves of two vectors: two shuffles and an addition for all vectors but one.
 */
export function laneSums(k: KernelBuilder, vectors: readonly Expr[]): Expr {
  const { lanes } = vectors[0]!.type;
  const step = (sums: readonly Expr[], half: (a: Expr, b: Expr, second: boolean) => Expr): Expr[] =>
    sums.flatMap((a, i) => {
      const b = sums[i + 1] ?? a;
      return i % 2 === 0 ? [k.let(add(half(a, b, false), half(a, b, true)))] : [];
    });
  let sums = step(vectors, (a, b, second) => inGroups(k, a, b, ...(second ? [2, 6, 3, 7] : [0, 4, 1, 5])));
  sums = step(sums, (a, b, second) => inGroups(k, a, b, ...(second ? [2, 3, 6, 7] : [0, 1, 4, 5])));
  for (let groups = lanes / 4; groups > 1; groups /= 2)
    sums = step(sums, (a, b, second) => everyOther(k, a, b, second ? 1 : 0));
  return sums[0]!;
}

/** `combine` over the lanes that are a multiple of `apart` lanes from each other, a power of two, in all of them. */
export function acrossLanes(k: KernelBuilder, vector: Expr, apart: number, combine: (a: Expr, b: Expr) => Expr): Expr {
  const { type } = vector;
  let all = vector;
  for (let step = apart; step < type.lanes; step *= 2) {
    const pattern = Array.from({ length: type.lanes }, (_, lane) => lane ^ step);
    const others: Expr = { kind: 'shuffle', type, a: all, b: all, pattern };
    all = k.let(combine(all, others));
  }
  return all;
}
