// Checkpoints: write tensors as safetensors, read one back by its byte range. Run: node examples/07-files.js
import { memorySource, openSafetensors, readTensor, safetensorsPieces, tensorEntry } from 'bitloom/format';

const data = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
const pieces = [];
for await (const piece of safetensorsPieces([{ name: 'w', element: 'f32', shape: [2, 3], data }])) pieces.push(piece);

// Any object that fills a buffer from an offset is a source: a file, an address read by range, bytes in memory.
const file = await openSafetensors(memorySource(new Uint8Array(Buffer.concat(pieces))));
const entry = tensorEntry(file, 'w');
const target = new Float32Array(6);
await readTensor(entry, new Uint8Array(target.buffer));
console.log(entry.name, entry.element, entry.shape, target);

// Prints:
// w f32 [ 2, 3 ] Float32Array(6) [ 1, 2, 3, 4, 5, 6 ]
