/** Public names of the WebAssembly target. */
export { type FunctionBuilder, type Label, ModuleBuilder, type ValueType } from './encoder.ts';
export type { CodeFeatures } from './expression-code.ts';
export { detectFeatures, type WasmFeatures } from './features.ts';
export { lowerKernel } from './lower.ts';
export { MAXIMUM_BYTES } from './memory.ts';
export type { OpcodeName } from './opcodes.ts';
export { planModule } from './plan-module.ts';
export { type WasmOptions, WasmTarget } from './wasm-target.ts';
export { threadProgram } from './worker-program.ts';
