/** Public names of the tensor program: types, op table, builders, composites, checks, interpreter. */
export * as build from './build.ts';
export * from './composites.ts';
export * from './dtype.ts';
export * from './error.ts';
export * from './expand.ts';
export * from './float16.ts';
export * from './graph.ts';
export * from './host-tensor.ts';
export { interpret, makeInterpreter } from './interpreter/interpret.ts';
export { SCATTER_MODES, type ScatterMode } from './op/indexing.ts';
export { defineOp, type OpRow, typeName } from './op/rule.ts';
export { ops, type PrimitiveName } from './ops.ts';
export { printGraph } from './printer.ts';
export * from './shape.ts';
export { verifyGraph } from './verifier.ts';
