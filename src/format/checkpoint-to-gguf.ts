/**
 * Turns a checkpoint in Hugging Face layout into the content of a GGUF file, in any weight formats that GGUF has. Rows
 * are read, reordered and packed a few at a time, when the writer asks for them.
 */
import { isPacked } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import type { Shape } from '../ir/shape.ts';
import { pack, unpack, type WeightFormat, weightFormat } from '../quant/index.ts';
import { familyOfConfig } from './gguf-config.ts';
import type { GgufFamily } from './gguf-families.ts';
import { ggufMetadata } from './gguf-metadata.ts';
import { type GgufName, ggufName } from './gguf-names.ts';
import type { GgufContent, MetadataInput } from './gguf-writer.ts';
import type { JsonRecord } from './json.ts';
import { rowBytes, rowCount, type TensorEntry, type TensorFile, type TensorSource } from './tensor-file.ts';
import { stackedTensor, transposedTensor } from './tensor-view.ts';

/** `general.file_type` of files whose matrices are mostly of one format. */
const FILE_TYPES: Readonly<Record<string, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q2_K: 10,
  Q3_K: 12,
  Q4_K: 15,
  Q5_K: 17,
  Q6_K: 18,
  IQ4_NL: 25,
  IQ4_XS: 30,
  BF16: 32,
  MXFP4: 38,
};

/** What stands in for a format whose blocks do not divide a row; F16 where this does not either. */
const SUBSTITUTES: Readonly<Record<string, string>> = {
  Q2_K: 'IQ4_NL',
  Q3_K: 'IQ4_NL',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
  IQ4_XS: 'IQ4_NL',
};

const STAGING_ELEMENTS = 2 ** 20;

/** Matrices that stay F32: experts are chosen and positions added in full. */
const KEPT_EXACT = /^(position_embd|blk\.\d+\.ffn_gate_inp(_shexp)?)\./;
/** Not weights: tables that old files carry. */
const BUFFERS = /(rotary_emb\.inv_freq|\.attn\.(masked_)?bias)$/;

export interface CheckpointToGgufOptions {
  /** Weight format of the matrices: F32, F16, BF16, Q8_0, Q4_K …, or a choice by GGUF name and shape. Vectors stay F32. */
  readonly format: string | ((name: string, shape: Shape) => string);
  readonly name: string;
  /** More metadata: `general.license`, and `tokenizer.*` as text/ makes it. */
  readonly metadata?: ReadonlyMap<string, MetadataInput>;
}

export interface GgufConversion extends GgufContent {
  /** Tensors in another format than the one asked for, since its blocks do not divide their rows. */
  readonly substituted: readonly { readonly name: string; readonly wanted: string; readonly format: string }[];
}

/** A format that GGUF has and whose blocks divide `columns`: the wanted one, or what stands in for it. */
function dividing(wanted: string, columns: number): WeightFormat {
  const format = weightFormat(wanted);
  if (format.ggufType === null) {
    const known = Object.keys(FILE_TYPES).join(', ');
    throw new BitloomError('UNSUPPORTED_DTYPE', `GGUF files cannot hold ${format.name}; they can hold ${known}`, {
      format: format.name,
    });
  }
  const divides = ({ element }: WeightFormat) => !isPacked(element) || columns % element.blockSize === 0;
  if (divides(format)) return format;
  const substitute = weightFormat(SUBSTITUTES[format.name] ?? 'F16');
  return divides(substitute) ? substitute : weightFormat('F16');
}

/**
 * Row of a Hugging Face query or key matrix that is row `row` where pairs are neighbours. There a rotary pair is two
 * neighbouring rows of a head (2i, 2i + 1), in Hugging Face files the rows i and i + headDim / 2.
 */
export function huggingFaceRow(row: number, headDim: number): number {
  const within = row % headDim;
  return row - within + (within % 2) * (headDim / 2) + Math.floor(within / 2);
}

function permuted(values: Float32Array, columns: number, headDim: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row * columns < values.length; row++) {
    const from = huggingFaceRow(row, headDim) * columns;
    result.set(values.subarray(from, from + columns), row * columns);
  }
  return result;
}

/** What happens to a tensor's numbers on the way. */
interface Change {
  /** Rows of heads of this size change their order; 0: they do not. */
  readonly headDim: number;
  readonly offset: number;
}

