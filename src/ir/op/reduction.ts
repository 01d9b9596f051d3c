/** Rows of reductions, arg-reductions, running reductions and orderings along axes. */
import type { OpGroup } from '../graph.ts';
import {
  axesAttr,
  axisAttr,
  booleanAttr,
  type DTypeClass,
  defineOps,
  type OpRow,
  requireDType,
  requireShape,
} from './rule.ts';

const reduce = (operands: DTypeClass, meaning: string): OpRow => ({
  arity: 1,
  groups: ['reduction'],
  meaning: `${meaning} over \`axes\`, which vanish`,
  infer([x], attrs, name) {
    requireDType(name, x!, operands);
    const axes = axesAttr(attrs, 'axes', x!.shape.length);
    return { dtype: x!.dtype, shape: x!.shape.filter((_, axis) => !axes.includes(axis)) };
  },
});

const argReduce = (meaning: string): OpRow => ({
  arity: 1,
  groups: ['reduction'],
  meaning: `i32 place of the first ${meaning} along \`axis\`, which vanishes; a NaN counts as it`,
  infer([x], attrs, name) {
    requireDType(name, x!, 'plain');
    const axis = axisAttr(attrs, x!.shape.length);
    requireShape(x!.shape[axis]! > 0, name, `axis ${axis} is empty and has no ${meaning}`, [x!]);
    return { dtype: 'i32', shape: x!.shape.toSpliced(axis, 1) };
  },
});

export const reductionOps = defineOps({
  reduce_sum: reduce('numeric', 'sum, 0 if empty,'),
  reduce_prod: reduce('numeric', 'product, 1 if empty,'),
  reduce_max: reduce('numeric', 'greatest, NaN if one is, least value (-Infinity) if empty,'),
  reduce_min: reduce('numeric', 'least, NaN if one is, greatest value (Infinity) if empty,'),
  reduce_and: reduce('bits', 'and, all bits set if empty,'),
  reduce_or: reduce('bits', 'or, 0 if empty,'),
  argmax: argReduce('maximum'),
  argmin: argReduce('minimum'),
});

/** A row that keeps the shape and works lane by lane along `axis`, with one flag. */
const lanes = (operands: DTypeClass, flag: string, meaning: string, group: OpGroup, result?: 'i32'): OpRow => ({
  arity: 1,
  groups: [group],
  meaning,
  infer([x], attrs, name) {
    requireDType(name, x!, operands);
    axisAttr(attrs, x!.shape.length);
    booleanAttr(attrs, flag);
    return { dtype: result ?? x!.dtype, shape: x!.shape };
  },
});

const running = (what: string) =>
  lanes('numeric', 'reverse', `${what} so far along \`axis\`, from the end if \`reverse\``, 'reduction');

export const cumulativeOps = defineOps({
  cumsum: running('sum'),
  cumprod: running('product'),
  cummax: running('greatest (NaN stays)'),
  cummin: running('least (NaN stays)'),
});

export const orderingOps = defineOps({
  sort: lanes('plain', 'descending', 'stable sort along `axis`, `descending` or not; NaN last either way', 'ordering'),
  argsort: lanes('plain', 'descending', 'i32 places that `sort` would take its elements from', 'ordering', 'i32'),
});
