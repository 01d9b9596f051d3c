/** Fusion: which values are stored, and what becomes one kernel. */
export { fuse, type TemplateChoice } from './fuse.ts';
export type { Alias, DirectGroup, Fusion, Group, LoopGroup, LoopPart, ReduceGroup, TemplateGroup } from './group.ts';
