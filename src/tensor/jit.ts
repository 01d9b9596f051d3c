/**
 * `jit` and `trace`: run a function once on placeholders, keep the program, reuse it for every
 * call with the same shapes. What the function captures from outside is an input, not a copy.
 */
import { input } from '../ir/build.ts';
import { dtypeName } from '../ir/dtype.ts';
import type { Value } from '../ir/graph.ts';
import type { TensorType } from '../ir/shape.ts';
import { type CutGraph, cutGraph, evaluate, runCut } from './evaluate.ts';
import { storageOf } from './storage.ts';
import { Tensor } from './tensor.ts';
import { flattenTree, replaceTensors, type Tree } from './tree.ts';

/** A traced function: its graph and what it gives, in placeholders. */
export interface Traced<Result extends Tree> extends CutGraph {
  /** Number of leading graph inputs that are the function's arguments; the rest are captured tensors. */
  readonly parameterCount: number;
  readonly result: Result;
}

/** Runs `fn` on placeholders of the given types and records the program it stands for. */
export function trace<Result extends Tree>(
  fn: (...placeholders: Tensor[]) => Result,
  types: readonly TensorType[],
): Traced<Result> {
  const parameters: Value[] = types.map((type, i) => input(i, `argument${i}`, type.dtype, type.shape));
  const result = fn(...parameters.map((value) => new Tensor(value)));
  const outputs = flattenTree(result).tensors.map((tensor) => tensor.value);
  return { ...cutGraph(outputs, parameters), parameterCount: types.length, result };
}

const typesKey = (tensors: readonly Tensor[]): string =>
  tensors.map((t) => `${dtypeName(t.dtype)}[${t.shape}]`).join(';');

/**
 * Compiles a function of tensors. Arguments and result may be nested in arrays and records;
 * numbers and strings among the arguments are static: another value traces again.
 *
 * @example
 * const norm = jit((x: Tensor) => np.sqrt(np.sum(np.square(x))));
 * await (await norm(np.array([3, 4]))).item(); // 5
 */
export function jit<Args extends Tree[], Result extends Tree>(
  fn: (...args: Args) => Result,
): (...args: Args) => Promise<Result> {
  const traces = new Map<string, Traced<Result>>();
  return async (...args) => {
    const { tensors, structure } = flattenTree(args);
    const key = `${structure}|${typesKey(tensors)}`;
    let traced = traces.get(key);
    if (traced === undefined || traced.sources.some((source) => source.isDisposed)) {
      traced = trace(
        (...placeholders) => fn(...replaceTensors(args, placeholders)),
        tensors.map((t) => t.type),
      );
      traces.set(key, traced);
    }
    await evaluate(tensors);
    const sources = [...tensors.map((tensor) => storageOf(tensor.value)!), ...traced.sources];
    const results = await runCut(traced, sources);
    const made = results.map((storage, i) => Tensor.from(traced.graph.outputs[i]!.type, storage));
    return replaceTensors(traced.result, made);
  };
}
