/** The op table: every primitive, by name. Meanings are in the rows, the law in interpreter/. */
import { contractionOps } from './op/contraction.ts';
import { binaryOps, choiceOps, compareOps, unaryOps } from './op/elementwise.ts';
import { indexOps } from './op/indexing.ts';
import { leafOps } from './op/leaf.ts';
import { cumulativeOps, orderingOps, reductionOps } from './op/reduction.ts';
import { viewOps } from './op/view.ts';

/** All primitive ops. Composites are in composites.ts and in the layers that own them. */
export const ops = {
  ...leafOps,
  ...unaryOps,
  ...binaryOps,
  ...compareOps,
  ...choiceOps,
  ...viewOps,
  ...indexOps,
  ...reductionOps,
  ...cumulativeOps,
  ...orderingOps,
  ...contractionOps,
} as const;

export type PrimitiveName = keyof typeof ops;
