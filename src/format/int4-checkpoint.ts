/**
 * Checkpoints of AWQ and GPTQ as files of ordinary packed tensors: `X.qweight`, `X.qzeros` and `X.scales` look like one
 * `X.weight` in `I4_G<group>Z`, converted as its rows are read. The values are exactly those of the checkpoint.
 */
import { dtypeName } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { bf16ToNumber, f16ToNumber, numberToF16 } from '../ir/float16.ts';
import { byteLength, sameShape } from '../ir/shape.ts';
import { GROUP_SIZES, type NumberFormat, packedFormat } from '../quant/index.ts';
import { badFile } from './byte-source.ts';
import {
  AWQ_LAYOUT,
  GPTQ_LAYOUT,
  GPTQ_V2_LAYOUT,
  type Int4Layout,
  type Int4Words,
  int4Rows,
  transposedWords,
} from './int4-layout.ts';
import { isRecord, type JsonRecord } from './json.ts';
import { type TensorEntry, type TensorFile, tensorEntry } from './tensor-file.ts';

interface Int4Config {
  readonly layout: Int4Layout;
  /** As the configuration says: -1 means all input features. */
  readonly groupSize: number;
}

const unsupported = (what: string, details: Record<string, unknown>): BitloomError =>
  new BitloomError(
    'UNSUPPORTED_FEATURE',
    `config.json has quantization_config with ${what}; supported are awq (version gemm) and gptq, 4 bits, without reordered inputs`,
    details,
  );

/** Reads `quantization_config`; undefined where there is none. Throws UNSUPPORTED_FEATURE for other methods. */
function readInt4Config(config: JsonRecord): Int4Config | undefined {
  const record = config.quantization_config;
  if (record === undefined || record === null) return undefined;
  if (!isRecord(record)) throw badFile({ name: 'config.json' }, 'its quantization_config is no object');
  const method = record.quant_method;
  const bits = record.bits ?? record.w_bit;
  const groupSize = record.group_size ?? record.q_group_size ?? -1;
  if (method !== 'awq' && method !== 'gptq') throw unsupported(`quant_method ${JSON.stringify(method)}`, { method });
  if (bits !== 4) throw unsupported(`${JSON.stringify(bits)} bits`, { bits });
  if (!Number.isInteger(groupSize) || (groupSize as number) < -1 || groupSize === 0)
    throw unsupported(`group_size ${JSON.stringify(groupSize)}`, { groupSize });
  if (method === 'awq') {
    const version = String(record.version ?? 'gemm').toLowerCase();
    if (version !== 'gemm') throw unsupported(`version "${version}"`, { version });
    if (record.zero_point === false) throw unsupported('zero_point false', {});
    return { layout: AWQ_LAYOUT, groupSize: groupSize as number };
  }
  const format = record.checkpoint_format ?? 'gptq';
  if (format !== 'gptq' && format !== 'gptq_v2')
    throw unsupported(`checkpoint_format ${JSON.stringify(format)}`, { format });
  return { layout: format === 'gptq' ? GPTQ_LAYOUT : GPTQ_V2_LAYOUT, groupSize: groupSize as number };
}

/** The raw tensors of one layer, with their sizes checked. */
interface Layer {
  readonly name: string;
  readonly layout: Int4Layout;
  readonly format: NumberFormat;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly groupSize: number;
  readonly codes: TensorEntry;
  readonly zeros: TensorEntry;
  readonly scales: TensorEntry;
  /** The group of each input feature, where the file has a list of them. */
  readonly groupIndex: TensorEntry | undefined;
}

function requireType(entry: TensorEntry, elements: readonly string[], shape: readonly number[]): void {
  if (elements.includes(dtypeName(entry.element)) && sameShape(entry.shape, shape)) return;
  throw new BitloomError(
    'BAD_WEIGHTS',
    `"${entry.name}" is ${dtypeName(entry.element)} [${entry.shape.join(', ')}], not ${elements.join(' or ')} [${shape.join(', ')}] as its neighbours and quantization_config make it`,
    { name: entry.name },
  );
}

function readLayer(file: TensorFile, name: string, { layout, groupSize: stated }: Int4Config): Layer {
  if (file.tensors.has(`${name}.weight`))
    throw new BitloomError('BAD_WEIGHTS', `${file.name} holds both "${name}.weight" and "${name}.qweight"`, { name });
  const codes = tensorEntry(file, `${name}.qweight`);
  const [rows = 0, columns = 0] = codes.shape;
  const [inFeatures, outFeatures] = layout.axis === 'out' ? [rows, columns * 8] : [rows * 8, columns];
  const groupSize = stated === -1 ? inFeatures : stated;
  const blockSize = GROUP_SIZES.findLast((size) => groupSize % size === 0);
  if (blockSize === undefined || inFeatures % groupSize !== 0 || outFeatures % 8 !== 0 || inFeatures === 0) {
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `"${codes.name}" stands for [${outFeatures}, ${inFeatures}] in groups of ${groupSize}; groups must divide it and be multiples of 32`,
      { name: codes.name, groupSize },
    );
  }
  const layer: Layer = {
    name,
    layout,
    format: packedFormat(`I4_G${blockSize}Z`)!,
    inFeatures,
    outFeatures,
    groupSize,
    codes,
    zeros: tensorEntry(file, `${name}.qzeros`),
    scales: tensorEntry(file, `${name}.scales`),
    groupIndex: file.tensors.get(`${name}.g_idx`),
  };
  const groups = inFeatures / groupSize;
  requireType(codes, ['i32', 'u32'], [rows, columns]);
  requireType(layer.zeros, ['i32', 'u32'], [groups, outFeatures / 8]);
  requireType(layer.scales, ['f16', 'bf16', 'f32'], [groups, outFeatures]);
  if (layer.groupIndex !== undefined) requireType(layer.groupIndex, ['i32', 'u32'], [inFeatures]);
  return layer;
}

