/** What fusion gives: groups of values that become one kernel each, and where the other values live. */
import type { Value } from '../../ir/graph.ts';
import type { Epilogue, KernelRequest, KernelTemplate } from '../../kernel/template.ts';
import type { Access, Affine, LoopSpace } from './index-map.ts';

/** One loop nest: for each point, the element at `source` is stored at coordinates `target` of the root. */
export interface LoopPart {
  readonly space: LoopSpace;
  readonly source: Access;
  readonly target: readonly Affine[];
  /** Axes that `target` does not follow are combined. */
  readonly isReduction?: boolean;
}

/** Elementwise work and views: loop nests over parts of the root. */
export interface LoopGroup {
  readonly kind: 'loop';
  readonly root: Value;
  readonly parts: readonly LoopPart[];
  /** Parts after the first overwrite it: threads wait in between. */
  readonly isLayered: boolean;
}

/** A reduction with its producers. */
export interface ReduceGroup {
  readonly kind: 'reduce';
  readonly root: Value;
  readonly part: LoopPart;
}

/** Elementwise work behind a hot kernel and the values of its operands. */
export interface LoweredEpilogue {
  readonly epilogue: Epilogue;
  readonly operands: readonly Value[];
}

/** A hot kernel, with elementwise work behind it where `epilogue` is given. `result` is what the kernel computes. */
export interface TemplateGroup {
  readonly kind: 'template';
  readonly root: Value;
  readonly result: Value;
  readonly template: KernelTemplate;
  readonly request: KernelRequest;
  readonly epilogue?: LoweredEpilogue;
}

/** An op with a generic kernel of its own, over dense operands. */
export interface DirectGroup {
  readonly kind: 'direct';
  readonly root: Value;
}

export type Group = LoopGroup | ReduceGroup | TemplateGroup | DirectGroup;

/** `byteOffset` bytes into the memory of another value. */
export interface Alias {
  readonly of: Value;
  readonly byteOffset: number;
}

export interface Fusion {
  /** Every group after the groups that it reads. */
  readonly groups: readonly Group[];
  /** Values that have memory: inputs, constants, roots of groups, aliases, and values without elements. */
  readonly stored: ReadonlySet<Value>;
  readonly aliases: ReadonlyMap<Value, Alias>;
  /** Template results that a single loop group of one part reads, and nothing else. */
  readonly soleLoops: ReadonlyMap<Value, LoopGroup>;
}
