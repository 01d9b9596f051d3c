/** Programs whose products run in tile registers, from graph to machine code: emulated, and where there is AMX, natively. */
import { describe, expect, it } from 'vitest';
import { runOn } from '../src/compile/testing/index.ts';
import * as b from '../src/ir/build.ts';
import type { DType } from '../src/ir/dtype.ts';
import type { Value } from '../src/ir/graph.ts';
import { elementsOf, type HostTensor, hostTensor } from '../src/ir/host-tensor.ts';
import { interpret } from '../src/ir/interpreter/interpret.ts';
import { kernelLibrary } from '../src/kernel/library/index.ts';
import { activationFor, packedFormat } from '../src/quant/formats.ts';
import { linear } from '../src/quant/linear.ts';
import { panel } from '../src/quant/number-format.ts';
import { pack } from '../src/quant/pack.ts';
import { quantize } from '../src/quant/quantize.ts';
import { type X64Options, X64Target } from '../src/target/x64/index.ts';
import { TILE_SETS } from '../src/target/x64/tiles.fixture.ts';

const [M, N, DEPTH] = [40, 48, 256];
const numbers = (count: number, f: (i: number) => number): number[] => Array.from({ length: count }, (_, i) => f(i));
const wave = (i: number): number => Math.sin(i * 1.7) * 3;
const operand = (dtype: DType, shape: readonly number[], f = wave): HostTensor =>
  hostTensor(dtype, shape, numbers(shape[0]! * shape[1]!, f));

/** Compiles and runs a graph; expects what its meaning gives, and a kernel with tiles. */
async function check(options: X64Options, output: Value, inputs: Value[], tensors: HostTensor[]): Promise<void> {
  const target = await X64Target.create({ ...options, threads: 2 });
  const graph = { inputs, outputs: [output] };
  const { report, results } = await runOn(target, graph, tensors, { check: true, templates: kernelLibrary });
  const [got, want] = [results[0]!, interpret(graph, tensors)[0]!].map((t) => Float64Array.from(elementsOf(t)));
  const largest = Math.max(...want!.map(Math.abs));
  for (const [i, value] of want!.entries()) expect(Math.abs(got![i]! - value)).toBeLessThanOrEqual(1e-5 * largest);
  expect(target.features).toContain(options.emulatesTiles ? 'amx-emulated' : 'amx');
  expect(report.plan.steps.some(({ kernel }) => kernel.tiles.length > 0)).toBe(true);
  target.dispose();
}

describe.each(TILE_SETS)('programs with $name', ({ features, why }) => {
  const options: X64Options =
    features.tiles === 'emulated' ? { level: 'avx512', emulatesTiles: true } : { level: 'amx' };

  describe.skipIf(why !== undefined)(why === undefined ? 'run' : `(skipped: ${why})`, () => {
    it('products of bytes', async () => {
      const [x, w] = [b.input(0, 'x', 'i8', [M, DEPTH]), b.input(1, 'w', 'i8', [DEPTH, N])];
      const integer = (i: number): number => ((i * 89) % 256) - 128;
      const product = b.dotGeneral(x, w, { lhsContract: [1], rhsContract: [0] });
      await check(options, product, [x, w], [operand('i8', [M, DEPTH], integer), operand('i8', [DEPTH, N], integer)]);
    });

    it('products of bf16, then elementwise work', async () => {
      const [x, w] = [b.input(0, 'x', 'bf16', [M, DEPTH]), b.input(1, 'w', 'bf16', [N, DEPTH])];
      const inputs = [operand('bf16', [M, DEPTH]), operand('bf16', [N, DEPTH])];
      await check(options, b.max(linear(x, w), b.full('f32', [M, N], 0)), [x, w], inputs);
    });

    it('quantised activations by packed weights', async () => {
      const format = packedFormat('Q4_K')!;
      const [x, w] = [b.input(0, 'x', 'f32', [M, DEPTH]), b.input(1, 'w', panel(format, 16), [N, DEPTH])];
      const weights: HostTensor = {
        type: w.type,
        bytes: pack(panel(format, 16), Float32Array.from(numbers(N * DEPTH, wave)), DEPTH),
      };
      await check(
        options,
        linear(quantize(x, activationFor(format)), w),
        [x, w],
        [operand('f32', [M, DEPTH]), weights],
      );
    });
  });
});
