/** Common sub-expressions: of equal ops on equal operands with equal attributes, one is kept. */
import type { Value } from '../../ir/graph.ts';
import { attributesKey } from '../structural-key.ts';
import { mapGraph, type Pass } from './pass.ts';

function keyOf({ op, inputs, attrs }: Value, ids: readonly number[]): string {
  const ordered = op.groups.has('commutative') && inputs.length === 2 ? [...ids].sort((a, b) => a - b) : ids;
  return `${op.name}(${ordered.join()})${attributesKey(attrs)}`;
}

/** Keeps one of equal values. Operands of commutative ops may stand in either order. */
export const eliminateCommonSubexpressions: Pass = {
  name: 'common-subexpressions',
  run(graph) {
    const known = new Map<string, Value>();
    return mapGraph(graph, (value) => {
      if (value.op.name === 'input') return value;
      const key = keyOf(
        value,
        value.inputs.map((v) => v.id),
      );
      const twin = known.get(key);
      if (!twin) known.set(key, value);
      return twin ?? value;
    });
  },
};