/** The tensor's rows in GGUF order and format, a piece of whole heads at a time. */
function converted(entry: TensorEntry, name: string, element: WeightFormat['element'], change: Change): TensorSource {
  const shape = entry.shape.length === 2 && entry.shape[0] === 1 ? entry.shape.slice(1) : entry.shape;
  const columns = entry.shape.at(-1)!;
  const unit = change.headDim || 1;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const rows = rowCount(entry);
    const step = Math.max(1, Math.floor(STAGING_ELEMENTS / columns / unit)) * unit;
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      const bytes = new Uint8Array(rowBytes(entry) * count);
      await entry.readRows(first, count, bytes);
      const values = unpack(entry.element, bytes, count, columns);
      if (change.offset !== 0) for (let i = 0; i < values.length; i++) values[i]! += change.offset;
      const isVector = entry.shape.length === 1;
      yield pack(element, change.headDim ? permuted(values, isVector ? 1 : columns, change.headDim) : values, columns);
    }
  }
  return { name, element, shape, data: pieces };
}

/** Tensors by their GGUF names: experts stacked, matrices as [out, in]. Throws UNSUPPORTED_ARCHITECTURE, BAD_WEIGHTS. */
function ggufTensors(file: TensorFile, family: GgufFamily, isTied: boolean): Map<string, TensorEntry> {
  const parts = new Map<string, { entry: TensorEntry; expert: number | undefined }[]>();
  for (const entry of file.tensors.values()) {
    const found: GgufName | undefined = ggufName(family.names, entry.name);
    if (BUFFERS.test(entry.name) || (isTied && found?.name === 'output.weight')) continue;
    if (found === undefined) {
      throw new BitloomError(
        'UNSUPPORTED_ARCHITECTURE',
        `${file.name}: "${entry.name}" has no name in GGUF files of ${family.architecture}`,
        { name: entry.name },
      );
    }
    const known = parts.get(found.name) ?? [];
    known.push({ entry, expert: found.expert });
    parts.set(found.name, known);
  }
  const isTurned = (name: string) =>
    family.turned?.includes(name.replace(/\.\d+\./, '.*.').replace(/\.weight$/, '')) ?? false;
  return new Map(
    [...parts].map(([name, list]) => {
      const ordered = list.sort((a, b) => (a.expert ?? 0) - (b.expert ?? 0)).map(({ entry }) => entry);
      const gap = list.findIndex(({ expert }, i) => (expert ?? 0) !== i);
      if (gap >= 0)
        throw new BitloomError('MISSING_TENSOR', `${file.name} has no expert ${gap} for "${name}"`, { name });
      const whole = list[0]!.expert === undefined ? ordered[0]! : stackedTensor(name, ordered);
      return [name, isTurned(name) ? transposedTensor(whole) : whole];
    }),
  );
}

/**
 * The content of a GGUF file for a checkpoint: `file` with Hugging Face names, `config` its `config.json`.
 * Throws BAD_FILE, BAD_WEIGHTS, MISSING_TENSOR, UNSUPPORTED_ARCHITECTURE, UNSUPPORTED_DTYPE, UNSUPPORTED_FEATURE.
 */
export function checkpointToGguf(
  file: TensorFile,
  config: JsonRecord,
  options: CheckpointToGgufOptions,
): GgufConversion {
  const family = familyOfConfig(config);
  const described = ggufMetadata(family, config);
  const { format } = options;
  const choose = typeof format === 'string' ? () => format : format;
  const substituted: { name: string; wanted: string; format: string }[] = [];
  const counts = new Map<string, number>();
  const tensors = [...ggufTensors(file, family, described.isTied)].map(([name, entry]) => {
    const isMatrix = entry.shape.length > 1 && !KEPT_EXACT.test(name);
    const wanted = isMatrix ? weightFormat(choose(name, entry.shape)).name : 'F32';
    const chosen = dividing(wanted, entry.shape.at(-1)!);
    if (chosen.name !== wanted) substituted.push({ name, wanted, format: chosen.name });
    if (isMatrix) counts.set(wanted, (counts.get(wanted) ?? 0) + 1);
    const isPermuted = family.isInterleaved === true && /\.attn_[qk]\./.test(name);
    const offset = name.endsWith('norm.weight') ? (family.normOffset ?? 0) : 0;
    return converted(entry, name, chosen.element, { headDim: isPermuted ? described.headDim : 0, offset });
  });
  const [most = 'F32'] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [];
  return {
    metadata: new Map<string, MetadataInput>([
      ['general.architecture', family.architecture],
      ['general.name', options.name],
      ['general.file_type', FILE_TYPES[most]!],
      ['general.quantization_version', 2],
      ...described.metadata,
      ...(options.metadata ?? []),
    ]),
    tensors: [...described.tensors, ...tensors],
    substituted,
  };
}
