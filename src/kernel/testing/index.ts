/** For tests: random kernels over the whole language, what they work on, and whether two runs of one agree. */
export { difference } from './agreement.ts';
export { EDGE_FLOATS, EDGE_WORDS } from './edge-values.ts';
export { type RandomKernel, randomKernel } from './random-kernel.ts';
export { BUFFER_BYTES, isFloatBuffer, randomBuffers } from './random-memory.ts';
export { decisionsOf, numbersFrom, Tape } from './tape.ts';
