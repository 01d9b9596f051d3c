/** Public names of the kernel layer: the language, its interpreter, functions written in it, the hot kernels. */
export * from './decode.ts';
export * from './expression.ts';
export { runKernel } from './interpret.ts';
export * from './language.ts';
export { type KernelCase, kernelCases, kernelLibrary } from './library/index.ts';
export * from './machine.ts';
export * as math from './math.ts';
export * from './packed-block.ts';
export { printKernel } from './printer.ts';
export * from './template.ts';
