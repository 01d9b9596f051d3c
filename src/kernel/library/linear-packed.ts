/**
 * `linear` of quantised activations by weights in panels of 4 rows: integer dot products within each group, scaled once
 * per group. y[n] = sum over groups of a * (step[n] * (sum of x * level[n] - offset * sum of x) + least[n] * sum of x)
 * (MixPE: dequantise after the group, not before).
 *
 * Few tokens decode the levels in registers, so that each weight byte is read once at the speed of memory: one vector of
 * levels is four neighbouring elements of 4 rows, four neighbouring activations repeat over its lanes. Many tokens
 * decode panels once for all of them (packed-tiles.ts).
 */
import type { NumberFormat } from '../../quant/number-format.ts';
import { rankSchedules, type Work } from '../cost.ts';
import { add, binary, type Expr, i32, mul } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { DirectProduct } from './direct-product.ts';
import { linearSizes } from './linear-float.ts';
import { kernelName } from './naming.ts';
import { canMultiply, hasLeast, LANES, panelBytes, unitSizes } from './packed-product.ts';
import { PackedTiles, type TileSizes } from './packed-tiles.ts';
import { stagedUnitBytes, tokenLayout } from './panel-stage.ts';
import { Results, writesFloats } from './results.ts';
import { forStreams, forTiles } from './tiles.ts';

/** Tiles of tokens x panels read in place. */
interface DirectSchedule extends Schedule {
  readonly tokens: number;
  readonly panels: number;
}

type PackedSchedule = DirectSchedule | (TileSizes & Schedule);

const isDirect = (schedule: Schedule): schedule is DirectSchedule => 'tokens' in schedule;

const formatsOf = ({ inputs: [x, w] }: KernelRequest): [NumberFormat, NumberFormat] => [
  x!.dtype as NumberFormat,
  w!.dtype as NumberFormat,
];

