/** The hot kernels, in the order in which the compiler asks them. */
import type { KernelTemplate } from '../template.ts';
import { dotGeneral } from './dot-general.ts';
import { linearAny } from './linear-any.ts';
import { linearFloat } from './linear-float.ts';
import { linearPacked } from './linear-packed.ts';
import { quantizeKernel } from './quantize.ts';

export { type CaseEpilogue, type CaseInput, type KernelCase, kernelCases } from './cases.ts';

export const kernelLibrary: readonly KernelTemplate[] = [linearFloat, linearPacked, linearAny, dotGeneral, quantizeKernel];