async function wholeTensor(entry: TensorEntry, signal?: AbortSignal): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(entry.byteLength);
  const rows = entry.shape.length === 1 ? 1 : entry.shape[0]!;
  await entry.readRows(0, rows, bytes, signal);
  return bytes.buffer;
}

/** Scales as f16 bits. Throws UNSUPPORTED_DTYPE where one of another type has no equal there. */
async function scaleBits(entry: TensorEntry, signal?: AbortSignal): Promise<Uint16Array> {
  const bytes = await wholeTensor(entry, signal);
  if (entry.element === 'f16') return new Uint16Array(bytes);
  const values =
    entry.element === 'f32' ? new Float32Array(bytes) : Float32Array.from(new Uint16Array(bytes), bf16ToNumber);
  return Uint16Array.from(values, (value) => {
    const bits = numberToF16(value);
    if (f16ToNumber(bits) === value) return bits;
    throw new BitloomError('UNSUPPORTED_DTYPE', `"${entry.name}" holds the scale ${value}, which has no equal in f16`, {
      name: entry.name,
      value,
    });
  });
}

/** GPTQ with "desc_act" gives inputs to groups by importance, which rows of blocks cannot say. */
async function requireGroupsInOrder({ groupIndex, groupSize }: Layer, signal?: AbortSignal): Promise<void> {
  if (groupIndex === undefined) return;
  const groups = new Int32Array(await wholeTensor(groupIndex, signal));
  const at = groups.findIndex((group, i) => group !== Math.floor(i / groupSize));
  if (at >= 0)
    throw unsupported(`inputs in the order of their importance ("desc_act": "${groupIndex.name}" at ${at})`, { at });
}

async function readWords(layer: Layer, signal?: AbortSignal): Promise<Int4Words> {
  await requireGroupsInOrder(layer, signal);
  const [rows, columns] = layer.codes.shape as readonly [number, number];
  return {
    inFeatures: layer.inFeatures,
    outFeatures: layer.outFeatures,
    groupSize: layer.groupSize,
    codes: transposedWords(new Uint32Array(await wholeTensor(layer.codes, signal)), rows, columns),
    zeros: new Uint32Array(await wholeTensor(layer.zeros, signal)),
    scales: await scaleBits(layer.scales, signal),
  };
}

/** Holds the raw tensors of the layer that is being read: its rows run through all of their words. */
class WordCache {
  #layer: Layer | undefined;
  #words: Promise<Int4Words> | undefined;

  words(layer: Layer, signal?: AbortSignal): Promise<Int4Words> {
    if (this.#layer !== layer || this.#words === undefined) {
      this.#layer = layer;
      this.#words = readWords(layer, signal);
      this.#words.catch(() => this.drop(layer));
    }
    return this.#words;
  }

  drop(layer: Layer): void {
    if (this.#layer === layer) this.#words = undefined;
  }
}

function packedTensor(layer: Layer, cache: WordCache): TensorEntry {
  const { format, inFeatures, outFeatures } = layer;
  const rowSize = (inFeatures / format.blockSize) * format.blockBytes;
  return {
    name: `${layer.name}.weight`,
    element: format,
    shape: [outFeatures, inFeatures],
    byteLength: byteLength({ dtype: format, shape: [outFeatures, inFeatures] }),
    async readRows(first, count, target, signal) {
      const words = await cache.words(layer, signal);
      const eightRows = new Uint8Array(8 * rowSize);
      const end = first + count;
      for (let row = first; row < end; ) {
        const eight = Math.floor(row / 8);
        int4Rows(words, layer.layout, format, eight, eightRows);
        const until = Math.min(end, 8 * eight + 8);
        const piece = eightRows.subarray((row - 8 * eight) * rowSize, (until - 8 * eight) * rowSize);
        target.set(piece, (row - first) * rowSize);
        row = until;
      }
      if (end === outFeatures) cache.drop(layer);
    },
  };
}

/**
 * The file as it is, or where config.json says that it holds 4-bit weights of AWQ or GPTQ, with these as packed tensors.
 * Throws UNSUPPORTED_FEATURE for other methods, widths and orders; BAD_WEIGHTS, MISSING_TENSOR.
 */
export function withInt4Weights(file: TensorFile, config: JsonRecord): TensorFile {
  const int4 = readInt4Config(config);
  if (int4 === undefined) return file;
  const cache = new WordCache();
  const tensors = new Map<string, TensorEntry>();
  for (const [name, entry] of file.tensors) {
    const [, layer, part] = /^(.+)\.(qweight|qzeros|scales|g_idx)$/.exec(name) ?? [];
    if (layer === undefined || !file.tensors.has(`${layer}.qweight`)) tensors.set(name, entry);
    else if (part === 'qweight') tensors.set(`${layer}.weight`, packedTensor(readLayer(file, layer, int4), cache));
  }
  return { name: file.name, tensors };
}
