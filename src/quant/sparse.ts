/**
 * Sparse matrices of any pattern, stored as a bitmap and the elements that are there, as SparAMX does ("SparAMX:
 * Accelerating Compressed LLMs Token Generation on AMX-powered CPUs", AbouElhamayed et al. 2025). A panel is 16 rows, a step
 * two neighbouring depths of them: one word of the bitmap, a bit for each of 32 places. The elements of a panel follow
 * each other, step after step, in the order of their bits.
 */
import { DTYPE_BYTES, type DType } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { type HostTensor, hostTensor } from '../ir/host-tensor.ts';
import type { Shape } from '../ir/shape.ts';
import { pack, unpack } from './pack.ts';

/** Element types that sparse matrices have. */
export type SparseDType = 'f32' | 'f16' | 'bf16';

export const SPARSE = {
  /** Rows of a panel. */
  rows: 16,
  /** Depths of a step. */
  depths: 2,
  /** Elements behind the last one: readers may run so far ahead. */
  slack: 256,
} as const;

export const isSparseDType = (dtype: unknown): dtype is SparseDType =>
  dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';

/**
 * Whether the two depths of a row are neighbours in a step, as products of pairs want them; else the rows of one depth are.
 * A bf16 number widens to f32 where it stands, in either half of a word; others are widened as a row of halves, or not at all.
 */
export const isPaired = (dtype: SparseDType): boolean => dtype === 'bf16';

/** Panels and steps of a matrix. */
export const sparseSizes = ([rows, columns]: readonly [number, number]): { panels: number; steps: number } => ({
  panels: Math.ceil(rows / SPARSE.rows),
  steps: Math.ceil(columns / SPARSE.depths),
});

/** A matrix [rows, columns] as three plain tensors. */
export type SparseParts<T> = {
  /** [panels, steps] u32: bit i is place i of the step. */
  readonly bitmap: T;
  /** [count + slack]: the elements that are there, then zeros. */
  readonly values: T;
  /** [panels] i32: number of each panel's first element. */
  readonly starts: T;
};

/** Row within the panel and depth within the step of each place. */
function places(dtype: SparseDType): { readonly row: number; readonly depth: number }[] {
  const { rows, depths } = SPARSE;
  return Array.from({ length: rows * depths }, (_, i) =>
    isPaired(dtype)
      ? { row: Math.floor(i / depths), depth: i % depths }
      : { row: i % rows, depth: Math.floor(i / rows) },
  );
}

/**
 * Stores the elements of a matrix that are not zero once they are rounded. Shapes: values `[rows, columns]` f32, row by row.
 * Throws SHAPE_MISMATCH.
 */
export function packSparse(
  values: Float32Array,
  shape: readonly [number, number],
  dtype: SparseDType,
): SparseParts<HostTensor> {
  const [rows, columns] = shape;
  if (values.length !== rows * columns) {
    const message = `a sparse matrix [${rows}, ${columns}] is made of ${rows * columns} values, not ${values.length}`;
    throw new BitloomError('SHAPE_MISMATCH', message, { shape });
  }
  const { panels, steps } = sparseSizes(shape);
  const rounded = unpack(dtype, pack(dtype, values, columns), rows, columns);
  const kept = new Float32Array(rounded.reduce((n, v) => n + (v === 0 ? 0 : 1), 0) + SPARSE.slack);
  const bitmap = new Uint32Array(panels * steps);
  const starts = new Int32Array(panels);
  const order = places(dtype);
  let count = 0;
  for (let panel = 0; panel < panels; panel++) {
    starts[panel] = count;
    for (let step = 0; step < steps; step++) {
      let word = 0;
      for (const [bit, place] of order.entries()) {
        const [row, column] = [panel * SPARSE.rows + place.row, step * SPARSE.depths + place.depth];
        if (row >= rows || column >= columns) continue;
        const value = rounded[row * columns + column]!;
        if (value === 0) continue;
        word |= 1 << bit;
        kept[count++] = value;
      }
      bitmap[panel * steps + step] = word;
    }
  }
  return {
    bitmap: hostTensor('u32', [panels, steps], bitmap),
    values: { type: { dtype, shape: [kept.length] }, bytes: pack(dtype, kept, kept.length) },
    starts: hostTensor('i32', [panels], starts),
  };
}

/** Bytes that the parts of a matrix with so many elements take. */
export function sparseBytes(shape: readonly [number, number], count: number, dtype: DType): number {
  const { panels, steps } = sparseSizes(shape);
  return 4 * panels * steps + DTYPE_BYTES[dtype] * (count + SPARSE.slack) + 4 * panels;
}

/** Shapes of the parts of a matrix, without the number of its elements. */
export function sparseShapes(shape: readonly [number, number]): { readonly bitmap: Shape; readonly starts: Shape } {
  const { panels, steps } = sparseSizes(shape);
  return { bitmap: [panels, steps], starts: [panels] };
}
