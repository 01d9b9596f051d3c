/**
 * `linear` of quantised activations (Q8_A<group>) by weights in panels of 4 rows: integer dot products within each
 * group, scaled once per group. y[n] = sum over groups of a * s[n] * (sum of x * code[n] - origin * sum of x), plus
 * a * min[n] * sum of x where a format has minimums (MixPE: dequantise after the group, not before).
 *
 * One vector of codes is four neighbouring elements of 4 rows; four neighbouring activations repeat over its lanes.
 * Few tokens decode the codes in registers, so that each weight byte is read once at the speed of memory. Many tokens
 * decode 4 * panels rows to bytes once (L1 or L2 holds them) and run tokens x panels tiles over them: at 3 x 2 six
 * integer and six f32 accumulators, two vectors of codes and one of activations fill 15 registers.
 */
import {
  isNumberFormat,
  isSimple,
  type NumberFormat,
  panelBlockBytes,
  SUB_BLOCK,
  sumSize,
} from '../../quant/number-format.ts';
import { rankSchedules, type Work } from '../cost.ts';
import { groupOrder, loadField, panelCodes, subBlockBytes } from '../decode.ts';
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
  remU,
  splat,
  ternary,
  unary,
  vectorType,
} from '../expression.ts';
import { KernelBuilder, type Variable } from '../language.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { linearSizes } from './linear-float.ts';
import { kernelName } from './naming.ts';
import { type PanelReader, PanelStage } from './panel-stage.ts';
import { Results, writesFloats } from './results.ts';
import { forTiles } from './tiles.ts';

const LANES = 4;
const F32X4 = vectorType('f32', LANES);
const I32X4 = vectorType('i32', LANES);

/** tokens x panels tile; `staged` 1 decodes panels to bytes once for `block` tokens. */
interface PackedSchedule extends Schedule {
  readonly tokens: number;
  readonly panels: number;
  readonly staged: number;
  readonly block: number;
}

class PackedLinear {
  readonly #k: KernelBuilder;
  readonly #x: { readonly buffer: BufferParam; readonly format: NumberFormat };
  readonly #w: { readonly buffer: BufferParam; readonly format: NumberFormat };
  readonly #results: Results;
  readonly #sizes: { readonly m: number; readonly n: number; readonly depth: number };
  readonly #blocks: number;

  constructor(k: KernelBuilder, request: KernelRequest) {
    this.#k = k;
    const [x, w] = request.inputs.map((t) => t.dtype as NumberFormat) as [NumberFormat, NumberFormat];
    this.#x = { buffer: k.buffer('x', 'read'), format: x };
    this.#w = { buffer: k.buffer('w', 'read'), format: w };
    this.#results = new Results(k, request);
    this.#sizes = linearSizes(request);
    this.#blocks = this.#sizes.depth / w.blockSize;
  }

