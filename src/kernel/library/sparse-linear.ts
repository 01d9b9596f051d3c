/**
 * `sparse_linear` on machines that expand vectors from memory. Few tokens multiply panels where they are expanded, in
 * registers; for many, panels are expanded once for all of them and multiplied as dense ones, which is Flash-LLM's scheme
 * ("Flash-LLM: Enabling Cost-Effective and Highly-Efficient Large Generative Model Inference with Unstructured Sparsity",
 * Xia et al. 2023: load as sparse, compute as dense).
 */
import { elementCount } from '../../ir/shape.ts';
import { isSparseDType, SPARSE, type SparseDType } from '../../quant/sparse.ts';
import { rankSchedules, type Work } from '../cost.ts';
import { FLOAT_BYTES, type FloatType, isFloatType, loadFloat } from '../decode.ts';
import {
  add,
  type BufferParam,
  binary,
  constant,
  divU,
  type Expr,
  fma,
  i32,
  min,
  mul,
  shl,
  splat,
  sub,
  vectorType,
} from '../expression.ts';
import { KernelBuilder, type Variable } from '../language.ts';
import type { Machine } from '../machine.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { emitGemm, type GemmSchedule, gemmSchedules, gemmWork } from './gemm.ts';
import { kernelName } from './naming.ts';
import { type DepthRange, denseSource, type MatrixSource, type PanelTarget } from './panel-source.ts';
import { prefetchStream } from './prefetch.ts';
import { Results, writesFloats } from './results.ts';
import { MOST_STEPS, type SparseOperand, SparsePanels, type SparseStep, stepsOf } from './sparse-panels.ts';
import { forStreams, forTiles } from './tiles.ts';

/** Products in registers: `tokens` rows of x by `panels` panels, `unroll` steps at a time. */
interface DirectSchedule extends Schedule {
  readonly tokens: number;
  readonly panels: number;
  readonly unroll: number;
}

interface Sizes {
  readonly m: number;
  readonly n: number;
  readonly depth: number;
  /** Elements that are stored. */
  readonly count: number;
}

function sizesOf({ inputs, attrs }: KernelRequest): Sizes {
  const [x, , values] = inputs;
  return {
    m: elementCount(x!.shape.slice(0, -1)),
    n: attrs.rows as number,
    depth: x!.shape.at(-1)!,
    count: values!.shape[0]! - SPARSE.slack,
  };
}

const isDirect = (schedule: Schedule): schedule is DirectSchedule => 'tokens' in schedule;

/** The product in registers; threads split the panels. */
class DirectProduct {
  readonly #k: KernelBuilder;
  readonly #x: { readonly buffer: BufferParam; readonly dtype: FloatType };
  readonly #w: SparseOperand;
  readonly #sizes: Sizes;
  readonly #schedule: DirectSchedule;
  readonly #results: Results;
  readonly #panels: SparsePanels;

  constructor(
    k: KernelBuilder,
    x: { readonly buffer: BufferParam; readonly dtype: FloatType },
    w: SparseOperand,
    sizes: Sizes,
    schedule: DirectSchedule,
    results: Results,
  ) {
    this.#k = k;
    this.#x = x;
    this.#w = w;
    this.#sizes = sizes;
    this.#schedule = schedule;
    this.#results = results;
    this.#panels = new SparsePanels(k, w);
  }

