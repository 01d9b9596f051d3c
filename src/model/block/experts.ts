/**
 * Mixture of experts: a router sends each row to a few feed-forward blocks and mixes what they give. Their matrices are
 * stacked [nExperts, outFeatures, inFeatures], so that a step reads only the chosen ones.
 * Sources: Shazeer et al. 2017; Jiang et al. 2024 (Mixtral); Yang et al. 2024 (Qwen2, shared experts).
 */
import { nn, numpy as np, type Tensor } from '../../tensor/index.ts';
import type { TensorSpec } from '../family.ts';
import { type Block, linear } from './block.ts';
import { type Activation, gated } from './feed-forward.ts';

export interface ExpertParts {
  readonly dim: number;
  readonly ffnDim: number;
  readonly nExperts: number;
  /** Experts that each row is sent to. */
  readonly nChosen: number;
  /** Whether the weights of the chosen experts are scaled to a sum of 1. */
  readonly isNormalized: boolean;
  readonly activation: Activation;
  /** Name of the router's matrix [nExperts, dim]. */
  readonly router: string;
  /** Before the expert's number in names, and the names of its matrices. */
  readonly prefix: string;
  readonly names: { readonly gate: string; readonly up: string; readonly down: string };
  /** A block that every row goes through, weighted by the sigmoid of its own gate [1, dim]. */
  readonly shared?: { readonly block: Block; readonly gate: Block };
}

/** Experts a layer may have: large models have some 25,000 over all layers, and their names alone take memory. */
export const mostExperts = (nLayers: number): number => Math.floor(2 ** 16 / nLayers);

/** Sum over the chosen experts of share * down(activation(gate(x)) * up(x)), plus the shared expert's rows. */
export function mixtureOfExperts(parts: ExpertParts): Block {
  const { dim, ffnDim, nExperts, nChosen, isNormalized, activation, prefix, names, shared } = parts;
  const router = linear(parts.router, nExperts, dim);
  const stack = (name: string, outFeatures: number, inFeatures: number): TensorSpec => ({
    name: `${prefix}${name}.weight`,
    shape: [nExperts, outFeatures, inFeatures],
    stackOf: Array.from({ length: nExperts }, (_, i) => `${prefix}${i}.${name}.weight`),
  });
  const stacks = {
    gate: stack(names.gate, ffnDim, dim),
    up: stack(names.up, ffnDim, dim),
    down: stack(names.down, dim, ffnDim),
  };
  return {
    tensors: [
      ...router.tensors,
      ...Object.values(stacks),
      ...(shared ? [...shared.block.tensors, ...shared.gate.tensors] : []),
    ],
    apply(weights, x) {
      const rows = x.shape[0]!;
      const { values, indices } = np.topK(nn.softmax(router.apply(weights, x)), nChosen);
      const shares = isNormalized ? np.divide(values, np.sum(values, { axis: 1, keepdims: true })) : values;
      const ids = np.ravel(indices);
      const through = (spec: TensorSpec, input: Tensor) => nn.expertLinear(input, weights(spec.name), ids);
      const inner = gated(activation, through(stacks.gate, x), through(stacks.up, x));
      const each = np.reshape(through(stacks.down, inner), [rows, nChosen, dim]);
      const mixed = np.sum(np.multiply(each, np.expandDims(shares, 2)), { axis: 1 });
      if (!shared) return mixed;
      const own = np.multiply(shared.block.apply(weights, x), nn.sigmoid(shared.gate.apply(weights, x)));
      return np.add(mixed, own);
    },
  };
}
