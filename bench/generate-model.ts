/**
 * Random-weight Llama-shaped GGUF files for the bench: real shapes, formats and vocabulary size, no download.
 * Usage: node bench/generate-model.js SIZE FORMAT [--seed N] [--out FILE]; SIZE 15M, 110M or 1.1B;
 * FORMAT F16, BF16, Q8_0, Q4_0, Q4_K, Q3_K or Q2_K (not of 15M: rows of 288 are no whole super-blocks).
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { f32Value, type GgufContent, ggufPieces, type MetadataInput, type TensorSource } from '../src/format/index.ts';
import { isPacked } from '../src/ir/dtype.ts';
import { BitloomError } from '../src/ir/error.ts';
import { byteLength } from '../src/ir/shape.ts';
import { platform } from '../src/platform/node.ts';
import { pack, weightFormat } from '../src/quant/index.ts';
import { RandomWords, randomElements, SHAPERS } from './random-blocks.ts';
import { syntheticVocabulary } from './synthetic-vocabulary.ts';

interface ModelShape {
  readonly dim: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly ffnDim: number;
  /** The output matrix is the embedding table. */
  readonly isTied: boolean;
}

export const MODEL_SHAPES = {
  '15M': { dim: 288, layers: 6, heads: 6, kvHeads: 6, ffnDim: 768, isTied: true },
  '110M': { dim: 768, layers: 12, heads: 12, kvHeads: 12, ffnDim: 2048, isTied: true },
  '1.1B': { dim: 2048, layers: 22, heads: 32, kvHeads: 4, ffnDim: 5632, isTied: false },
} as const satisfies Record<string, ModelShape>;

export type ModelSize = keyof typeof MODEL_SHAPES;
export type ModelFormat = keyof typeof SHAPERS;
export const MODEL_FORMATS = Object.keys(SHAPERS) as ModelFormat[];

const VOCAB_SIZE = 32000;
const CONTEXT_LENGTH = 2048;
const PIECE_BYTES = 2 ** 22;
/** As llama.cpp numbers them (`llama_ftype`); the K formats as the kinds that have no other matrices. */
const FILE_TYPES: Readonly<Record<ModelFormat, number>> = {
  F16: 1,
  Q4_0: 2,
  Q8_0: 7,
  Q2_K: 10,
  Q3_K: 11,
  Q4_K: 14,
  BF16: 32,
};

/** A matrix of random elements with standard deviation `deviation`. */
function matrix(
  name: string,
  shape: readonly [number, number],
  deviation: number,
  format: ModelFormat,
  random: RandomWords,
): TensorSource {
  const { element } = weightFormat(format);
  function* pieces(): Generator<Uint8Array> {
    const rowBytes = byteLength({ dtype: element, shape: [1, shape[1]] });
    const step = Math.max(1, Math.floor(PIECE_BYTES / rowBytes));
    for (let row = 0; row < shape[0]; row += step) {
      const size = Math.min(step, shape[0] - row) * rowBytes;
      yield randomElements(format, size, deviation, random);
    }
  }
  return { name, element, shape, data: pieces };
}

const ones = (name: string, size: number): TensorSource => ({
  name,
  element: 'f32',
  shape: [size],
  data: pack('f32', new Float32Array(size).fill(1), size),
});

function layerTensors(layer: number, shape: ModelShape, format: ModelFormat, random: RandomWords): TensorSource[] {
  const { dim, heads, kvHeads, ffnDim, layers } = shape;
  const kvDim = (dim / heads) * kvHeads;
  const weight = (name: string, rows: number, columns: number, gain = 1) =>
    matrix(`blk.${layer}.${name}.weight`, [rows, columns], gain / Math.sqrt(columns), format, random);
  const branchGain = 1 / Math.sqrt(2 * layers); // keeps the sum of all branches of unit size
  return [
    ones(`blk.${layer}.attn_norm.weight`, dim),
    weight('attn_q', dim, dim),
    weight('attn_k', kvDim, dim),
    weight('attn_v', kvDim, dim),
    weight('attn_output', dim, dim, branchGain),
    ones(`blk.${layer}.ffn_norm.weight`, dim),
    weight('ffn_gate', ffnDim, dim),
    weight('ffn_up', ffnDim, dim),
    weight('ffn_down', dim, ffnDim, branchGain),
  ];
}

/** The content of a random model; the same bytes for the same arguments. */
export function randomModel(size: ModelSize, format: ModelFormat, seed = 1): GgufContent {
  const shape: ModelShape = MODEL_SHAPES[size];
  const random = new RandomWords(seed);
  const { dim, layers, heads, kvHeads, ffnDim } = shape;
  const vocabulary = syntheticVocabulary(VOCAB_SIZE, random);
  const metadata = new Map<string, MetadataInput>([
    ['general.architecture', 'llama'],
    ['general.name', `random-${size}`],
    ['general.file_type', FILE_TYPES[format]],
    ['general.quantization_version', 2],
    ['llama.block_count', layers],
    ['llama.context_length', CONTEXT_LENGTH],
    ['llama.embedding_length', dim],
    ['llama.feed_forward_length', ffnDim],
    ['llama.attention.head_count', heads],
    ['llama.attention.head_count_kv', kvHeads],
    ['llama.attention.layer_norm_rms_epsilon', f32Value(1e-5)],
    ['llama.rope.dimension_count', dim / heads],
    ['llama.rope.freq_base', f32Value(10000)],
    ['llama.vocab_size', VOCAB_SIZE],
    ...vocabulary,
  ]);
  const tensors = [
    matrix('token_embd.weight', [VOCAB_SIZE, dim], shape.isTied ? 1 / Math.sqrt(dim) : 1, format, random),
    ...Array.from({ length: layers }, (_, layer) => layerTensors(layer, shape, format, random)).flat(),
    ones('output_norm.weight', dim),
    ...(shape.isTied ? [] : [matrix('output.weight', [VOCAB_SIZE, dim], 1 / Math.sqrt(dim), format, random)]),
  ];
  return { metadata, tensors };
}

/** Writes a random model: the whole file or none. */
export async function writeModel(path: string, size: ModelSize, format: ModelFormat, seed = 1): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  await platform.writeFile(path, ggufPieces(randomModel(size, format, seed)));
}

/** Checks names that came from a command line. Throws INVALID_ARGUMENT. */
export function modelChoice(
  size: string | undefined,
  format: string | undefined,
): { size: ModelSize; format: ModelFormat } {
  const isSize = (name: string | undefined): name is ModelSize => name !== undefined && name in MODEL_SHAPES;
  const isFormat = (name: string | undefined): name is ModelFormat => name !== undefined && name in SHAPERS;
  if (isSize(size) && isFormat(format)) {
    requireWholeBlocks(size, format);
    return { size, format };
  }
  const sizes = Object.keys(MODEL_SHAPES).join(', ');
  throw new BitloomError(
    'INVALID_ARGUMENT',
    `choose a size of ${sizes} and a format of ${MODEL_FORMATS.join(', ')}, not ${size} and ${format}`,
  );
}

function requireWholeBlocks(size: ModelSize, format: ModelFormat): void {
  const { dim, ffnDim } = MODEL_SHAPES[size];
  const { element } = weightFormat(format);
  if (!isPacked(element) || [dim, ffnDim].every((n) => n % element.blockSize === 0)) return;
  const message = `${size} has rows of ${dim}, which are no whole blocks of ${format}; choose a larger size or another format`;
  throw new BitloomError('INVALID_ARGUMENT', message, { size, format });
}
