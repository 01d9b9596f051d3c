/**
 * Products as dot products of rows: C[m, n] = x row m . w row n, both dense along the depth, nothing packed.
 *
 * A tile is `tokens` rows of x by `rows` rows of w, each sum a vector of partial sums along the depth (`split` of
 * them, so that enough independent fma chains hide the latency of one): tokens * rows * split + tokens + 1
 * registers at most. Every weight is read once per tile of tokens, which is what counts when there are few
 * tokens: one pass over the weights at the speed of memory. Many tokens are the work of gemm.ts.
 */

import { WIDENING, type Work } from '../cost.ts';
import { FLOAT_BYTES, type FloatType, loadFloat, loadFloatPair } from '../decode.ts';
import {
  add,
  type BufferParam,
  constant,
  type Expr,
  F32,
  fma,
  i32,
  mul,
  splat,
  ternary,
  unary,
  vectorType,
} from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import type { Machine } from '../machine.ts';
import type { Schedule } from '../template.ts';
import { prefetchStream } from './prefetch.ts';
import type { Results } from './results.ts';
import { forStreams, forTiles } from './tiles.ts';
import { laneSums } from './transpose.ts';

export interface RowDotSchedule extends Schedule {
  readonly tokens: number;
  readonly rows: number;
  readonly split: number;
  readonly unroll: number;
}

/** x [m, depth] and w [n, depth], dense. */
export interface RowDotProblem extends RowDotOperands {
  readonly m: number;
  readonly n: number;
}

/** Two matrices of rows of `depth` elements. */
export interface RowDotOperands {
  readonly depth: number;
  readonly x: { readonly buffer: BufferParam; readonly dtype: FloatType };
  readonly w: { readonly buffer: BufferParam; readonly dtype: FloatType };
  /** Whether hints of what will be read reach the memory. */
  readonly prefetches?: boolean;
  /** Multiplies pairs of bf16 as they are: both matrices are bf16 and the machine has `dotBf16`. */
  readonly hasPairs?: boolean;
}

/** Emits the whole product; threads split the rows of w. */
export function emitRowDots(
  k: KernelBuilder,
  problem: RowDotProblem,
  schedule: RowDotSchedule,
  results: Results,
): void {
  if (problem.m * problem.n === 0) return;
  k.parallelRange(problem.n, schedule.rows, (begin, end) =>
    forStreams(k, begin, end, schedule.rows, (row, rows, apart) =>
      forTiles(k, i32(0), i32(problem.m), schedule.tokens, problem.m, (token, tokens) => {
        const sums = dotTile(k, problem, schedule, { token, tokens, row, rows, apart });
        for (let t = 0; t < tokens; t++) {
          const rowStart = k.let(mul(add(token, t), problem.n));
          storeSums(k, results, rowStart, { row, apart }, sums.slice(t * rows, (t + 1) * rows));
        }
      }),
    ),
  );
}

/** Neighbouring rows of x, and rows of w that lie `apart` from each other. */
export interface RowDotTile {
  readonly token: Expr;
  readonly tokens: number;
  readonly row: Expr;
  readonly rows: number;
  readonly apart: Expr;
}

/** The sums of one tile, [tokens][rows], each a vector whose lanes are still to be added. */
export function dotTile(
  k: KernelBuilder,
  { depth, x, w, hasPairs = false, prefetches = false }: RowDotOperands,
  schedule: RowDotSchedule,
  { token, tokens, row, rows, apart }: RowDotTile,
): Expr[] {
  const zero = constant(vectorType('f32', k.lanes), 0);
  const [xBytes, wBytes] = [FLOAT_BYTES[x.dtype], FLOAT_BYTES[w.dtype]];
  const xStart = k.let(mul(token, depth * xBytes));
  const wAt = k.variable(mul(row, depth * wBytes));
  const rowStep = k.let(mul(apart, depth * wBytes));
  const parts = Array.from({ length: schedule.split }, () =>
    Array.from({ length: tokens * rows }, () => k.variable(zero)),
  );
  const multiply = (u: number, xs: readonly Expr[], r: number, weights: Expr, lanes: number): void =>
    xs.forEach((value, t) => {
      const sum = parts[u % schedule.split]![t * rows + r]!;
      if (lanes === 1) k.set(sum, add(sum, firstLane(k, mul(value, weights))));
      else k.set(sum, hasPairs ? ternary('dotBf16', sum, value, weights) : fma(value, weights, sum));
    });
  const xRow = (at: Expr, t: number): Expr => add(at, t * depth * xBytes);
  const wRow = (r: number): Expr => add(wAt, mul(rowStep, r));
  /** A vector that is multiplied once may come right from memory. */
  const bind = (weights: Expr): Expr => (tokens === 1 && k.lanes > 4 ? weights : k.let(weights));
  /** Elements of a row that `lanes` lanes take. */
  const elements = (lanes: number): number => (hasPairs && lanes > 1 ? 2 * lanes : lanes);
  const step = (at: Expr, u: number, lanes: number): void => {
    const load = ({ buffer, dtype }: RowDotProblem['x'], row: Expr): Expr => {
      const place = add(row, FLOAT_BYTES[dtype] * u * elements(lanes));
      return hasPairs && lanes > 1 ? k.load(buffer, 'i32', place, lanes) : loadFloat(k, dtype, buffer, place, lanes);
    };
    const xs = Array.from({ length: tokens }, (_, t) => k.let(load(x, xRow(at, t))));
    for (let r = 0; r < rows; r++) multiply(u, xs, r, bind(load(w, wRow(r))), lanes);
  };
  /** Two steps at once. */
  const pair = (at: Expr, u: number): void => {
    const load = ({ buffer, dtype }: RowDotProblem['x'], row: Expr): Expr[] =>
      loadFloatPair(k, dtype, buffer, add(row, FLOAT_BYTES[dtype] * u * k.lanes), k.lanes).map((v) => k.let(v));
    const xs = Array.from({ length: tokens }, (_, t) => load(x, xRow(at, t)));
    for (let r = 0; r < rows; r++) {
      for (const [i, weights] of load(w, wRow(r)).entries())
        multiply(
          u + i,
          xs.map((both) => both[i]!),
          r,
          weights,
          k.lanes,
        );
    }
  };
  const walk = (from: number, to: number, lanes: number, unroll: number): void => {
    if (to === from) return;
    const taken = unroll * elements(lanes);
    k.loop(add(xStart, from * xBytes), add(xStart, to * xBytes), taken * xBytes, (at) => {
      if (lanes === 4 && !hasPairs && unroll % 2 === 0) for (let u = 0; u < unroll; u += 2) pair(at, u);
      else for (let u = 0; u < unroll; u++) step(at, u, lanes);
      if (prefetches && lanes > 1) for (let r = 0; r < rows; r++) prefetchStream(k, w.buffer, wRow(r), taken * wBytes);
      k.set(wAt, add(wAt, taken * wBytes));
    });
  };
  const unrolled = depth - (depth % (schedule.unroll * elements(k.lanes)));
  const whole = depth - (depth % elements(k.lanes));
  walk(0, unrolled, k.lanes, schedule.unroll);
  walk(unrolled, whole, k.lanes, 1);
  walk(whole, depth, 1, 1);
  return parts.reduce<readonly Expr[]>(
    (sums, part) => (sums.length === 0 ? part : sums.map((s, i) => add(s, part[i]!))),
    [],
  ) as Expr[];
}

