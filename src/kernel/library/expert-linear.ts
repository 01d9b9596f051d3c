/**
 * `expert_linear`: each id multiplies its row of x with its own expert's matrix, so that only the chosen matrices are
 * read: packed panels as in direct-product.ts, floats as in row-dots.ts. Threads split the rows of the matrices.
 */
import { type FloatType, isFloatType } from '../decode.ts';
import { add, divU, type Expr, mul } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelRequest, KernelTemplate } from '../template.ts';
import { DirectProduct } from './direct-product.ts';
import { kernelName } from './naming.ts';
import { canMultiply, LANES, type PackedOperand } from './packed-product.ts';
import { Results, writesFloats } from './results.ts';
import { dotTile, type RowDotOperands, type RowDotSchedule, rowDotSchedules, storeSums } from './row-dots.ts';
import { clampedIndex } from './rows.ts';
import { forTiles } from './tiles.ts';

interface Sizes {
  readonly rows: number;
  readonly nIds: number;
  readonly nExperts: number;
  readonly n: number;
  readonly depth: number;
}

function sizesOf({ inputs: [x, w, ids] }: KernelRequest): Sizes {
  const [nExperts, n, depth] = w!.shape as readonly [number, number, number];
  return { rows: x!.shape[0]!, nIds: ids!.shape[0]!, nExperts, n, depth };
}

/** Whether every expert begins with a panel of its own. */
const startsPanels = (request: KernelRequest): boolean =>
  canMultiply(request.inputs[0]!.dtype, request.inputs[1]!.dtype) && sizesOf(request).n % LANES === 0;

const isFloats = ({ inputs: [x, w] }: KernelRequest): boolean => isFloatType(x!.dtype) && isFloatType(w!.dtype);

export const expertLinearKernel: KernelTemplate = {
  op: 'expert_linear',
  name: 'expert linear',
  supports: (request) =>
    (startsPanels(request) || isFloats(request)) &&
    ['i32', 'u32'].includes(request.inputs[2]!.dtype as string) &&
    request.machine.lanes === LANES &&
    request.output.dtype === 'f32' &&
    writesFloats(request),
  schedules: (request) => (isFloats(request) ? rowDotSchedules(1, request.machine) : [{ panels: 4 }, { panels: 2 }]),
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('expert_linear', request, schedule), LANES);
    const [x, w] = [k.buffer('x', 'read'), k.buffer('w', 'read')];
    const [xType, wType] = request.inputs.map((t) => t.dtype);
    const { n, depth } = sizesOf(request);
    if (isFloats(request)) {
      const operands = {
        depth,
        x: { buffer: x, dtype: xType as FloatType },
        w: { buffer: w, dtype: wType as FloatType },
      };
      emitFloats(k, request, operands, schedule as RowDotSchedule);
      return k.finish();
    }
    const operand = (buffer: typeof x, format: typeof xType): PackedOperand => ({
      buffer,
      format: format as PackedOperand['format'],
    });
    const product = new DirectProduct(k, operand(x, xType), operand(w, wType), depth);
    const { panels } = schedule as { panels: number };
    emitRows(k, request, { extent: n / LANES, tile: panels }, (results, { i, token, expert, start, count }) => {
      const first = k.let(add(mul(expert, n / LANES), start));
      const [sums] = product.tile(token, 1, first, count);
      const row = k.let(mul(i, n));
      sums!.forEach((sum, p) => results.store(row, mul(add(start, p), LANES), sum));
    });
    return k.finish();
  },
};

/** A tile of one id's results: `count` rows (or panels) of its expert's matrix from `start` on. */
interface ExpertTile {
  readonly i: Expr;
  readonly token: Expr;
  readonly expert: Expr;
  readonly start: Expr;
  readonly count: number;
}

/** Splits `extent` rows (or panels) of each expert among the threads and runs `body` for each tile of each id. */
function emitRows(
  k: KernelBuilder,
  request: KernelRequest,
  { extent, tile }: { readonly extent: number; readonly tile: number },
  body: (results: Results, tile: ExpertTile) => void,
): void {
  const ids = k.buffer('ids', 'read');
  const results = new Results(k, request);
  const { nIds, rows, nExperts } = sizesOf(request);
  if (nIds === 0) return;
  k.parallelRange(extent, tile, (begin, end) =>
    k.loop(0, nIds, 1, (i) => {
      const expert = clampedIndex(k, request.inputs[2]!, ids, i, nExperts);
      const token = k.let(divU(i, nIds / rows));
      forTiles(k, begin, end, tile, extent, (start, count) => body(results, { i, token, expert, start, count }));
    }),
  );
}

function emitFloats(
  k: KernelBuilder,
  request: KernelRequest,
  operands: RowDotOperands,
  schedule: RowDotSchedule,
): void {
  const { n } = sizesOf(request);
  emitRows(k, request, { extent: n, tile: schedule.rows }, (results, { i, token, expert, start, count }) => {
    const row = k.let(add(mul(expert, n), start));
    const sums = dotTile(k, operands, schedule, { token, tokens: 1, row, rows: count });
    storeSums(k, results, k.let(mul(i, n)), start, sums);
  });
}
