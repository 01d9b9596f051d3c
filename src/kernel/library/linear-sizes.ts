/** The sizes that every kernel of `linear` begins with. */
import { elementCount } from '../../ir/shape.ts';
import type { KernelRequest } from '../template.ts';

/** Sizes of x [..., depth] by w [n, depth]. */
export function linearSizes({ inputs: [x, w] }: KernelRequest): { m: number; n: number; depth: number } {
  return { m: elementCount(x!.shape.slice(0, -1)), n: w!.shape[0]!, depth: w!.shape[1]! };
}
