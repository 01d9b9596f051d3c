/** The hot kernels, in the order in which the compiler asks them. */
import { bipolarLinear, sparseLinearKernel } from '#wide-kernels';
import type { KernelTemplate } from '../template.ts';
import { argmaxKernel } from './argmax.ts';
import { attentionKernel, packedAttentionKernel } from './attention.ts';
import { convKernel } from './conv.ts';
import { dotGeneral } from './dot-general.ts';
import { expertLinearKernel } from './expert-linear.ts';
import { linearAny } from './linear-any.ts';
import { linearFloat } from './linear-float.ts';
import { linearPacked } from './linear-packed.ts';
import { layerNorm, rmsNorm } from './norms.ts';
import { packedEmbeddingKernel } from './packed-rows.ts';
import { quantizeKernel } from './quantize.ts';
import { ropeKernel } from './rope.ts';
import { dequantizeKernel, embeddingKernel, gatherRows } from './rows.ts';
import { softmaxKernel } from './softmax.ts';
import { toPanelsKernel } from './to-panels.ts';

export { type CaseEpilogue, type CaseInput, type KernelCase, kernelCases } from './cases.ts';

export const kernelLibrary: readonly KernelTemplate[] = [
  packedEmbeddingKernel,
  toPanelsKernel,
  linearFloat,
  linearPacked,
  bipolarLinear,
  linearAny,
  expertLinearKernel,
  sparseLinearKernel,
  dotGeneral,
  convKernel,
  quantizeKernel,
  dequantizeKernel,
  attentionKernel,
  packedAttentionKernel,
  rmsNorm,
  layerNorm,
  softmaxKernel,
  ropeKernel,
  embeddingKernel,
  gatherRows,
  argmaxKernel,
];
