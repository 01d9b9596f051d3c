/** The hot kernels, in the order in which the compiler asks them. */
import type { KernelTemplate } from '../template.ts';
import { dotGeneral } from './dot-general.ts';
import { linearFloat } from './linear-float.ts';

export { type CaseEpilogue, type CaseInput, type KernelCase, kernelCases } from './cases.ts';

export const kernelLibrary: readonly KernelTemplate[] = [linearFloat, dotGeneral];
