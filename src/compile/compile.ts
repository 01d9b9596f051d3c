/** Compiles a graph for a target: plan, code, constants, program. */
import type { Graph, Value } from '../ir/graph.ts';
import type { Target } from '../target/target.ts';
import type { CompileOptions } from './options.ts';
import { planGraph } from './plan.ts';
import { Program } from './program.ts';

/**
 * Compiles a graph to a program on a target.
 * Throws INVALID_GRAPH, INVALID_ARGUMENT, UNSUPPORTED_OP, OUT_OF_MEMORY.
 */
export async function compileGraph(graph: Graph, target: Target, options: CompileOptions = {}): Promise<Program> {
  const start = performance.now();
  const { rates } = options;
  const planned = planGraph(graph, rates ? { ...target.machine, rates } : target.machine, options);
  const middle = performance.now();
  const { plan, storage, fusion, constants, donors } = planned;
  const compiled = await target.compile(plan);
  const pool = constants.byteLength > 0 ? target.allocate(constants.byteLength) : undefined;
  if (pool) target.bytes(pool).set(constants);
  const report = {
    name: plan.name,
    passes: planned.passes,
    steps: planned.steps,
    kernelCount: new Set(plan.steps.map((s) => s.kernel)).size,
    arenaBytes: plan.arenaBytes,
    peakBytes: storage.memory.peakBytes,
    constantBytes: constants.byteLength,
    codeBytes: compiled.codeBytes,
    lowerMs: middle - start,
    targetMs: performance.now() - middle,
    graph: { before: graph, after: planned.after },
    fusion,
    plan,
  };
  const typesOf = (values: readonly Value[]) => values.map((v) => v.type);
  const signature = { inputs: typesOf(graph.inputs), outputs: typesOf(graph.outputs), donors };
  return new Program(signature, target, compiled, pool, report);
}
