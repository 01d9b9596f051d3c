/** Decomposition: composites and contractions that no hot kernel takes become primitives that fusion knows. */
import type { Value } from '../../ir/graph.ts';
import { decomposeContraction } from './contraction.ts';
import type { Pass, PassContext } from './pass.ts';

const CONTRACTIONS: ReadonlySet<string> = new Set(['dot_general', 'conv']);

/** Elementwise composites fuse better in parts than they would run whole. */
function staysWhole(value: Value, context: PassContext): boolean {
  return !value.op.groups.has('elementwise') && context.isSupported(value);
}

/** Replaces composites and contractions without a template by their meaning in smaller ops. */
export const decompose: Pass = {
  name: 'decompose',
  start: (context) => (value) => {
    const { op, inputs, attrs } = value;
    const isContraction = CONTRACTIONS.has(op.name);
    if (!(op.decompose || isContraction) || staysWhole(value, context)) return value;
    return op.decompose ? op.decompose(inputs, attrs) : decomposeContraction(value);
  },
};
