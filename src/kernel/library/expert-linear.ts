/**
 * `expert_linear`: each id multiplies its row of x with its own expert's matrix, so that only the chosen matrices are
 * read: packed panels as in direct-product.ts, floats as in row-dots.ts. Threads split the rows of the matrices.
 */
import type { NumberFormat } from '../../quant/number-format.ts';
import { isFloatType } from '../decode.ts';
import { add, type BufferParam, divU, type Expr, mul } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelRequest, KernelTemplate } from '../template.ts';
import { DirectProduct } from './direct-product.ts';
import { kernelName } from './naming.ts';
import { canMultiply, type PackedOperand } from './packed-product.ts';
import { Results, writesFloats } from './results.ts';
import { dotTile, type RowDotOperands, type RowDotSchedule, rowDotSchedules, storeSums } from './row-dots.ts';
import { clampedIndex } from './rows.ts';
import { forStreams } from './tiles.ts';

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
  canMultiply(request.inputs[0]!.dtype, request.inputs[1]!.dtype, request.machine) &&
  sizesOf(request).n % request.machine.lanes === 0;

const isFloats = ({ inputs: [x, w] }: KernelRequest): boolean => isFloatType(x!.dtype) && isFloatType(w!.dtype);

export const expertLinearKernel: KernelTemplate = {
  op: 'expert_linear',
  name: 'expert linear',
  supports: (request) =>
    (startsPanels(request) || isFloats(request)) &&
    ['i32', 'u32'].includes(request.inputs[2]!.dtype as string) &&
    request.output.dtype === 'f32' &&
    writesFloats(request),
  schedules: (request) => (isFloats(request) ? rowDotSchedules(1, request.machine) : [{ panels: 4 }, { panels: 2 }]),
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('expert_linear', request, schedule), request.machine.lanes);
    const [x, w] = [k.buffer('x', 'read'), k.buffer('w', 'read')];
    const [xType, wType] = request.inputs.map((t) => t.dtype);
    const { n, depth } = sizesOf(request);
    const parts = { n, depth, x: { buffer: x, dtype: xType! }, w: { buffer: w, dtype: wType! } };
    if (isFloats(request)) emitFloats(k, request, parts as FloatParts, schedule as RowDotSchedule);
    else emitPacked(k, request, parts as PackedParts, (schedule as { panels: number }).panels);
    return k.finish();
  },
};

type FloatParts = RowDotOperands & { readonly n: number };
interface PackedParts {
  readonly n: number;
  readonly depth: number;
  readonly x: { readonly buffer: BufferParam; readonly dtype: NumberFormat };
  readonly w: { readonly buffer: BufferParam; readonly dtype: NumberFormat };
}

/** One id's row of x and expert, and the thread's part of the expert's rows (or panels). */
interface IdPart {
  readonly i: Expr;
  readonly token: Expr;
  readonly expert: Expr;
  readonly begin: Expr;
  readonly end: Expr;
}

/** Splits `extent` rows (or panels) of each expert among the threads and runs `body` for each id. */
function forIds(
  k: KernelBuilder,
  request: KernelRequest,
  { extent, tile }: { readonly extent: number; readonly tile: number },
  body: (results: Results, part: IdPart) => void,
): void {
  const ids = k.buffer('ids', 'read');
  const results = new Results(k, request);
  const { nIds, rows, nExperts } = sizesOf(request);
  if (nIds === 0) return;
  k.parallelRange(extent, tile, (begin, end) =>
    k.loop(0, nIds, 1, (i) => {
      const expert = clampedIndex(k, request.inputs[2]!, ids, i, nExperts);
      body(results, { i, token: k.let(divU(i, nIds / rows)), expert, begin, end });
    }),
  );
}

function emitPacked(k: KernelBuilder, request: KernelRequest, { n, depth, x, w }: PackedParts, panels: number): void {
  const operand = ({ buffer, dtype }: PackedParts['x']): PackedOperand => ({ buffer, format: dtype });
  const { machine } = request;
  const product = new DirectProduct(k, operand(x), operand(w), depth, machine);
  const panelCount = n / machine.lanes;
  forIds(k, request, { extent: panelCount, tile: panels }, (results, { i, token, expert, begin, end }) => {
    const row = k.let(mul(i, n));
    const first = k.let(mul(expert, panelCount));
    forStreams(k, begin, end, panels, (start, count, apart) => {
      const [sums] = product.tile(token, 1, k.let(add(first, start)), count, apart);
      for (const [p, sum] of sums!.entries()) results.store(row, mul(add(start, mul(apart, p)), machine.lanes), sum);
    });
  });
}

function emitFloats(k: KernelBuilder, request: KernelRequest, parts: FloatParts, schedule: RowDotSchedule): void {
  const { n } = parts;
  forIds(k, request, { extent: n, tile: schedule.rows }, (results, { i, token, expert, begin, end }) => {
    const rowStart = k.let(mul(i, n));
    forStreams(k, begin, end, schedule.rows, (start, rows, apart) => {
      const row = k.let(add(mul(expert, n), start));
      const sums = dotTile(k, parts, schedule, { token, tokens: 1, row, rows, apart });
      storeSums(k, results, rowStart, { row: start, apart }, sums);
    });
  });
}
