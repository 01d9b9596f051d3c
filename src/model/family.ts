/** What the engine needs of an architecture: its tensors, its caches and its forward function. */
import type { Shape } from '../ir/shape.ts';
import type { Tensor } from '../tensor/index.ts';
import type { ConfigRecord } from './config-reader.ts';

/** A tensor that a checkpoint must have. Matrices may come in any number format. */
export interface TensorSpec {
  readonly name: string;
  /** As the model uses it: matrices are [outFeatures, inFeatures], stacks of experts [nExperts, outFeatures, inFeatures]. */
  readonly shape: Shape;
  /** Names that some checkpoints give it instead. */
  readonly otherNames?: readonly string[];
  /** Where the checkpoint has no tensor `name`: those that make it, stacked along a new axis 0. */
  readonly stackOf?: readonly string[];
  /** The checkpoint stores this matrix as [inFeatures, outFeatures]. */
  readonly isTransposed?: boolean;
}

export type Weights = (name: string) => Tensor;

/** Keys and values of one layer, [nKvHeads, context, headDim] float or packed each. */
export interface LayerCache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** One step: `seqLen` tokens at positions start .. start + seqLen - 1. */
export interface StepInput {
  /** [seqLen] i32. */
  readonly tokens: Tensor;
  /** [1] i32. */
  readonly start: Tensor;
  /** [seqLen] i32: start + 0, 1, 2, … */
  readonly positions: Tensor;
  readonly caches: readonly LayerCache[];
  /** Positions that the sequence may reach, where that decides something (longrope); default: the model's. */
  readonly contextLength?: number;
}

export interface CacheSizes {
  readonly nKvHeads: number;
  readonly headDim: number;
}

/** An architecture with its sizes filled in. */
export interface CausalModel {
  readonly vocabSize: number;
  /** Positions that the model was made for. */
  readonly contextLength: number;
  readonly tensors: readonly TensorSpec[];
  /** Cache sizes, one a layer. */
  readonly caches: readonly CacheSizes[];
  /** Hidden states [seqLen, dim] f32 and the caches with this step's rows. */
  forward(weights: Weights, step: StepInput): { hidden: Tensor; caches: readonly LayerCache[] };
  /** Logits [rows, vocabSize] f32 of hidden states [rows, dim]. */
  logits(weights: Weights, hidden: Tensor): Tensor;
}

/** A family of architectures: one row of the table in index.ts. */
export interface ModelFamily {
  readonly name: string;
  /** Names in `config.json`'s `architectures`. */
  readonly architectures: readonly string[];
  /** The paper or report that describes it. */
  readonly source: string;
  /** What it does otherwise than Llama. */
  readonly differences: string;
  /** What the configuration means where it says nothing. */
  readonly defaults: ConfigRecord;
  /** Keys that change the meaning in ways that are not built, each with the only value that is. */
  readonly fixed?: ConfigRecord;
  /** Of a configuration with its defaults filled in. Throws BAD_FILE, UNSUPPORTED_FEATURE. */
  create(config: ConfigRecord): CausalModel;
}
