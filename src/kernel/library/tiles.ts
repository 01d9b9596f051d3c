/** Loops over tiles whose sizes are known when staging: whole ones, then the ragged one at the end. */
import { binary, type Expr, i32, min } from '../expression.ts';
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
