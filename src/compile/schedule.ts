/**
 * The order of kernel calls: each as late as its users allow, level by level. Calls of one level do not
 * depend on each other, so that one barrier serves them all, and values live no longer than they must.
 */
import type { Value } from '../ir/graph.ts';
import type { Alias, Group } from './fuse/group.ts';
import type { KernelRecipe } from './lower/kernel-recipe.ts';

/** A group with its recipe. */
export interface Lowered {
  readonly group: Group;
  readonly recipe: KernelRecipe;
}

export interface Schedule {
  readonly calls: readonly Lowered[];
  /** For each call, the number of its level, counted from the program's beginning. */
  readonly phases: readonly number[];
}

/** Sorts calls, given in an order in which each follows what it reads. */
export function scheduleCalls(calls: readonly Lowered[], aliases: ReadonlyMap<Value, Alias>): Schedule {
  /** For each stored value, one more than the level of its earliest user; levels count from the program's end. */
  const needed = new Map<Value, number>();
  const levels = new Array<number>(calls.length).fill(0);
  for (let i = calls.length - 1; i >= 0; i--) {
    const { recipe } = calls[i]!;
    const level = needed.get(recipe.root) ?? 0;
    levels[i] = level;
    const operands = recipe.update ? [...recipe.reads, recipe.update.of] : recipe.reads;
    for (let operand of operands) {
      for (let alias = aliases.get(operand); alias; alias = aliases.get(operand)) operand = alias.of;
      needed.set(operand, Math.max(needed.get(operand) ?? 0, level + 1));
    }
  }
  const order = calls.map((_, i) => i).sort((a, b) => levels[b]! - levels[a]! || a - b);
  const deepest = Math.max(0, ...levels);
  return { calls: order.map((i) => calls[i]!), phases: order.map((i) => deepest - levels[i]!) };
}