  /** Whole product: threads split the panels. */
  direct({ tokens, panels }: PackedSchedule): void {
    const [k, { m, n }, format] = [this.#k, this.#sizes, this.#w.format];
    const panelCount = Math.ceil(n / LANES);
    k.parallelRange(panelCount, panels, (begin, end) =>
      forTiles(k, begin, end, panels, panelCount, (panel, panelsHere) => {
        const start = k.let(mul(panel, this.#blocks * panelBlockBytes(format)));
        forTiles(k, i32(0), i32(m), tokens, m, (token, tokensHere) => {
          const at = k.variable(start);
          const sums = this.#tile(token, tokensHere, panelsHere, this.#inPlace(at), () =>
            k.set(at, add(at, panelBlockBytes(format))),
          );
          this.#store(token, panel, sums);
        });
      }),
    );
  }

  /** Whole product with staging: threads split panels times blocks of tokens. */
  staged({ tokens, panels, block }: PackedSchedule): void {
    const [k, { m, n }, format] = [this.#k, this.#sizes, this.#w.format];
    const panelCount = Math.ceil(n / LANES);
    const tiles = Math.ceil(panelCount / panels);
    const stage = new PanelStage(k, this.#w.buffer, format, panels, this.#blocks);
    k.parallelLoop(tiles * Math.ceil(m / block), 1, (item) => {
      const first = k.let(mul(remU(item, tiles), panels));
      const last = k.let(min(add(first, panels), i32(panelCount)));
      const token = k.let(mul(divU(item, tiles), block));
      const lastToken = k.let(min(add(token, block), i32(m)));
      forTiles(k, first, last, panels, panelCount, (panel, panelsHere) => {
        stage.fill(panel, panelsHere);
        forTiles(k, token, lastToken, tokens, m, (start, tokensHere) => {
          const { reader, next } = stage.reader();
          this.#store(start, panel, this.#tile(start, tokensHere, panelsHere, reader, next));
        });
      });
    });
  }

  /** Reads panels where they lie; `at` is the byte offset of the first panel's block. */
  #inPlace(at: Expr): PanelReader {
    const [k, { buffer, format }] = [this.#k, this.#w];
    const base = (panel: number): Expr => add(at, panel * this.#blocks * panelBlockBytes(format));
    return {
      codes: (panel, subBlock) => panelCodes(k, format, buffer, add(base(panel), subBlock * subBlockBytes(format))),
      field: (panel, which) => loadField(k, format, format[which]!, buffer, base(panel), 0, LANES),
    };
  }

  /** Sums [tokens][panels] over all blocks. `next` moves the reader on by a block. */
  #tile(token: Expr, tokens: number, panels: number, reader: PanelReader, next: () => void): Variable[][] {
    const [k, { buffer, format: x }, { format: w }] = [this.#k, this.#x, this.#w];
    const rowBytes = this.#blocks * x.blockBytes;
    const start = k.let(mul(token, rowBytes));
    const all = <T>(make: (t: number, p: number) => T): T[][] =>
      Array.from({ length: tokens }, (_, t) => Array.from({ length: panels }, (_, p) => make(t, p)));
    const sums = all(() => k.variable(constant(F32X4, 0)));
    k.loop(start, add(start, rowBytes), x.blockBytes, (at) => {
      const xField = (t: number, offset: number, memory: 'f32' | 'i32'): Expr =>
        k.load(buffer, memory, add(at, t * rowBytes + offset));
      const codeSum = (t: number): Expr => xField(t, x.codeSum!.byteOffset, 'i32');
      const initial = Array.from({ length: tokens }, (_, t) =>
        w.offset === 0 ? constant(I32X4, 0) : k.let(splat(mul(codeSum(t), -w.offset), LANES)),
      );
      const dots = all((t) => k.variable(initial[t]!));
      for (let subBlock = 0; subBlock * SUB_BLOCK < w.blockSize; subBlock++) {
        const codes = Array.from({ length: panels }, (_, p) => reader.codes(p, subBlock));
        for (const group of groupOrder(w)) {
          const weights = codes.map((c) => k.let(c(group)));
          for (let t = 0; t < tokens; t++) {
            const activations = k.let(
              splat(xField(t, x.planes[0]!.byteOffset + subBlock * SUB_BLOCK + 4 * group, 'i32'), LANES),
            );
            for (const [p, c] of weights.entries()) {
              k.set(dots[t]![p]!, ternary(w.bits < 8 ? 'dot8u7' : 'dot8u8', dots[t]![p]!, activations, c));
            }
          }
        }
      }
      const scales = Array.from({ length: panels }, (_, p) => k.let(reader.field(p, 'scale')));
      for (let t = 0; t < tokens; t++) {
        const scale = k.let(splat(xField(t, x.scale.byteOffset, 'f32'), LANES));
        scales.forEach((weightScale, p) => {
          const products = this.#withOrigin(unary('to_f32', dots[t]![p]!), reader, p, () => codeSum(t));
          k.set(sums[t]![p]!, fma(mul(products, scale), weightScale, sums[t]![p]!));
          if (w.min === null) return;
          const shift = mul(scale, splat(unary('to_f32', codeSum(t)), LANES));
          k.set(sums[t]![p]!, fma(shift, reader.field(p, 'min'), sums[t]![p]!));
        });
      }
      next();
    });
    return sums;
  }

  /** products - zeroPoint * sum of activations, where the format stores zero points. Exact: all are integers below 2^24. */
  #withOrigin(products: Expr, reader: PanelReader, panel: number, codeSum: () => Expr): Expr {
    if (this.#w.format.zeroPoint === null) return products;
    const negative = splat(unary('to_f32', mul(codeSum(), -1)), LANES);
    return fma(negative, reader.field(panel, 'zeroPoint'), products);
  }

  #store(token: Expr, panel: Expr, sums: Variable[][]): void {
    const [k, { n }] = [this.#k, this.#sizes];
    const store = (partial: number): void =>
      sums.forEach((row, t) => {
        const rowStart = mul(add(token, t), n);
        row.forEach((sum, p) => {
          const count = p === row.length - 1 ? partial : LANES;
          this.#results.storeFirst(rowStart, mul(add(panel, p), LANES), sum, count);
        });
      });
    if (n % LANES === 0) {
      store(LANES);
      return;
    }
    const isLast = binary('eq', add(panel, sums[0]!.length), Math.ceil(n / LANES));
    k.if(
      isLast,
      () => store(n % LANES),
      () => store(LANES),
    );
  }
}

/** What a candidate does per block: decodes codes, repeats activations, multiplies, and applies scales. */
function packedWork(request: KernelRequest, { tokens, panels, staged, block }: PackedSchedule): Work {
  const { m, n, depth } = linearSizes(request);
  const [x, w] = request.inputs.map((t) => t.dtype as NumberFormat) as [NumberFormat, NumberFormat];
  const panelCount = Math.ceil(n / LANES);
  const [tokenTiles, panelTiles] = [Math.ceil(m / tokens), Math.ceil(panelCount / panels)];
  const blocks = depth / w.blockSize;
  const groups = w.blockSize / 4;
  const decode = groups * w.planes.reduce((sum, { bits }) => sum + bits / 8 + 2, 0) + 14;
  const rounds = staged ? Math.ceil(m / block) : tokenTiles;
  const loads = staged ? tokenTiles * (1.5 * groups + 3) + 2 * rounds * groups : 0;
  const perPanel = rounds * decode + loads + m * 4;
  const xBytes = m * blocks * x.blockBytes;
  const wBytes = panelCount * blocks * panelBlockBytes(w);
  const { l1Bytes, l2Bytes } = request.machine;
  return {
    multiplies: m * panelCount * blocks * groups,
    instructions: blocks * (m * panelCount * groups + panelCount * perPanel + m * panelTiles * (2 * groups + 6)),
    chains: 8, // sums start afresh with every block
    nearBytes: (2 * xBytes < l1Bytes ? xBytes : xBytes * panelTiles) + (wBytes > l2Bytes ? 0 : wBytes * rounds),
    farBytes: wBytes > l2Bytes ? wBytes * (staged ? rounds : 1) : 0,
    items: panelTiles * (staged ? rounds : 1),
  };
}

/** Tiles that the registers hold; staged ones take as many tokens at once as half of L2 holds of activations. */
function packedSchedules(request: KernelRequest): PackedSchedule[] {
  const { m, depth } = linearSizes(request);
  const block = Math.max(24, Math.floor(request.machine.l2Bytes / 2 / Math.max(1, depth) / 24) * 24);
  const candidates: PackedSchedule[] = [];
  for (const tokens of [1, 2, 3, 4]) {
    for (const panels of [1, 2, 4]) {
      const registers = 2 * tokens * panels + panels + 1;
      if (tokens > Math.max(1, m) || registers >= request.machine.vectorRegisters) continue;
      candidates.push({ tokens, panels, staged: 0, block: 0 });
      if (m > tokens) candidates.push({ tokens, panels, staged: 1, block });
    }
  }
  return rankSchedules(candidates, (schedule) => packedWork(request, schedule), request.machine);
}

export const linearPacked: KernelTemplate = {
  op: 'linear',
  name: 'linear packed',
  supports(request) {
    const [x, w] = request.inputs.map((t) => t.dtype);
    const isFit =
      isNumberFormat(x!) && isNumberFormat(w!) && x.codeSum !== null && x.panelRows === 1 && w.panelRows === LANES;
    return (
      isFit &&
      w.codeSum === null &&
      isSimple(w) &&
      sumSize(x) === w.groupSize &&
      x.blockSize === w.blockSize &&
      request.machine.lanes === LANES &&
      request.output.dtype === 'f32' &&
      writesFloats(request)
    );
  },
  schedules: packedSchedules,
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('linear', request, schedule), LANES);
    const linear = new PackedLinear(k, request);
    const { m, n } = linearSizes(request);
    if (m * n > 0) {
      if (schedule.staged === 1) linear.staged(schedule as PackedSchedule);
      else linear.direct(schedule as PackedSchedule);
    }
    return k.finish();
  },
};