  emit(): void {
    const [k, { m, n }, { panels }] = [this.#k, this.#sizes, this.#schedule];
    const [whole, rest] = [Math.floor(n / SPARSE.rows), n % SPARSE.rows];
    const all = Math.ceil(n / SPARSE.rows);
    if (m === 0) return;
    k.parallelRange(all, panels, (begin, end) => {
      const last = rest === 0 ? end : k.let(min(end, i32(whole)));
      if (whole > 0)
        forStreams(k, begin, last, panels, (panel, count, apart) => this.#panelTiles(panel, count, apart, SPARSE.rows));
      if (rest === 0) return;
      const ownsRest = binary('and', binary('eq', end, all), binary('lt', begin, end));
      k.if(ownsRest, () => this.#panelTiles(i32(whole), 1, i32(0), rest));
    });
  }

  /** Some panels, `apart` from each other, of which `rows` rows exist, by all tokens. */
  #panelTiles(panel: Expr, count: number, apart: Expr, rows: number): void {
    const [k, { m, n }] = [this.#k, this.#sizes];
    forTiles(k, i32(0), i32(m), this.#schedule.tokens, m, (token, tokens) => {
      const sums = this.#sums(panel, count, apart, token, tokens);
      for (let t = 0; t < tokens; t++) {
        const rowStart = k.let(mul(add(token, t), n));
        for (let p = 0; p < count; p++) {
          const column = mul(add(panel, mul(apart, p)), SPARSE.rows);
          this.#results.storeFirst(rowStart, column, sums[t]![p]!, rows);
        }
      }
    });
  }

  /** Sums [tokens][panels] over the whole depth. */
  #sums(panel: Expr, count: number, apart: Expr, token: Expr, tokens: number): Expr[][] {
    const [k, { depth }, { unroll }] = [this.#k, this.#sizes, this.#schedule];
    const cursors = Array.from({ length: count }, (_, p) => this.#panels.cursor(k.let(add(panel, mul(apart, p)))));
    const zero = constant(vectorType('f32', k.lanes), 0);
    const parts = Array.from({ length: tokens }, () =>
      Array.from({ length: count }, () => [k.variable(zero), k.variable(zero)] as const),
    );
    const xStart = k.let(mul(token, depth));
    const { values, dtype } = this.#w;
    const walk = (first: Expr, count: number, isOdd: boolean): void => {
      this.#panels.read(cursors, first, count, (u) => {
        const xs = this.#tokens(add(xStart, add(shl(first, 1), SPARSE.depths * u)), tokens, isOdd);
        return (p, step) => {
          const own = parts.map((row) => row[p]!);
          this.#step(own, xs, step, isOdd);
        };
      });
      // About as many elements as are stored where half of them are zero.
      const bytes = count * SPARSE.rows * FLOAT_BYTES[dtype];
      for (const { at } of cursors) prefetchStream(k, values, mul(at, FLOAT_BYTES[dtype]), bytes);
    };
    const pairs = Math.floor(depth / SPARSE.depths);
    const unrolled = pairs - (pairs % unroll);
    k.loop(0, unrolled, unroll, (first) => walk(first, unroll, false));
    k.loop(unrolled, pairs, 1, (first) => walk(first, 1, false));
    if (depth % SPARSE.depths !== 0) walk(i32(pairs), 1, true);
    return parts.map((row) => row.map(([a, b]) => add(a, b)));
  }

  /** x of one step, [tokens][2], repeated over the lanes. The last depth may stand alone. */
  #tokens(at: Expr, tokens: number, isOdd: boolean): Expr[][] {
    const [k, { depth }, { panels }] = [this.#k, this.#sizes, this.#schedule];
    const { buffer, dtype } = this.#x;
    /** What one panel multiplies may come right from memory. */
    const bind = (value: Expr): Expr => (panels === 1 ? value : k.let(value));
    return Array.from({ length: tokens }, (_, t) =>
      Array.from({ length: isOdd ? 1 : SPARSE.depths }, (_, i) => {
        const place = mul(add(at, t * depth + i), FLOAT_BYTES[dtype]);
        return bind(splat(loadFloat(k, dtype, buffer, place), k.lanes));
      }),
    );
  }

  /** Adds one step of one panel: sums [tokens][2], xs [tokens][depths]. */
  #step(
    sums: readonly (readonly [Variable, Variable])[],
    xs: readonly (readonly Expr[])[],
    step: SparseStep,
    isOdd: boolean,
  ): void {
    const k = this.#k;
    const vectors = this.#panels.vectors(step).slice(0, isOdd ? 1 : SPARSE.depths);
    for (const [i, vector] of vectors.entries()) {
      const weights = k.let(vector);
      for (const [t, own] of sums.entries()) k.set(own[i]!, fma(xs[t]![i]!, weights, own[i]!));
    }
  }
}

/** Expands panels to f32 in the blocked product's own panels, slice after slice of the depth. */
function sparseSource(k: KernelBuilder, w: SparseOperand): MatrixSource {
  const panels = new SparsePanels(k, w);
  const { buffer, byteOffset } = k.threadScratch(4 * Math.ceil(w.n / SPARSE.rows));
  const steps = stepsOf(w.depth);
  const pack = (row: Expr, valid: number, range: DepthRange, target: PanelTarget): void => {
    const first = k.let(divU(range.start, SPARSE.depths));
    const end = k.let(add(first, divU(add(range.length, 1), SPARSE.depths)));
    const isFirst = range.start.kind === 'const' && range.start.value === 0;
    for (let r = 0; r < target.width; r += SPARSE.rows) {
      const store = (at: Expr, vectors: readonly Expr[]): void =>
        vectors.forEach((value, i) => k.store(target.buffer, 'f32', add(at, 4 * (i * target.width + r)), value));
      const to = k.variable(target.byteOffset);
      const stepBytes = 4 * SPARSE.depths * target.width;
      if (r >= valid) {
        const zero = constant(vectorType('f32', k.lanes), 0);
        k.loop(first, end, 1, () => {
          store(to, [zero, zero]);
          k.set(to, add(to, stepBytes));
        });
        continue;
      }
      const panel = k.let(divU(add(row, r), SPARSE.rows));
      const place = k.let(add(shl(panel, 2), byteOffset));
      const cursor = panels.cursor(panel, isFirst ? undefined : k.load(buffer, 'i32', place));
      const walk = (from: Expr, until: Expr, count: number): void =>
        k.loop(from, until, count, (step) => {
          panels.read([cursor], step, count, (u) => (_, found) => store(add(to, u * stepBytes), panels.vectors(found)));
          k.set(to, add(to, count * stepBytes));
        });
      const whole = k.let(add(first, binary('and', sub(end, first), -4)));
      walk(first, whole, 4);
      walk(whole, end, 1);
      if (steps > 0) k.store(buffer, 'i32', place, cursor.at);
    }
  };
  return {
    buffer: w.values,
    dtype: 'f32',
    rows: w.n,
    depth: w.depth,
    rowStride: w.depth,
    depthStride: 1,
    batchStride: 0,
    pack,
  };
}

