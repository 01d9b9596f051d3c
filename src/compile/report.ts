/** What a compilation decided: for traces, for tests that prove which path ran, and for the tour. */
import type { Graph, Value } from '../ir/graph.ts';
import type { Plan } from '../target/target.ts';
import type { Fusion } from './fuse/group.ts';
import type { PassRecord } from './pass/pass.ts';

/** One kernel call of a plan. */
export interface StepRecord {
  readonly kernel: string;
  /** How the kernel came to be: a loop nest, a reduction, a hot kernel, an op of its own, or a copy. */
  readonly kind: 'loop' | 'reduce' | 'template' | 'direct' | 'copy';
  /** The template, where `kind` is one. */
  readonly template?: string;
  /** Key of the elementwise work fused behind the template. */
  readonly epilogue?: string;
  /** The value that the call computes; absent for copies. */
  readonly root?: Value;
  readonly isInPlace: boolean;
  readonly barrier: boolean;
}

export interface CompileReport {
  readonly name: string;
  readonly passes: readonly PassRecord[];
  readonly steps: readonly StepRecord[];
  /** Distinct kernels: equal ones are built once. */
  readonly kernelCount: number;
  readonly arenaBytes: number;
  /** Most bytes of intermediates live at once: no arena could be smaller. */
  readonly peakBytes: number;
  readonly constantBytes: number;
  readonly codeBytes: number;
  /** Milliseconds spent before the target took over, and in it. */
  readonly lowerMs: number;
  readonly targetMs: number;
  readonly graph: { readonly before: Graph; readonly after: Graph };
  readonly fusion: Fusion;
  readonly plan: Plan;
}
