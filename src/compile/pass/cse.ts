/** Common sub-expressions: of equal ops on equal operands with equal attributes, one is kept. */
import type { Value } from '../../ir/graph.ts';
import { attributesKey } from '../structural-key.ts';
import type { Pass } from './pass.ts';

function keyOf({ op, inputs, attrs }: Value): string {
  const ids = inputs.map((v) => v.id);
  if (op.groups.has('commutative')) ids.sort((a, b) => a - b);
  return `${op.name}(${ids.join()})${attributesKey(attrs)}`;
}

/** Keeps one of equal values. Operands of commutative ops may stand in either order. */
export const eliminateCommonSubexpressions: Pass = {
  name: 'common-subexpressions',
  start() {
    const known = new Map<string, Value>();
    return (value) => {
      const key = keyOf(value);
      const twin = known.get(key);
      if (!twin) known.set(key, value);
      return twin ?? value;
    };
  },
};
