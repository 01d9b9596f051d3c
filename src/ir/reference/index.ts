/** Reference cases as runnable graphs, and the comparison of a result with what was expected. */
export { BOUNDS, type Bound, boundOf } from './bounds.ts';
export { loadReferenceCases, type ReferenceCase } from './cases.ts';
export { differenceFrom } from './difference.ts';
