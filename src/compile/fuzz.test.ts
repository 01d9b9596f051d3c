/** Random programs on every target, against the reference interpreter. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { printGraph } from '../ir/printer.ts';
import { InterpreterTarget } from '../target/interpreter/index.ts';
import type { Target } from '../target/target.ts';
import { WasmTarget } from '../target/wasm/index.ts';
import { disagreement, expectationsOf, randomProgram, runOn } from './testing/index.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 250);
const program = fc.record({ numbers: fc.array(fc.nat(0xffff), { minLength: 20, maxLength: 160 }), opCount: fc.integer({ min: 1, max: 14 }) });

const targets: readonly (readonly [string, () => Promise<Target>])[] = [
  ['interpreter, 2 threads', async () => new InterpreterTarget({ threads: 2 })],
  ['wasm, 1 thread', () => WasmTarget.create({ threads: 1 })],
];

describe.each(targets)('random programs on %s', (_, create) => {
  let target: Target;
  beforeAll(async () => {
    target = await create();
  });
  afterAll(() => target.dispose());

  test('agree with the reference', async () => {
    const property = fc.asyncProperty(program, async ({ numbers, opCount }) => {
      const { graph, tensors } = randomProgram(numbers, opCount);
      const expected = expectationsOf(graph, tensors);
      const { results } = await runOn(target, graph, tensors, { check: true });
      const wrong = results.map((r, i) => disagreement(r, expected[i]!)).findIndex((d) => d !== undefined);
      if (wrong >= 0) throw new Error(`output ${wrong}: ${disagreement(results[wrong]!, expected[wrong]!)}\n${printGraph(graph)}`);
    });
    await fc.assert(property, { numRuns: RUNS, seed: Number(process.env['FUZZ_SEED'] ?? 1) });
    expect(target.liveBytes).toBe(0);
  });
});
