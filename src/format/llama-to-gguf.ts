/**
 * Turns a Llama checkpoint in Hugging Face layout into the content of a GGUF file, in any weight format that
 * GGUF has. Rows are read, permuted and packed a few at a time, when the writer asks for them.
 */
import { BitloomError } from '../ir/error.ts';
import { type RopeScaling, ropeFrequencies } from '../ir/rope.ts';
import { pack, unpack, weightFormat } from '../quant/index.ts';
import { badFile } from './byte-source.ts';
import { ggufTensorName, huggingFaceRow } from './gguf-llama.ts';
import { f32Value, type GgufContent, type MetadataInput } from './gguf-writer.ts';
import { isRecord, type JsonRecord } from './json.ts';
import { readTensorRows, rowCount, type TensorEntry, type TensorFile, type TensorSource } from './tensor-file.ts';

/** `general.file_type` of files whose matrices are mostly of one format. */
const FILE_TYPES: Readonly<Record<string, number>> = { F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q8_0: 7, BF16: 32 };

const STAGING_ELEMENTS = 2 ** 20;

export interface LlamaToGgufOptions {
  /** Name of the weight format: F32, F16, BF16, Q8_0, Q4_0 or Q4_1. Vectors stay F32. */
  readonly format: string;
  readonly name: string;
  /** More metadata: `general.license`, and `tokenizer.*` as text/ makes it. */
  readonly metadata?: ReadonlyMap<string, MetadataInput>;
}

interface LlamaSizes {
  readonly headDim: number;
  readonly metadata: [string, MetadataInput][];
}

function llamaSizes(config: JsonRecord): LlamaSizes {
  const size = (key: string, fallback?: number): number => {
    const value = config[key] ?? fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value;
    throw badFile({ name: 'config.json' }, `"${key}" must be a whole number above 0, not ${JSON.stringify(value)}`, {
      key,
    });
  };
  const real = (key: string, fallback: number): number => {
    const value = config[key] ?? fallback;
    if (typeof value === 'number' && value > 0) return value;
    throw badFile({ name: 'config.json' }, `"${key}" must be a number above 0, not ${JSON.stringify(value)}`, { key });
  };
  const heads = size('num_attention_heads');
  const headDim = size('head_dim', size('hidden_size') / heads);
  return {
    headDim,
    metadata: [
      ['llama.block_count', size('num_hidden_layers')],
      ['llama.context_length', size('max_position_embeddings', 2048)],
      ['llama.embedding_length', size('hidden_size')],
      ['llama.feed_forward_length', size('intermediate_size')],
      ['llama.attention.head_count', heads],
      ['llama.attention.head_count_kv', size('num_key_value_heads', heads)],
      ['llama.attention.key_length', headDim],
      ['llama.attention.value_length', headDim],
      ['llama.attention.layer_norm_rms_epsilon', f32Value(real('rms_norm_eps', 1e-5))],
      ['llama.rope.dimension_count', headDim],
      ['llama.rope.freq_base', f32Value(real('rope_theta', 10000))],
      ['llama.vocab_size', size('vocab_size')],
    ],
  };
}

/** `rope_scaling` as GGUF has it: keys for linear scaling, a tensor of divisors for Llama 3's. */
function ropeScalingContent(
  config: JsonRecord,
  headDim: number,
): { metadata: [string, MetadataInput][]; tensors: TensorSource[] } {
  const scaling = isRecord(config.rope_scaling) ? config.rope_scaling : { rope_type: 'default' };
  const kind = scaling.rope_type ?? scaling.type;
  if (kind === 'default') return { metadata: [], tensors: [] };
  const factor = Number(scaling.factor);
  if (kind === 'linear') {
    return {
      metadata: [
        ['llama.rope.scaling.type', 'linear'],
        ['llama.rope.scaling.factor', f32Value(factor)],
      ],
      tensors: [],
    };
  }
  if (kind !== 'llama3')
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `rope scaling "${String(kind)}" cannot be written to GGUF here; linear and llama3 can`,
    );
  const llama3: RopeScaling = {
    kind,
    factor,
    lowFrequencyFactor: Number(scaling.low_freq_factor),
    highFrequencyFactor: Number(scaling.high_freq_factor),
    originalContext: Number(scaling.original_max_position_embeddings),
  };
  const theta = Number(config.rope_theta ?? 10000);
  const scaled = ropeFrequencies(headDim, theta, llama3);
  const factors = Float32Array.from(ropeFrequencies(headDim, theta), (frequency, i) => frequency / scaled[i]!);
  return {
    metadata: [],
    tensors: [
      { name: 'rope_freqs.weight', element: 'f32', shape: [headDim / 2], data: pack('f32', factors, factors.length) },
    ],
  };
}

