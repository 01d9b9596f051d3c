/** Feed-forward blocks and the activations they use. Source: Shazeer 2020 (gated linear units). */
import { nn, numpy as np, type Tensor } from '../../tensor/index.ts';
import { type ConfigRecord, choiceField } from '../config-reader.ts';
import type { Block } from './block.ts';

const gelu = (x: Tensor): Tensor => nn.gelu(x);
const geluByTanh = (x: Tensor): Tensor => nn.gelu(x, 'tanh');

/** Activations by the names that configurations give them. */
const ACTIVATIONS = {
  silu: nn.silu,
  swish: nn.silu,
  relu: nn.relu,
  gelu,
  gelu_new: geluByTanh,
  gelu_fast: geluByTanh,
  gelu_pytorch_tanh: geluByTanh,
} as const;

type ActivationName = keyof typeof ACTIVATIONS;

export type Activation = (x: Tensor) => Tensor;

/** The activation that a key of the configuration names. Throws UNSUPPORTED_FEATURE. */
export const readActivation = (config: ConfigRecord, key = 'hidden_act'): Activation =>
  ACTIVATIONS[choiceField(config, key, Object.keys(ACTIVATIONS) as ActivationName[], 'silu')];

/** activation(gate) * up. */
export const gated = (activation: Activation, gate: Tensor, up: Tensor): Tensor =>
  activation === nn.silu ? nn.swiglu(gate, up) : np.multiply(activation(gate), up);

/** down(activation(gate(x)) * up(x)). */
export const gatedFeedForward = (
  parts: { readonly gate: Block; readonly up: Block; readonly down: Block },
  activation: Activation,
): Block => ({
  tensors: [parts.gate, parts.up, parts.down].flatMap((block) => block.tensors),
  apply(weights, x) {
    const inner = gated(activation, parts.gate.apply(weights, x), parts.up.apply(weights, x));
    return parts.down.apply(weights, inner);
  },
});

/** The same with one matrix that gives gate and up side by side. */
export const fusedFeedForward = (
  parts: { readonly gateUp: Block; readonly down: Block },
  activation: Activation,
): Block => ({
  tensors: [...parts.gateUp.tensors, ...parts.down.tensors],
  apply(weights, x) {
    const [first, second] = np.split(parts.gateUp.apply(weights, x), 2, 1);
    return parts.down.apply(weights, gated(activation, first!, second!));
  },
});

/** down(activation(up(x))). */
export const plainFeedForward = (
  parts: { readonly up: Block; readonly down: Block },
  activation: Activation,
): Block => ({
  tensors: [...parts.up.tensors, ...parts.down.tensors],
  apply: (weights, x) => parts.down.apply(weights, activation(parts.up.apply(weights, x))),
});
