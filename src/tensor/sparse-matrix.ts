/** Matrices of which only the elements that are not zero are stored: what pruned weights become. */
import { BitloomError } from '../ir/error.ts';
import { packSparse, type SparseDType, type SparseParts } from '../quant/index.ts';
import { Storage } from './storage.ts';
import { Tensor } from './tensor.ts';

/** A matrix [outFeatures, inFeatures] as three tensors, laid out as quant/sparse.ts says. A tree: traced functions take it as it is. */
export type SparseMatrix = SparseParts<Tensor> & { readonly shape: readonly [number, number] };

/**
 * Stores the elements of a matrix that are not zero, as `dtype`. Shapes: values `[outFeatures, inFeatures]` f32, row by row.
 * Of bf16 elements, half of them zero, it takes 9 / 16 of the bytes. Throws SHAPE_MISMATCH.
 */
export function sparseMatrix(
  values: Float32Array,
  shape: readonly [number, number],
  dtype: SparseDType = 'bf16',
): SparseMatrix {
  if (shape.length !== 2) throw new BitloomError('SHAPE_MISMATCH', `a matrix has two axes, not [${shape.join(', ')}]`);
  const { bitmap, values: elements, starts } = packSparse(values, shape, dtype);
  const [bits, kept, firsts] = [bitmap, elements, starts].map(({ type, bytes }) =>
    Tensor.from(type, Storage.inHost(bytes)),
  ) as [Tensor, Tensor, Tensor];
  return { shape: [shape[0], shape[1]], bitmap: bits, values: kept, starts: firsts };
}
