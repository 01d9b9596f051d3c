/** Loops over tiles whose sizes are known when staging: whole ones, then the ragged one at the end. */
import { add, binary, divU, type Expr, i32, min, mul, sub } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';

/**
 * Tiles of `size` that cover [first, last), a range within [0, extent) that begins at a multiple of `size` and ends
 * at one or at the extent. The body is staged once for whole tiles and once for the ragged tile, if there is one.
 */
export function forTiles(
  k: KernelBuilder,
  first: Expr,
  last: Expr,
  size: number,
  extent: number,
  body: (start: Expr, count: number) => void,
): void {
  const rest = extent % size;
  const whole = rest === 0 ? last : k.let(min(last, i32(extent - rest)));
  if (extent >= size) k.loop(first, whole, size, (start) => body(start, size));
  if (rest === 0) return;
  const ragged = (): void => body(i32(extent - rest), rest);
  if (last.kind === 'const' && first.kind === 'const') ragged();
  // A thread without work has first = last = extent.
  else k.if(binary('and', binary('eq', last, extent), binary('lt', first, last)), ragged);
}

/**
 * The numbers of [first, last) by `count` at a time, which lie `apart` from each other: start, start + apart, … What is
 * left runs one by one. Rows of memory read so are as many separate streams: hardware prefetchers follow one
 * stream a page, so that short neighbouring rows, several to a page, would come at two thirds of the speed.
 */
export function forStreams(
  k: KernelBuilder,
  first: Expr,
  last: Expr,
  count: number,
  body: (start: Expr, count: number, apart: Expr) => void,
): void {
  const apart = k.let(divU(sub(last, first), count));
  const whole = k.let(add(first, apart));
  k.loop(first, whole, 1, (start) => body(start, count, apart));
  if (count > 1) k.loop(k.let(add(first, mul(apart, count))), last, 1, (start) => body(start, 1, i32(0)));
}
