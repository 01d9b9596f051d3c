/** What op rows of any layer are made of. The rows themselves are reached through ops.ts. */
export { SCATTER_MODES, type ScatterMode } from './indexing.ts';
export * from './rule.ts';
export { packedByteShape } from './view.ts';
