/** Random ways to compile a program: pass orders, donations, with hot kernels or without. */
import { dtypeName } from '../../ir/dtype.ts';
import type { Graph } from '../../ir/graph.ts';
import { sameShape } from '../../ir/shape.ts';
import { kernelLibrary } from '../../kernel/library/index.ts';
import { Tape } from '../../kernel/testing/index.ts';
import type { CompileOptions } from '../options.ts';
import { DEFAULT_PASSES, decompose, movePackedAsBytes } from '../pass/index.ts';
import type { Pass } from '../pass/pass.ts';
import type { Donation } from '../storage.ts';

const MOST_PASSES = 9;

/** The default order half of the time; else any passes in any order behind the two that lowering cannot do without. */
function randomPasses(choices: Tape): readonly Pass[] {
  if (!choices.flip()) return DEFAULT_PASSES;
  const more = Array.from({ length: choices.below(MOST_PASSES) }, () => choices.pick(DEFAULT_PASSES));
  return [decompose, movePackedAsBytes, ...more];
}

/** Every output that has the type of an input not yet given away takes that input's memory. */
function donations(graph: Graph): Donation[] {
  const given = new Set<number>();
  return graph.outputs.flatMap((output, number) => {
    const isLike = (type: Graph['outputs'][0]['type']) =>
      dtypeName(type.dtype) === dtypeName(output.type.dtype) && sameShape(type.shape, output.type.shape);
    const input = graph.inputs.findIndex((v, i) => !given.has(i) && isLike(v.type));
    if (input < 0) return [];
    given.add(input);
    return [{ input, output: number }];
  });
}

/** The options that a list of numbers stands for. */
export function randomOptions(graph: Graph, numbers: readonly number[]): CompileOptions {
  const choices = new Tape(numbers);
  return {
    passes: randomPasses(choices),
    // One pass after the other with checks, or all in one walk.
    check: choices.flip(),
    donate: choices.flip() ? donations(graph) : [],
    templates: choices.flip() ? kernelLibrary : [],
  };
}
