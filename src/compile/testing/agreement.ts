/** Runs one program on a target and holds it to the reference, element by element. */
import { type DType, dtypeName, isPacked } from '../../ir/dtype.ts';
import { expandComposites } from '../../ir/expand.ts';
import { type Graph, topologicalOrder } from '../../ir/graph.ts';
import { elementsOf, type HostTensor } from '../../ir/host-tensor.ts';
import { interpret } from '../../ir/interpreter/interpret.ts';
import { printGraph } from '../../ir/printer.ts';
import { byteLength } from '../../ir/shape.ts';
import type { DeviceBuffer, Target } from '../../target/target.ts';
import { compileGraph } from '../compile.ts';
import type { CompileOptions } from '../options.ts';
import type { CompileReport } from '../report.ts';
import { inexactValues, perturbed, ulpOf } from './exactness.ts';
import type { Candidate } from './guided-fuzzer.ts';
import { randomProgram } from './random-graph.ts';
import { randomOptions } from './random-options.ts';

/** Runs of the reference with moved values, as seed and sign; the greatest deviation times the factor is the tolerance. */
const PERTURBED_RUNS = [
  [1, 1],
  [1, -1],
  [2, 1],
  [3, 1],
  [4, 1],
] as const;
const SAFETY_FACTOR = 16;

/** What a program must give: the reference's elements and how far each may be off. */
export interface Expectation {
  readonly elements: ArrayLike<number>;
  /** Per element; NaN where the reference itself changes between numbers and NaN or infinity. */
  readonly tolerances: ArrayLike<number> | undefined;
}

/** The reference's answers, with tolerances for inexact outputs. */
export function expectationsOf(graph: Graph, tensors: readonly HostTensor[]): Expectation[] {
  const expected = interpret(graph, tensors);
  const expanded = expandComposites(graph);
  const inexact = inexactValues(topologicalOrder(expanded.outputs));
  const isAnyInexact = expanded.outputs.some((v) => inexact.has(v));
  const runs = isAnyInexact
    ? PERTURBED_RUNS.map(([seed, sign]) => interpret(perturbed(graph, seed, sign), tensors))
    : [];
  return expected.map((tensor, i) => {
    const elements = elementsOf(tensor);
    const value = expanded.outputs[i]!;
    if (!inexact.has(value) || isPacked(value.type.dtype)) return { elements, tolerances: undefined };
    const others = runs.map((run) => elementsOf(run[i]!));
    const dtype = value.type.dtype as DType;
    return {
      elements,
      tolerances: Array.from(elements, (x, j) =>
        tolerance(
          x,
          others.map((o) => o[j]!),
          dtype,
        ),
      ),
    };
  });
}

/** A few steps of the denormal range, where units in the last place do not shrink with the number. */
const DENORMAL_STEPS: Partial<Record<DType, number>> = { f32: 2 ** -140, f16: 2 ** -22, bf16: 2 ** -131 };

function tolerance(x: number, moved: readonly number[], dtype: DType): number {
  if (!Number.isFinite(x)) return moved.every((m) => Object.is(m, x)) ? 0 : NaN;
  if (!moved.every(Number.isFinite)) return NaN;
  const deviation = moved.reduce((most, m) => Math.max(most, Math.abs(m - x)), 0);
  return SAFETY_FACTOR * deviation + 4 * ulpOf(dtype) * Math.abs(x) + DENORMAL_STEPS[dtype]!;
}

/** A disagreement in words, or undefined. */
export function disagreement(got: HostTensor, { elements, tolerances }: Expectation): string | undefined {
  const given = elementsOf(got);
  for (let i = 0; i < elements.length; i++) {
    const [x, want] = [given[i]!, elements[i]!];
    if (Object.is(x, want)) continue;
    const bound = tolerances?.[i];
    if (bound !== undefined && (Number.isNaN(bound) || Math.abs(x - want) <= bound)) continue;
    const type = `${dtypeName(got.type.dtype)}[${got.type.shape.join(', ')}]`;
    return `element ${i} of ${type} is ${show(x)}, not ${show(want)}${bound === undefined ? '' : ` within ${bound}`}`;
  }
  return undefined;
}

const show = (x: number): string => (Object.is(x, -0) ? '-0' : String(x));

/** Compiles and runs a program. Donated outputs are read from their inputs' memory. */
export async function runOn(
  target: Target,
  graph: Graph,
  tensors: readonly HostTensor[],
  options: CompileOptions,
): Promise<{ results: HostTensor[]; report: CompileReport }> {
  using program = await compileGraph(graph, target, options);
  const made: DeviceBuffer[] = [];
  const allocate = (bytes: number): DeviceBuffer => {
    const buffer = target.allocate(Math.max(bytes, 1));
    made.push(buffer);
    return buffer;
  };
  const inputs = graph.inputs.map((v, i) => {
    const buffer = allocate(byteLength(v.type));
    target.bytes(buffer).set(tensors[i]!.bytes);
    return buffer;
  });
  const outputs = graph.outputs.map((v, i) => {
    const donor = program.donors[i];
    return donor === undefined ? allocate(byteLength(v.type)) : inputs[donor]!;
  });
  await program.run(inputs, outputs);
  const results = graph.outputs.map(({ type }, i) => ({
    type,
    bytes: target.bytes(outputs[i]!).slice(0, byteLength(type)),
  }));
  for (const buffer of made) buffer.dispose();
  return { results, report: program.report };
}

/** Compiles and runs a random program. Throws an error that names the disagreement and prints the program. */
export async function attempt(target: Target, { program, opCount, options }: Candidate): Promise<CompileReport> {
  const { graph, tensors } = randomProgram(program, opCount);
  const expected = expectationsOf(graph, tensors);
  const { results, report } = await runOn(target, graph, tensors, randomOptions(graph, options));
  results.forEach((result, i) => {
    const problem = disagreement(result, expected[i]!);
    if (problem)
      throw new Error(
        `output ${i}: ${problem}\npasses: ${report.passes.map((p) => p.pass).join(', ')}\n${printGraph(graph)}`,
      );
  });
  return report;
}
