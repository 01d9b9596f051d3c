/** Small files for this folder's tests. */
import { expect } from 'vitest';
import type { ErrorCode } from '../ir/error.ts';
import { pack, Q4_0, Q8_0 } from '../quant/index.ts';
import type { GgufContent } from './gguf-writer.ts';
import type { TensorSource } from './tensor-file.ts';

export const ramp = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(i) * 3);

export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece);
  return new Uint8Array(Buffer.concat(parts));
}

export const FLOATS: readonly TensorSource[] = [
  { name: 'norm', element: 'f32', shape: [5], data: pack('f32', ramp(5), 5) },
  { name: 'matrix', element: 'f16', shape: [3, 7], data: pack('f16', ramp(21), 7) },
  { name: 'wide', element: 'bf16', shape: [2, 2, 2], data: pack('bf16', ramp(8), 2) },
  { name: 'flags', element: 'i8', shape: [3], data: Uint8Array.of(1, 2, 3) },
];

export const GGUF: GgufContent = {
  metadata: new Map<string, GgufContent['metadata'] extends ReadonlyMap<string, infer V> ? V : never>([
    ['general.architecture', 'llama'],
    ['answer', 42],
    ['below', -5],
    ['half', { type: 'f32', value: 0.5 }],
    ['fine', { type: 'f64', value: 0.1 }],
    ['byte', { type: 'u8', value: 200 }],
    ['big', 2n ** 63n],
    ['long', { type: 'i64', value: -7 }],
    ['yes', true],
    ['words', ['a', 'é', '', '\ufeffx', '漢😀']],
    ['flags', [true, false]],
    ['ids', Int32Array.of(1, -2, 3)],
    ['scores', Float32Array.of(0.5, -1)],
    ['nested', [['x'], ['y', 'z']]],
  ]),
  tensors: [
    ...FLOATS,
    { name: 'packed', element: Q4_0, shape: [3, 64], data: pack(Q4_0, ramp(192), 64) },
    { name: 'eight', element: Q8_0, shape: [2, 32], data: pack(Q8_0, ramp(64), 32) },
  ],
};

/** Matches a BitloomError of one of these codes whose message contains `text`. */
export const failure = (code: ErrorCode, text = ''): unknown =>
  expect.objectContaining({ code, message: expect.stringContaining(text) });
