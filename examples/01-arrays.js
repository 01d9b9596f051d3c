// Arrays: NumPy's names, any shape. Run: node examples/01-arrays.js
import { numpy as np } from 'bitloom';

const a = np.reshape(np.arange(6), [2, 3]);
const b = np.array([
  [1, 0],
  [0, 1],
  [1, 1],
]);
const product = np.matmul(a, b);
const shifted = np.subtract(product, np.mean(product, { axis: 0 })); // [2, 2] minus [2]: shapes broadcast

console.log(String(product));
console.log(await product.tolist());
console.log(await shifted.tolist());
console.log(await np.einsum('ij,ij->i', a, a).tolist(), await np.sum(a).item());

// Prints:
// Tensor(f32[2, 2])
// [ [ 2, 3 ], [ 8, 9 ] ]
// [ [ -3, -3 ], [ 3, 3 ] ]
// [ 5, 50 ] 15