/** Whole product, read in place; threads split the panels. */
function emitDirect(k: KernelBuilder, request: KernelRequest, { tokens, panels }: DirectSchedule): void {
  const { m, n, depth } = linearSizes(request);
  const [x, w] = formatsOf(request);
  const [xBuffer, wBuffer] = [k.buffer('x', 'read'), k.buffer('w', 'read')];
  const product = new DirectProduct(k, { buffer: xBuffer, format: x }, { buffer: wBuffer, format: w }, depth);
  const results = new Results(k, request);
  const panelCount = Math.ceil(n / LANES);
  const store = (rowStart: Expr, panel: Expr, sum: Expr): void => {
    const put = (count: number): void => results.storeFirst(rowStart, mul(panel, LANES), sum, count);
    if (n % LANES === 0) put(LANES);
    else
      k.if(
        binary('eq', panel, panelCount - 1),
        () => put(n % LANES),
        () => put(LANES),
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

function emitTiled(k: KernelBuilder, request: KernelRequest, tile: TileSizes): void {
  const { m, n, depth } = linearSizes(request);
  const [x, w] = formatsOf(request);
  const operands = { x: { buffer: k.buffer('x', 'read'), format: x }, w: { buffer: k.buffer('w', 'read'), format: w } };
  const [sizes, results] = [unitSizes(x, w, depth), new Results(k, request)];
  const { hasFma } = request.machine;
  new PackedTiles(k, { ...operands, m, n, sizes, results, hasFma }, tile).emit();
}

/** Instructions that fit the time in which a tile starts on another chunk of the depth. */
const CHUNK_START = 100;

/** What a candidate does per unit: decodes levels, repeats activations, multiplies, and applies scales. */
function packedWork(request: KernelRequest, schedule: PackedSchedule): Work {
  const { m, n, depth } = linearSizes(request);
  const [x, w] = formatsOf(request);
  const { units, quads, spans } = unitSizes(x, w, depth);
  const panelCount = Math.ceil(n / LANES);
  const least = hasLeast(w) ? 1 : 0;
  const decode = quads * w.planes.reduce((sum, { bits }) => sum + bits / 8 + 2, 0) + spans * 5 + 10;
  const [xBytes, wBytes] = [m * units * x.blockBytes, panelCount * panelBytes(w, depth)];
  const { l1Bytes, l2Bytes, threads } = request.machine;
  const far = wBytes > l2Bytes;
  if (isDirect(schedule)) {
    const { tokens, panels } = schedule;
    const [rounds, panelTiles] = [Math.ceil(m / tokens), Math.ceil(panelCount / panels)];
    const multiplies = m * panelCount * units * quads;
    const perUnit = panelCount * (rounds * decode + m * spans * (3 + least)) + m * panelTiles * (2 * quads + 6);
    return {
      multiplies,
      instructions: multiplies + units * perUnit,
      chains: 8, // sums start afresh with every unit
      nearBytes: (2 * xBytes < l1Bytes ? xBytes : xBytes * panelTiles) + (far ? 0 : wBytes * rounds),
      farBytes: far ? wBytes : 0,
      items: panelTiles,
    };
  }
  const fours = Math.ceil(m / LANES);
  const [tiles, blocks] = [Math.ceil(fours / schedule.fours), Math.ceil(fours / schedule.block)];
  const multiplies = fours * LANES * panelCount * units * quads;
  const perTile = quads * 4 + spans * (6 + 3 * least);
  const perFour = quads + spans * (4 * (3 + least) + 6);
  // Each chunk fetches a tile's sums and leaves its loop by a branch that is seldom foreseen.
  const starts = (CHUNK_START * depth) / (schedule.chunk * w.blockSize);
  const staging = blocks * panelCount * (decode + quads) + threads * 2 * fours * (5 * quads + 24);
  const staged = m * units * tokenLayout(w, unitSizes(x, w, depth)).bytes;
  return {
    multiplies,
    instructions:
      multiplies + units * (panelCount * (tiles * perTile + fours * perFour) + staging) + starts * panelCount * tiles,
    chains: 8,
    nearBytes: (staged / LANES) * Math.ceil(panelCount / schedule.panels) + (far ? 0 : wBytes * blocks),
    farBytes: far ? wBytes * blocks : 0,
    items: Math.ceil(panelCount / schedule.panels),
  };
}

/** Tiles that the registers hold; staged ones take as many tokens at once as half of L2 holds of activations. */
function packedSchedules(request: KernelRequest): PackedSchedule[] {
  const { m, depth } = linearSizes(request);
  const { machine } = request;
  const [x, w] = formatsOf(request);
  const sizes = unitSizes(x, w, depth);
  const candidates: PackedSchedule[] = [];
  for (const tokens of [1, 2, 3, 4]) {
    for (const panels of [1, 2, 4]) {
      const registers = (sizes.spans + 1) * tokens * panels + panels + 1;
      if (tokens > Math.max(1, m) || registers >= machine.vectorRegisters) continue;
      candidates.push({ tokens, panels });
    }
  }
  const tokenBytes = Math.max(1, sizes.units * tokenLayout(w, sizes).bytes);
  const block = Math.max(2, Math.min(Math.ceil(m / LANES), Math.floor(machine.l2Bytes / 2 / tokenBytes / 2) * 2));
  const blockBytes = sizes.unitsPerBlock * stagedUnitBytes(w, sizes);
  for (const fours of [1, 2]) {
    for (const panels of [2, 4, 8]) {
      if (m <= LANES * (fours - 1) || m < 2) continue;
      const chunk = Math.max(1, Math.floor(machine.l1Bytes / 2 / panels / blockBytes));
      candidates.push({ fours, panels, chunk: Math.min(chunk, Math.max(1, sizes.units / sizes.unitsPerBlock)), block });
    }
  }
  return rankSchedules(candidates, (schedule) => packedWork(request, schedule), machine);
}

export const linearPacked: KernelTemplate = {
  op: 'linear',
  name: 'linear packed',
  supports: (request) =>
    canMultiply(request.inputs[0]!.dtype, request.inputs[1]!.dtype) &&
    request.machine.lanes === LANES &&
    request.output.dtype === 'f32' &&
    writesFloats(request),
  schedules: packedSchedules,
  build(request, schedule) {
    const k = new KernelBuilder(kernelName('linear', request, schedule), LANES);
    if (isDirect(schedule)) emitDirect(k, request, schedule);
    else emitTiled(k, request, schedule as TileSizes & Schedule);
    return k.finish();
  },
};