/** A scalar in lane 0 of zeros. */
function firstLane(k: KernelBuilder, value: Expr): Expr {
  const type = vectorType('f32', k.lanes);
  const pattern = Array.from({ length: k.lanes }, (_, i) => k.lanes * Math.min(i, 1));
  return k.let({ kind: 'shuffle', type, a: splat(value, k.lanes), b: constant(type, 0), pattern });
}

/** Adds up the lanes of the sums of rows `apart` from each other, as many at once as there are lanes; stores them. */
export function storeSums(
  k: KernelBuilder,
  results: Results,
  rowStart: Expr,
  { row, apart }: { readonly row: Expr; readonly apart: Expr },
  sums: readonly Expr[],
): void {
  for (let first = 0; first < sums.length; first += k.lanes) {
    const own = sums.slice(first, first + k.lanes).map((s) => k.let(s));
    const totals = own.length === 1 ? null : laneSums(k, own);
    for (const [lane, sum] of own.entries()) {
      const total: Expr = totals ? { kind: 'extract', type: F32, a: totals, lane } : unary('reduce_add', sum);
      results.store(rowStart, add(row, mul(apart, first + lane)), total);
    }
  }
}

/** What a candidate does: every tile loads its rows once per step of lanes; weights pass once from afar. */
export function rowDotWork(
  { m, n, depth }: { readonly m: number; readonly n: number; readonly depth: number },
  types: { readonly x: FloatType; readonly w: FloatType },
  { tokens, rows, split }: RowDotSchedule,
  { lanes, l1Bytes, l2Bytes }: Machine,
): Work {
  const steps = Math.ceil(depth / lanes);
  const [tokenTiles, rowTiles] = [Math.ceil(m / tokens), Math.ceil(n / rows)];
  const loads = n * tokenTiles * (1 + WIDENING[types.w]) + m * rowTiles * (1 + WIDENING[types.x]);
  const [xBytes, wBytes] = [m * depth * FLOAT_BYTES[types.x], n * depth * FLOAT_BYTES[types.w]];
  return {
    multiplies: m * n * steps,
    instructions: m * n * steps + loads * steps + 5 * m * n + 12 * tokenTiles * rowTiles,
    chains: Math.min(m, tokens) * rows * split,
    nearBytes: (2 * xBytes < l1Bytes ? xBytes : xBytes * rowTiles) + (wBytes > l2Bytes ? 0 : wBytes),
    farBytes: (wBytes > l2Bytes ? wBytes : 0) + (xBytes > l2Bytes ? xBytes * rowTiles : 0),
    items: rowTiles,
  };
}

/** Candidates for a product of few tokens: tiles that fit the registers, enough chains, two unrollings. */
export function rowDotSchedules(m: number, { vectorRegisters }: Machine): RowDotSchedule[] {
  const most = Math.min(4, Math.max(1, m));
  const candidates: RowDotSchedule[] = [];
  for (let tokens = most; tokens >= Math.max(1, most - 2); tokens--) {
    for (const rows of [4, 3, 2, 8]) {
      for (const split of [1, 2, 4]) {
        const registers = tokens * rows * split + tokens + 2;
        const chains = tokens * rows * split;
        if (registers > vectorRegisters || chains < 6) continue;
        candidates.push({ tokens, rows, split, unroll: 4 });
      }
    }
  }
  return candidates;
}
