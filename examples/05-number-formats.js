// Number formats are data: bits a weight against what is lost. Run: node examples/05-number-formats.js
import { pack, unpack, weightFormat } from 'bitloom/quant';

const weights = Float32Array.from({ length: 128 * 128 }, (_, i) => Math.sin(i * 12.9898) * Math.cos(i * 0.317));
const power = weights.reduce((sum, w) => sum + w * w, 0);

for (const name of ['F16', 'Q8_0', 'I6_G64', 'Q4_0', 'I4_G32Z', 'I3_G32Z', 'I2_G32Z']) {
  const { element } = weightFormat(name);
  const bytes = pack(element, weights, 128);
  const restored = unpack(element, bytes, 128, 128);
  const noise = weights.reduce((sum, w, i) => sum + (w - Number(restored[i])) ** 2, 0);
  const bits = ((8 * bytes.length) / weights.length).toFixed(2).padStart(5);
  const decibels = (10 * Math.log10(power / noise)).toFixed(1).padStart(5);
  console.log(`${name.padEnd(8)}${bits} bits ${decibels} dB`);
}

// Prints:
// F16     16.00 bits  74.5 dB
// Q8_0     8.50 bits  47.3 dB
// I6_G64   6.25 bits  34.9 dB
// Q4_0     4.50 bits  23.1 dB
// I4_G32Z  4.75 bits  23.8 dB
// I3_G32Z  3.75 bits  17.3 dB
// I2_G32Z  2.75 bits   9.9 dB