/** Rows per piece: whole heads, so that rows are permuted within a piece. */
const rowsPerPiece = (columns: number, unit: number): number =>
  Math.max(1, Math.floor(STAGING_ELEMENTS / columns / unit)) * unit;

/** The tensor's rows in GGUF order and format, a piece at a time. */
function converted(file: TensorFile, entry: TensorEntry, name: string, format: string, headDim: number): TensorSource {
  if (entry.shape.length !== 1 && entry.shape.length !== 2) {
    throw new BitloomError(
      'BAD_WEIGHTS',
      `${file.name}: "${entry.name}" has ${entry.shape.length} axes; a Llama has vectors and matrices`,
      { name: entry.name },
    );
  }
  const columns = entry.shape.at(-1)!;
  const element = entry.shape.length === 1 ? 'f32' : weightFormat(format).element;
  const isPermuted = /\.attn_[qk]\.weight$/.test(name);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const rows = rowCount(entry);
    const step = rowsPerPiece(columns, isPermuted ? headDim : 1);
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      const bytes = new Uint8Array((entry.byteLength / rows) * count);
      await readTensorRows(entry, first, count, bytes);
      const values = unpack(entry.element, bytes, count, columns);
      yield pack(element, isPermuted ? permuted(values, columns, headDim) : values, columns);
    }
  }
  return { name, element, shape: entry.shape, data: pieces };
}

function permuted(values: Float32Array, columns: number, headDim: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row * columns < values.length; row++) {
    const from = huggingFaceRow(row, headDim) * columns;
    result.set(values.subarray(from, from + columns), row * columns);
  }
  return result;
}

/**
 * The content of a GGUF file for a Llama checkpoint: `file` with Hugging Face names, `config` its `config.json`.
 * Throws BAD_FILE, UNSUPPORTED_DTYPE, UNSUPPORTED_FEATURE; MISSING_TENSOR and BAD_WEIGHTS while written.
 */
export function llamaToGguf(file: TensorFile, config: JsonRecord, options: LlamaToGgufOptions): GgufContent {
  const format = weightFormat(options.format);
  const fileType = FILE_TYPES[format.name];
  if (fileType === undefined) {
    throw new BitloomError(
      'UNSUPPORTED_DTYPE',
      `GGUF files cannot hold ${format.name}; they can hold ${Object.keys(FILE_TYPES).join(', ')}`,
      { format: format.name },
    );
  }
  const { headDim, metadata } = llamaSizes(config);
  const rope = ropeScalingContent(config, headDim);
  const tensors = [...file.tensors.values()]
    .filter(({ name }) => !name.endsWith('rotary_emb.inv_freq'))
    .map((entry) => {
      const name = ggufTensorName(entry.name);
      if (name !== undefined) return converted(file, entry, name, format.name, headDim);
      throw new BitloomError(
        'UNSUPPORTED_ARCHITECTURE',
        `${file.name}: a Llama in GGUF has no tensor for "${entry.name}"`,
        { name: entry.name },
      );
    });
  return {
    metadata: new Map<string, MetadataInput>([
      ['general.architecture', 'llama'],
      ['general.name', options.name],
      ['general.file_type', fileType],
      ['general.quantization_version', 2],
      ...metadata,
      ...rope.metadata,
      ...(options.metadata ?? []),
    ]),
    tensors: [...rope.tensors, ...tensors],
  };
}
