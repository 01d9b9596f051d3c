/** `packed_embedding` as a composite: rows of a packed table of any layout, so that a tied output matrix need not exist twice. */
import { gather } from '../ir/build.ts';
import { apply, type Op, type Value } from '../ir/graph.ts';
import { defineOp, requireDType, requireShape } from '../ir/op/rule.ts';
import { dequantize } from './dequantize.ts';
import { asNumberFormat } from './number-format.ts';

export const packedEmbeddingOp: Op = defineOp(
  'packed_embedding',
  {
    arity: 2,
    groups: ['composite', 'index'],
    meaning: 'rows of packed table [vocabSize, dim] number `tokens` [seqLen] i32 as f32 [seqLen, dim]; tokens clamped',
    infer(inputs, _, name) {
      const [table, tokens] = inputs;
      asNumberFormat(table!.dtype, name);
      requireDType(name, tokens!, 'integer');
      const fits = table!.shape.length === 2 && tokens!.shape.length === 1;
      requireShape(fits, name, 'needs a table [vocabSize, dim] and tokens [seqLen]', inputs);
      return { dtype: 'f32', shape: [tokens!.shape[0]!, table!.shape[1]!] };
    },
  },
  ([table, tokens]) => gather(dequantize(table!), tokens!, 0),
);

/** Rows of a packed table [vocabSize, dim], in any layout, for tokens [seqLen] i32, as f32 [seqLen, dim]. */
export const packedEmbedding = (table: Value, tokens: Value): Value => apply(packedEmbeddingOp, [table, tokens]);
