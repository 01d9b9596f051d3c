/** Runs a family's small checkpoint step by step, and compares its logits with PyTorch's. */
import { byteLength } from '../../ir/shape.ts';
import { jit, numpy as np, Storage, Tensor } from '../../tensor/index.ts';
import { type CausalModel, createModel, type LayerCache, type TensorSpec, type Weights } from '../index.ts';
import { type FamilyCase, formulaValues } from './family-checkpoint.ts';
import reference from './logits.json' with { type: 'json' };

const CAPACITY = 32;
const { tokens, rows, logits: references } = reference;

/** [in, out] as [out, in]. */
const transposed = (values: Float32Array, [outFeatures, inFeatures]: readonly [number, number]): Float32Array =>
  values.map((_, i) => values[(i % inFeatures) * outFeatures + Math.floor(i / inFeatures)]!);

function weight(spec: TensorSpec, config: FamilyCase['config']): Tensor {
  const names = spec.stackOf ?? [spec.name];
  const size = spec.shape.reduce((n, d) => n * d, 1);
  const values = new Float32Array(size);
  names.forEach((name, i) => values.set(formulaValues(name, size / names.length, config), (i * size) / names.length));
  const placed = spec.isTransposed ? transposed(values, spec.shape as readonly [number, number]) : values;
  return Tensor.from({ dtype: 'f32', shape: spec.shape }, Storage.inHost(new Uint8Array(placed.buffer)));
}

const emptyCaches = (model: CausalModel): LayerCache[] =>
  model.caches.map(({ nKvHeads, headDim }) => {
    const type = { dtype: 'f32', shape: [nKvHeads, CAPACITY, headDim] } as const;
    const zeros = () => Tensor.from(type, Storage.inHost(new Uint8Array(byteLength(type))));
    return { keys: zeros(), values: zeros() };
  });

/** Logits [tokens.length][vocabSize] after steps of the given lengths. */
async function logitsInSteps(model: CausalModel, byName: Weights, lengths: readonly number[]): Promise<number[][]> {
  const step = jit((tokens: Tensor, start: Tensor, flat: readonly Tensor[]) => {
    const caches = model.caches.map((_, i) => ({ keys: flat[2 * i]!, values: flat[2 * i + 1]! }));
    const positions = np.add(np.arange(tokens.size), start);
    const next = model.forward(byName, { tokens, start, positions, caches, contextLength: 24 });
    return [model.logits(byName, next.hidden), ...next.caches.flatMap(({ keys, values }) => [keys, values])];
  });
  let flat = emptyCaches(model).flatMap(({ keys, values }) => [keys, values]);
  const found: number[][] = [];
  let start = 0;
  for (const length of lengths) {
    const chunk = Int32Array.from(tokens.slice(start, start + length));
    const [logits, ...next] = await step(np.array(chunk), np.array(Int32Array.of(start)), flat);
    found.push(...((await logits!.tolist()) as number[][]));
    flat = next;
    start += length;
  }
  return found;
}

/** f32 numbers of base64 text. */
const numbersOf = (text: string): Float32Array =>
  new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);

/** The largest difference as a share of the largest value. */
function distance(found: readonly number[], expected: Float32Array): number {
  const differences = expected.map((value, i) => Math.abs(value - found[i]!));
  return Math.max(...differences) / Math.max(...expected.map(Math.abs));
}

/**
 * How far the logits of a case are from PyTorch's after 24 tokens in steps of the given lengths: the worst row of each
 * way to cut them.
 */
export async function distancesFromReference(
  { name, config }: FamilyCase,
  cuts: readonly (readonly number[])[],
): Promise<number[]> {
  const model = createModel(config);
  const weights = new Map(model.tensors.map((spec) => [spec.name, weight(spec, config)]));
  const expected = references[name as keyof typeof references].map(numbersOf);
  const distances: number[] = [];
  for (const lengths of cuts) {
    const found = await logitsInSteps(model, (name) => weights.get(name)!, lengths);
    distances.push(Math.max(...rows.map((row, i) => distance(found[row]!, expected[i]!))));
  }
  return distances;
}
