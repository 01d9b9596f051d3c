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
import { isNumberFormat, type NumberFormat, panelBlockBytes, SUB_BLOCK } from '../../quant/number-format.ts';
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
import { Results, writesFloats } from './results.ts';
import { forTiles } from './tiles.ts';

const LANES = 4;
const VECTOR_BYTES = 16;
const F32X4 = vectorType('f32', LANES);
const I32X4 = vectorType('i32', LANES);

/** tokens x panels tile; `staged` 1 decodes panels to bytes once for `block` tokens. */
interface PackedSchedule extends Schedule {
  readonly tokens: number;
  readonly panels: number;
  readonly staged: number;
  readonly block: number;
}

/** Where a tile finds the codes and parameters of block `at` of panel `p`. */
interface PanelReader {
  codes(panel: number, subBlock: number): (group: number) => Expr;
  field(panel: number, which: 'scale' | 'min' | 'zeroPoint'): Expr;
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
            const activations = k.let(splat(xField(t, x.codesOffset + subBlock * SUB_BLOCK + 4 * group, 'i32'), LANES));
            weights.forEach((c, p) =>
              k.set(dots[t]![p]!, ternary(w.bits < 8 ? 'dot8u7' : 'dot8u8', dots[t]![p]!, activations, c)),
            );
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
    if (n % LANES === 0) return store(LANES);
    const isLast = binary('eq', add(panel, sums[0]!.length), Math.ceil(n / LANES));
    k.if(
      isLast,
      () => store(n % LANES),
      () => store(LANES),
    );
  }
}

/** Panels decoded to bytes in scratch: per block the parameters as f32, then one vector of codes per group and panel. */
class PanelStage {
  readonly #k: KernelBuilder;
  readonly #buffer: BufferParam;
  readonly #format: NumberFormat;
  readonly #blocks: number;
  readonly #panels: number;
  readonly #scratch: { buffer: BufferParam; byteOffset: number };
  readonly #fields: readonly ('scale' | 'min' | 'zeroPoint')[];

  constructor(k: KernelBuilder, buffer: BufferParam, format: NumberFormat, panels: number, blocks: number) {
    this.#k = k;
    this.#buffer = buffer;
    this.#format = format;
    this.#panels = panels;
    this.#blocks = blocks;
    this.#fields = (['scale', 'min', 'zeroPoint'] as const).filter((which) => format[which] !== null);
    this.#scratch = k.threadScratch(blocks * this.#blockBytes);
  }

  get #blockBytes(): number {
    return VECTOR_BYTES * this.#panels * (this.#fields.length + this.#format.blockSize / 4);
  }

  #fieldOffset(panel: number, which: 'scale' | 'min' | 'zeroPoint'): number {
    return VECTOR_BYTES * (this.#fields.indexOf(which) * this.#panels + panel);
  }

  #codeOffset(panel: number, subBlock: number, group: number): number {
    return VECTOR_BYTES * ((this.#fields.length + (subBlock * SUB_BLOCK) / 4 + group) * this.#panels + panel);
  }

  /** Decodes panels first .. first + panels - 1. */
  fill(first: Expr, panels: number): void {
    const [k, format] = [this.#k, this.#format];
    const to = k.variable(i32(this.#scratch.byteOffset));
    const bytes = panelBlockBytes(format);
    const start = k.let(mul(first, this.#blocks * bytes));
    k.loop(start, add(start, this.#blocks * bytes), bytes, (at) => {
      for (let p = 0; p < panels; p++) {
        const base = add(at, p * this.#blocks * bytes);
        const put = (offset: number, memory: 'f32' | 'i32', value: Expr): void =>
          k.store(this.#scratch.buffer, memory, add(to, offset), value);
        for (const which of this.#fields)
          put(this.#fieldOffset(p, which), 'f32', loadField(k, format, format[which]!, this.#buffer, base, 0, LANES));
        for (let subBlock = 0; subBlock * SUB_BLOCK < format.blockSize; subBlock++) {
          const codes = panelCodes(k, format, this.#buffer, add(base, subBlock * subBlockBytes(format)));
          for (const group of groupOrder(format)) put(this.#codeOffset(p, subBlock, group), 'i32', codes(group));
        }
      }
      k.set(to, add(to, this.#blockBytes));
    });
  }

  /** A reader that stands at the first block. */
  reader(): { reader: PanelReader; next: () => void } {
    const k = this.#k;
    const at = k.variable(i32(this.#scratch.byteOffset));
    const load = (memory: 'f32' | 'i32', offset: number): Expr =>
      k.load(this.#scratch.buffer, memory, add(at, offset), LANES);
    return {
      reader: {
        codes: (panel, subBlock) => (group) => load('i32', this.#codeOffset(panel, subBlock, group)),
        field: (panel, which) => load('f32', this.#fieldOffset(panel, which)),
      },
      next: () => k.set(at, add(at, this.#blockBytes)),
    };
  }
}

/** Tokens up to which decoding in registers is cheaper than staging. */
const FEW_TOKENS = 4;

function packedSchedules(request: KernelRequest): PackedSchedule[] {
  const { m, depth } = linearSizes(request);
  const few = [2, 1, 4].flatMap((panels) =>
    [Math.min(m, 4), 1].map((tokens) => ({ tokens: Math.max(1, tokens), panels, staged: 0, block: 0 })),
  );
  // As many tokens as half of L2 holds of activations.
  const block = Math.max(24, Math.floor(request.machine.l2Bytes / 2 / Math.max(1, depth) / 24) * 24);
  const many = [
    [3, 2],
    [4, 1],
    [2, 2],
    [4, 2],
  ].map(([tokens, panels]) => ({ tokens: tokens!, panels: panels!, staged: 1, block }));
  return m <= FEW_TOKENS ? [...few, ...many] : [...many, ...few];
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