function directSchedules({ m }: Sizes): DirectSchedule[] {
  const tokens = Math.min(4, Math.max(1, m));
  return [2, 1, 4].flatMap((panels) =>
    [4, 8].map((unroll) => ({ tokens, panels, unroll: Math.min(unroll, MOST_STEPS) })),
  );
}

/** Vector instructions that expanding a step to two vectors takes, and the scalar ones beside it. */
const EXPANDING: Readonly<Record<SparseDType, number>> = { bf16: 10, f16: 12, f32: 14 };

const sparseBytes = ({ n, depth, count }: Sizes, dtype: SparseDType): number =>
  (n * depth) / 8 + count * FLOAT_BYTES[dtype];

function directWork(sizes: Sizes, dtype: SparseDType, { tokens, panels }: DirectSchedule, { l2Bytes }: Machine): Work {
  const { m, n, depth } = sizes;
  const [tiles, steps] = [Math.ceil(n / SPARSE.rows), stepsOf(depth)];
  const passes = Math.ceil(m / tokens);
  const bytes = sparseBytes(sizes, dtype);
  return {
    multiplies: tiles * steps * (2 * m + 3 * passes),
    instructions: tiles * steps * (2 * m + EXPANDING[dtype] * passes + (2 * m) / panels),
    chains: 2 * tokens * panels,
    nearBytes: bytes * passes,
    farBytes: bytes > l2Bytes ? bytes : 0,
    items: Math.ceil(tiles / panels),
  };
}

/** The dense product, with the elements that are stored coming from afar instead of all. */
function blockedWork(sizes: Sizes, dtype: SparseDType, schedule: GemmSchedule, machine: Machine): Work {
  const { m, n, depth } = sizes;
  const work = gemmWork({ batch: 1, m, n, depth }, schedule, machine);
  const passes = Math.ceil(m / schedule.mc);
  const [tiles, steps] = [Math.ceil(n / SPARSE.rows), stepsOf(depth)];
  return {
    ...work,
    instructions: work.instructions + EXPANDING[dtype] * tiles * steps * passes,
    farBytes: work.farBytes + (sparseBytes(sizes, dtype) - 4 * n * depth) * passes,
  };
}

export const sparseLinearKernel: KernelTemplate = {
  op: 'sparse_linear',
  name: 'sparse linear',
  supports: (request) =>
    request.machine.hasExpand &&
    request.machine.lanes === SPARSE.rows &&
    isFloatType(request.inputs[0]!.dtype) &&
    isSparseDType(request.inputs[2]!.dtype) &&
    request.output.dtype === 'f32' &&
    writesFloats(request),
  schedules(request) {
    const { machine, inputs } = request;
    const sizes = sizesOf(request);
    const dtype = inputs[2]!.dtype as SparseDType;
    const all: Schedule[] = [...directSchedules(sizes), ...gemmSchedules({ batch: 1, ...sizes }, machine)];
    const work = (schedule: Schedule): Work =>
      isDirect(schedule)
        ? directWork(sizes, dtype, schedule, machine)
        : blockedWork(sizes, dtype, schedule as GemmSchedule, machine);
    return rankSchedules(all, work, machine);
  },
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('sparse_linear', request, schedule), request.machine.lanes);
    const [xType, , valuesType] = request.inputs;
    const sizes = sizesOf(request);
    const { m, n, depth } = sizes;
    const x = { buffer: k.buffer('x', 'read'), dtype: xType!.dtype as FloatType };
    const [bitmap, values, starts] = ['bitmap', 'values', 'starts'].map((name) => k.buffer(name, 'read'));
    const w: SparseOperand = {
      bitmap: bitmap!,
      values: values!,
      starts: starts!,
      dtype: valuesType!.dtype as SparseDType,
      count: valuesType!.shape[0]!,
      n,
      depth,
    };
    if (isDirect(schedule)) {
      new DirectProduct(k, x, w, sizes, schedule, new Results(k, request)).emit();
      return k.finish();
    }
    const [a, b] = [denseSource(k, x.buffer, x.dtype, m, depth), sparseSource(k, w)];
    emitGemm(k, { batch: 1, m, n, depth, a, b }, schedule as GemmSchedule, new Results(k, request, 'readwrite'));
    return k.finish();
  },
};
