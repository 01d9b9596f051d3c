/** `packed_attention` as a composite: attention to a cache in a number format, which kernels decode as they read it. */
import { type AttentionOptions, attentionAttributes, attentionOp } from '../ir/attention.ts';
import { apply, type Op, type Value } from '../ir/graph.ts';
import { defineOp, requireSameDType } from '../ir/op/rule.ts';
import { dequantize } from './dequantize.ts';
import { asNumberFormat } from './number-format.ts';
import { requireBlocks } from './pack.ts';

export const packedAttentionOp: Op = defineOp(
  'packed_attention',
  {
    arity: 4,
    groups: ['composite'],
    meaning: 'attention to packed caches k, v [nKvHeads, context, headDim], blocks along headDim',
    infer(inputs, attrs, name) {
      const [q, k, v, start] = inputs;
      requireSameDType(`${name} cache`, [k!, v!]);
      for (const cache of [k!, v!]) requireBlocks(asNumberFormat(cache.dtype, name), cache.shape.at(-1) ?? 1);
      return attentionOp.infer([q!, { ...k!, dtype: 'f32' }, { ...v!, dtype: 'f32' }, start!], attrs);
    },
  },
  ([q, k, v, start], attrs) => apply(attentionOp, [q!, dequantize(k!), dequantize(v!), start!], attrs),
);

/** Attends q [seqLen, nHeads, headDim] f32 to packed caches k, v [nKvHeads, context, headDim], as `attention` does to floats. */
export const packedAttention = (q: Value, k: Value, v: Value, start: Value, options: AttentionOptions = {}): Value =>
  apply(packedAttentionOp, [q, k, v, start], attentionAttributes(q.type.shape.at(-1)!, options));
