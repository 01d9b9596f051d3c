/**
 * Products of a few tokens at a time with panels where they lie, each of which is read once for all tokens of a tile: the
 * loops, and the results' way out. Threads split the panels.
 */
import { add, binary, type Expr, i32, mul } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import type { KernelRequest } from '../template.ts';
import { linearSizes } from './linear-sizes.ts';
import { Results } from './results.ts';
import { forStreams, forTiles } from './tiles.ts';

/** Tokens and panels of a tile. */
export interface StreamedSizes {
  readonly tokens: number;
  readonly panels: number;
}

/** A product whose operands' buffers are declared. */
export interface StreamedProduct {
  /** Sums [tokens][panels] of tokens token .. by `panels` panels, `apart` from each other, over the whole depth. */
  tile(token: Expr, tokens: number, panel: Expr, panels: number, apart: Expr): readonly (readonly Expr[])[];
}

export function emitStreamed(
  k: KernelBuilder,
  request: KernelRequest,
  product: StreamedProduct,
  { tokens, panels }: StreamedSizes,
): void {
  const { m, n } = linearSizes(request);
  const { lanes } = request.machine;
  const results = new Results(k, request);
  const panelCount = Math.ceil(n / lanes);
  const store = (rowStart: Expr, panel: Expr, sum: Expr): void => {
    const put = (count: number): void => results.storeFirst(rowStart, mul(panel, lanes), sum, count);
    if (n % lanes === 0) put(lanes);
    else
      k.if(
        binary('eq', panel, panelCount - 1),
        () => put(n % lanes),
        () => put(lanes),
      );
  };
  k.parallelRange(panelCount, panels, (begin, end) =>
    forStreams(k, begin, end, panels, (panel, count, apart) =>
      forTiles(k, i32(0), i32(m), tokens, m, (token, tokensHere) => {
        const sums = product.tile(token, tokensHere, panel, count, apart);
        for (const [t, row] of sums.entries()) {
          const rowStart = k.let(mul(add(token, t), n));
          for (const [p, sum] of row.entries()) store(rowStart, k.let(add(panel, mul(apart, p))), sum);
        }
      }),
    ),
  );
}
