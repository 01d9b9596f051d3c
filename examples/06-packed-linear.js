// A layer with 4-bit weights: activations become int8 in groups, products are integer ones.
// Run: node examples/06-packed-linear.js
import { nn, numpy as np, Tensor } from 'bitloom';
import { pack, weightFormat } from 'bitloom/quant';
import { Storage } from 'bitloom/tensor';

const wave = (/** @type {number} */ i) => Math.sin(i * 12.9898) / 8;
const weights = Float32Array.from({ length: 512 * 256 }, (_, i) => wave(i * i));
const x = np.array(
  Float32Array.from({ length: 256 }, (_, i) => wave(i + 1)),
  { shape: [1, 256] },
);
const w = np.array(weights, { shape: [512, 256] });

const { element } = weightFormat('Q4_0');
const q4 = Tensor.from({ dtype: element, shape: [512, 256] }, Storage.inHost(pack(element, weights, 256)));

const exact = nn.linear(x, w);
const packed = nn.linear(x, q4);
const error = np.divide(np.std(np.subtract(packed, exact)), np.std(exact));

console.log(`${w}: ${w.sizeBytes} bytes, ${q4}: ${q4.sizeBytes} bytes`);
console.log(`error: ${(100 * (await error.item())).toFixed(0)} % of the spread of the outputs`);

// Prints:
// Tensor(f32[512, 256]): 524288 bytes, Tensor(Q4_0[512, 256]): 73728 bytes
// error: 6 % of the spread of the outputs
