/** Tensors, the numpy and nn namespaces, jit, and devices. */

export type { Donation } from '../compile/index.ts';
export { createDevice, type DeviceOptions } from './create-device.ts';
export { defaultDevice, setDefaultDevice } from './default-device.ts';
export type { Device, DeviceName, DeviceProgram } from './device.ts';
export { evaluate } from './evaluate.ts';
export { jit, type Traced, trace } from './jit.ts';
export * as nn from './neural.ts';
export * as numpy from './numpy/index.ts';
export type { TensorLike } from './promotion.ts';
export { Storage } from './storage.ts';
export { type NestedArray, Tensor } from './tensor.ts';
export type { Tree } from './tree.ts';
