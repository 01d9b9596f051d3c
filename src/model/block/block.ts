/** Parts that models are put together from: each names the tensors it needs where it uses them. */
import { nn, numpy as np, type Tensor } from '../../tensor/index.ts';
import type { TensorSpec, Weights } from '../family.ts';

/** A function of rows with weights: x [rows, inFeatures] f32 -> [rows, outFeatures] f32. */
export interface Block {
  readonly tensors: readonly TensorSpec[];
  apply(weights: Weights, x: Tensor): Tensor;
}

/** Blocks one after the other. */
export const chain = (...blocks: readonly Block[]): Block => ({
  tensors: blocks.flatMap((block) => block.tensors),
  apply: (weights, x) => blocks.reduce((rows, block) => block.apply(weights, rows), x),
});

export interface LinearOptions {
  readonly hasBias?: boolean;
  /** The checkpoint stores [inFeatures, outFeatures]. */
  readonly isTransposed?: boolean;
}

/** x times `<name>.weight` [outFeatures, inFeatures] transposed, plus `<name>.bias` [outFeatures]. */
export function linear(name: string, outFeatures: number, inFeatures: number, options: LinearOptions = {}): Block {
  const { hasBias = false, isTransposed = false } = options;
  const [weight, bias] = [`${name}.weight`, `${name}.bias`];
  const matrix: TensorSpec = { name: weight, shape: [outFeatures, inFeatures] };
  return {
    tensors: [
      isTransposed ? { ...matrix, isTransposed } : matrix,
      ...(hasBias ? [{ name: bias, shape: [outFeatures] }] : []),
    ],
    apply(weights, x) {
      const product = nn.linear(x, weights(weight));
      return hasBias ? np.add(product, weights(bias)) : product;
    },
  };
}

/** Rows over their root mean square, times `<name>.weight` [dim] + offset. */
export const rmsNorm = (name: string, dim: number, eps: number, offset = 0): Block => ({
  tensors: [{ name: `${name}.weight`, shape: [dim] }],
  apply: (weights, x) => nn.rmsNorm(x, weights(`${name}.weight`), eps, offset),
});

/** Rows of mean 0 and variance 1, times `<name>.weight` [dim], plus `<name>.bias` [dim]. */
export const layerNorm = (name: string, dim: number, eps: number): Block => ({
  tensors: [
    { name: `${name}.weight`, shape: [dim] },
    { name: `${name}.bias`, shape: [dim] },
  ],
  apply: (weights, x) => nn.layerNorm(x, weights(`${name}.weight`), weights(`${name}.bias`), eps),
});

/** A block for rows of `headDim` features applied to each head of rows [rows, nHeads * headDim]. */
export const perHead = (block: Block, headDim: number): Block => ({
  tensors: block.tensors,
  apply(weights, x) {
    const [rows, features] = x.shape as readonly [number, number];
    const heads = np.reshape(x, [rows, features / headDim, headDim]);
    return np.reshape(block.apply(weights, heads), [rows, features]);
  },
});
