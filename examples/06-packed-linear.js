// A layer with 4-bit weights: activations become int8 in groups, products are integer ones.
// Run: node examples/06-packed-linear.js
import { nn, numpy as np } from 'bitloom';
import { weightFormat } from 'bitloom/quant';

const wave = (/** @type {number} */ i) => Math.sin(i * 12.9898) / 8;
const x = np.array(
  Float32Array.from({ length: 256 }, (_, i) => wave(i + 1)),
  { shape: [1, 256] },
);
const w = np.array(
  Float32Array.from({ length: 512 * 256 }, (_, i) => wave(i * i)),
  { shape: [512, 256] },
);

const exact = nn.linear(x, w);
const q4 = nn.quantize(w, /** @type {import('bitloom/quant').NumberFormat} */ (weightFormat('Q4_0').element));
const packed = nn.linear(x, q4);
const off = np.divide(np.sqrt(np.mean(np.square(np.subtract(packed, exact)))), np.std(exact));

console.log(String(q4), `${w.sizeBytes} -> ${q4.sizeBytes} bytes`);
console.log('error, as a share of the spread of the outputs:', (await off.item()) < 0.15 ? 'below 0.15' : 'too large');

// Prints:
// Tensor(Q4_0[512, 256]) 524288 -> 73728 bytes
// error, as a share of the spread of the outputs: below 0.15
