/** What a group of values needs to become a kernel: its operands, its key, how to build it, what it may overwrite. */
import type { Value } from '../../ir/graph.ts';
import type { Kernel } from '../../kernel/language.ts';

export interface KernelRecipe {
  /** Readable start of the kernel's name. */
  readonly label: string;
  /** Equal keys mean equal kernels. */
  readonly key: string;
  /** The value whose elements the kernel stores. */
  readonly root: Value;
  /** The kernel's buffers, before the result. */
  readonly reads: readonly Value[];
  build(name: string): Kernel;
  /** Reads that the result may share memory with: each element is read where, and before, it is overwritten. */
  readonly overwritable: readonly Value[];
  /** The kernel changes a part of `of` in place. Where `of` must stay as it is, `otherwise` makes the whole result. */
  readonly update?: { readonly of: Value; otherwise(): KernelRecipe };
  /** Kernels with equal partitions give each thread the same elements; '' if nothing is known. */
  readonly partition: string;
  /** Reads whose elements a thread takes only from where it stores its own results. */
  readonly localReads: ReadonlySet<Value>;
}
