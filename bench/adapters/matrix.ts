/** Inputs that every contender gets alike, and the check of what it answers. */

/** Reproducible numbers in [-1, 1): a linear congruential generator (Knuth, TAOCP 2, section 3.3.4). */
export function randomMatrix(rows: number, columns: number, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(rows * columns);
  let state = seed >>> 0;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = state / 2 ** 31 - 1;
  }
  return values;
}

/** Weights of 4 bits in blocks of 32 along the row: value = (code - 8) * scale. */
export interface Int4Weights {
  readonly nRows: number;
  readonly nColumns: number;
  /** One code 0..15 per weight, row by row. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** One scale per block; every one is exact in f16. */
  readonly scales: Float32Array<ArrayBuffer>;
}

export const INT4_BLOCK = 32;

/** Each block holds code 0, its largest value, so that quantisers which look for the peak find these very codes. */
export function randomInt4(nRows: number, nColumns: number, seed: number): Int4Weights {
  const random = randomMatrix(nRows, nColumns, seed);
  const codes = Uint8Array.from(random, (x, i) => (i % INT4_BLOCK === 0 ? 0 : Math.floor((x + 1) * 8)));
  const scales = randomMatrix(nRows, nColumns / INT4_BLOCK, seed + 1).map((x) => (Math.floor(x * 64) + 128) / 8192);
  return { nRows, nColumns, codes, scales };
}

/** The weight that a code stands for. */
export const int4Value = ({ codes, scales, nColumns }: Int4Weights, row: number, column: number): number => {
  const index = row * nColumns + column;
  return (codes[index]! - 8) * scales[Math.floor(index / INT4_BLOCK)]!;
};

/** How many elements of a result are recomputed in plain JavaScript. */
const CHECKED = 64;

/**
 * Compares a sample of a product's elements with f64 sums. Throws when one is off by more than `tolerance`
 * times the norm of the summed terms.
 */
export function checkProduct(
  result: ArrayLike<number>,
  nResults: number,
  terms: (index: number) => Iterable<number>,
  tolerance: number,
): void {
  if (result.length !== nResults) throw new Error(`wrong result: ${result.length} elements instead of ${nResults}`);
  for (let i = 0; i < CHECKED; i++) {
    const index = i === 0 ? nResults - 1 : Math.floor((i * nResults) / CHECKED);
    let [sum, squares] = [0, 0];
    for (const term of terms(index)) {
      sum += term;
      squares += term * term;
    }
    const error = Math.abs(result[index]! - sum);
    if (!(error <= tolerance * Math.sqrt(squares))) {
      throw new Error(`wrong result: element ${index} is ${result[index]}, expected ${sum}`);
    }
  }
}

/** Terms of element `index` of the product of two square matrices. */
export function* gemmTerms(a: Float32Array, b: Float32Array, size: number, index: number): Generator<number> {
  const [row, column] = [Math.floor(index / size), index % size];
  for (let k = 0; k < size; k++) yield a[row * size + k]! * b[k * size + column]!;
}

/** Terms of element `index` of the product of rows `x` and int4 weights, one output for each row of these. */
export function* int4Terms(weights: Int4Weights, x: Float32Array, index: number): Generator<number> {
  const { nRows, nColumns } = weights;
  const [row, output] = [Math.floor(index / nRows), index % nRows];
  for (let k = 0; k < nColumns; k++) yield int4Value(weights, output, k) * x[row * nColumns + k]!;
}

/** Terms of row `row` of the product of a square matrix and a vector. */
export function* gemvTerms(matrix: Float32Array, x: Float32Array, row: number): Generator<number> {
  for (let k = 0; k < x.length; k++) yield matrix[row * x.length + k]! * x[k]!;
}
