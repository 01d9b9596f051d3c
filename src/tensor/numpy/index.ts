/** The numpy namespace: `import { numpy as np } from 'bitloom'`. */
export * from './contraction.ts';
export * from './creation.ts';
export * from './einsum.ts';
export * from './elementwise.ts';
export * from './manipulation.ts';
export * from './reduction.ts';
