/** Lowering: groups to kernel recipes. */
export { absorbEpilogues } from './epilogue.ts';
export type { KernelRecipe } from './kernel-recipe.ts';
export { type LoweringContext, lowerGroup } from './lower.ts';
