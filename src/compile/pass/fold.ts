/** Constant folding: small values that depend on constants only are computed now, by the reference interpreter. */
import { broadcast, constantOf, scalar } from '../../ir/build.ts';
import { type DType, isPacked } from '../../ir/dtype.ts';
import { apply, type Value } from '../../ir/graph.ts';
import { interpret } from '../../ir/interpreter/interpret.ts';
import { elementCount } from '../../ir/shape.ts';
import { splatNumber } from '../splat.ts';
import type { Pass } from './pass.ts';

/** Larger results stay computed: they would be stored and uploaded. */
const MOST_ELEMENTS = 256;

/** Ops that repeat what they get: their results are not worth storing as data. */
const KEPT: ReadonlySet<string> = new Set(['broadcast']);

const isSmallConstant = ({ op, type }: Value): boolean =>
  op.name === 'constant' && !isPacked(type.dtype) && elementCount(type.shape) <= 4 * MOST_ELEMENTS;

/** An elementwise op on numbers repeated over a shape, computed once. */
function foldSplats(value: Value): Value | undefined {
  if (!value.op.groups.has('elementwise') || isPacked(value.type.dtype)) return undefined;
  const numbers = value.inputs.map(splatNumber);
  if (numbers.some((n) => n === undefined)) return undefined;
  const scalars = value.inputs.map((v, i) => scalar(v.type.dtype as DType, numbers[i]!));
  const result = interpret({ inputs: [], outputs: [apply(value.op, scalars, value.attrs)] }, [])[0]!;
  return broadcast(constantOf(result), value.type.shape, []);
}

/** Evaluates what depends on small constants only. */
export const foldConstants: Pass = {
  name: 'fold-constants',
  start: (context) => (value) => {
    if (value.inputs.length === 0) return value;
    const splat = foldSplats(value);
    if (splat) return splat;
    if (KEPT.has(value.op.name) || !value.inputs.every(isSmallConstant) || context.isSupported(value)) return value;
    if (isPacked(value.type.dtype) || elementCount(value.type.shape) > MOST_ELEMENTS) return value;
    return constantOf(interpret({ inputs: [], outputs: [value] }, [])[0]!);
  },
};
