// jit: a function is traced once per shape; later calls run the kept program. Run: node examples/03-jit.js
import { jit, numpy as np } from 'bitloom';

let traces = 0;
const distance = jit((/** @type {import('bitloom').Tensor} */ a, /** @type {import('bitloom').Tensor} */ b) => {
  traces++;
  return np.sqrt(np.sum(np.square(np.subtract(a, b))));
});

console.log(await (await distance(np.array([0, 3]), np.array([4, 0]))).item());
console.log(await (await distance(np.array([1, 1]), np.array([1, 2]))).item());
console.log('traced', traces, 'time');
await distance(np.zeros([9]), np.ones([9]));
console.log('traced', traces, 'times: another shape is another program');

// Prints:
// 5
// 1
// traced 1 time
// traced 2 times: another shape is another program
