/**
 * What a hot kernel offers the compiler: which op it computes, for which types, under which
 * schedules, and how to build it. The compiler asks every template of an op in order; the first
 * that supports the types is used. Without one, the op runs through its decomposition.
 */
import type { Attributes } from '../ir/graph.ts';
import type { TensorType } from '../ir/shape.ts';
import type { Expr } from './expression.ts';
import type { Kernel, KernelBuilder } from './language.ts';
import type { Machine } from './machine.ts';

/** Block sizes and choices of one candidate, as data: it is part of the kernel's name and of the tuner's key. */
export type Schedule = Readonly<Record<string, number>>;

/** One use of an op, with dense row-major operands. */
export interface KernelRequest {
  readonly inputs: readonly TensorType[];
  readonly output: TensorType;
  readonly attrs: Attributes;
  readonly machine: Machine;
  /** Elementwise work to apply to each result before it is stored. */
  readonly epilogue?: Epilogue;
}

/** Elementwise work fused behind a kernel's results. */
export interface Epilogue {
  /** Distinguishes kernels; part of the kernel's name. */
  readonly key: string;
  /**
   * Extra operands: each has the output's shape, or is a row [columns] used for every row, or holds a number for each
   * channel, [channels, 1, ...] behind an output [batch, channels, ...], which templates of such outputs may take.
   */
  readonly operands: readonly TensorType[];
  /** Maps results (f32, any lanes) and the operands' elements at the same place (f32, same lanes) to what is stored. */
  apply(builder: KernelBuilder, value: Expr, operands: readonly Expr[]): Expr;
}

export interface KernelTemplate {
  /** Name of the op or composite. */
  readonly op: string;
  readonly name: string;
  supports(request: KernelRequest): boolean;
  /** Choices of schedules on which the order of sums depends; others, as sizes of tiles, leave results as they are. */
  readonly sumsBy?: readonly string[];
  /** Dozens at most, best first by the cost model. */
  schedules(request: KernelRequest): readonly Schedule[];
  /** The kernel's buffers: the inputs in order, the epilogue's operands, the output. */
  build(request: KernelRequest, schedule: Schedule): Kernel;
}
