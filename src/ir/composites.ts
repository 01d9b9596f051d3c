/** All composites of this layer, by name; other layers define their own the same way (see op/rule.ts). */
import { attentionOp } from './attention.ts';
import { embeddingOp, geluOp, layerNormOp, rmsNormOp, siluOp, softmaxOp, swigluOp } from './layer-composites.ts';
import { ropeOp } from './rope.ts';

export * from './attention.ts';
export * from './layer-composites.ts';
export * from './rope.ts';

/** The composite ops: named sub-graphs that run through their decompositions or through a target's kernel. */
export const composites = {
  rms_norm: rmsNormOp,
  layer_norm: layerNormOp,
  softmax: softmaxOp,
  silu: siluOp,
  swiglu: swigluOp,
  gelu: geluOp,
  rope: ropeOp,
  attention: attentionOp,
  embedding: embeddingOp,
} as const;
