/** Memory that a model needs, from its header and config alone: told before loading, and why `load` refuses. */
import { planMapping } from '#mapped-weights';
import { platform } from '#platform';
import { BitloomError } from '../ir/error.ts';
import { byteLength } from '../ir/shape.ts';
import { type CausalModel, createModel } from '../model/index.ts';
import { createDevice, type Device } from '../tensor/index.ts';
import { openCheckpoint } from './checkpoint.ts';
import { cacheTypes, type KvCacheType } from './kv-cache.ts';
import { findWeight, type WeightSource } from './load-weights.ts';
import type { LoadOptions } from './model.ts';
import { placedBytes, stripeBytes } from './placed-weight.ts';
import { PREFILL_CHUNK, STEP_SIZES } from './sequence.ts';
import type { ModelSource } from './source.ts';
import { chooseWeightCache } from './weight-cache.ts';

/** Contexts beyond this are taken only when asked for: the cache grows with them. */
const DEFAULT_CONTEXT_LIMIT = 4096;

/** Tokens of a context: as asked for, or the model's own within reason. Throws INVALID_ARGUMENT. */
export function chooseContext({ contextLength }: Pick<CausalModel, 'contextLength'>, wanted?: number): number {
  if (wanted === undefined) return Math.min(contextLength, DEFAULT_CONTEXT_LIMIT);
  if (Number.isInteger(wanted) && wanted >= 1 && wanted <= contextLength) return wanted;
  const message = `contextLength must be from 1 to the model's ${contextLength}, not ${wanted}`;
  throw new BitloomError('INVALID_ARGUMENT', message, { contextLength: wanted });
}

/** As for `load`. Of files that the hub's cache lacks only the headers are read. */
export type EstimateOptions = Pick<
  LoadOptions,
  'device' | 'contextLength' | 'kvCacheType' | 'weightCache' | 'hub' | 'worker' | 'signal' | 'onWarning'
>;

/** Bytes of memory. */
export interface MemoryEstimate {
  readonly weightBytes: number;
  /** Of the weights, those that lie in mapped files: the system reads them when they are used, and drops them where it needs room. */
  readonly mappedBytes: number;
  /** Keys and values of a whole context. */
  readonly cacheBytes: number;
  /** Intermediate results, a little more than is usually needed. */
  readonly scratchBytes: number;
  readonly totalBytes: number;
  /** What one WebAssembly memory can hold; null for devices that have the machine's. */
  readonly limitBytes: number | null;
  /** What the machine has left, where it tells: pages are not told. */
  readonly availableBytes: number | null;
  /** Tokens that the cache is for. */
  readonly contextLength: number;
  /** Whether there is room for all but mapped weights. Where there is none for these, each token reads them from the disk. */
  readonly fits: boolean;
}

/** Scratch that a step takes whatever its size: float weights are packed in pieces for products of several rows. */
const STEP_BYTES = 512 << 10;

/** Values that a step keeps for each token, by the widths that the tensors tell: two of a block's inside, three around it. */
function stepBytes({ tensors, vocabSize }: CausalModel, tokens: number): number {
  const inner = tensors.filter(({ shape }) => shape.length >= 2 && shape[0] !== vocabSize);
  const widest = Math.max(0, ...inner.map(({ shape }) => shape.at(-2)!));
  const hidden = Math.max(0, ...tensors.filter(({ shape }) => shape.length === 1).map(({ shape }) => shape[0]!));
  return STEP_BYTES + 4 * (tokens * (2 * widest + 3 * hidden) + vocabSize);
}

/** What of a device decides how much memory a model needs on it. */
export type DeviceMemory = Pick<Device, 'panelRows' | 'limitBytes'> & {
  /** Whether weights are used where they lie in files. */
  readonly isMapping: boolean;
};

/** Throws NO_DEVICE. */
async function memoryOf({ device: name = 'auto', weightCache }: EstimateOptions): Promise<DeviceMemory> {
  const device = await createDevice(name, { threads: 1, onWarning() {} });
  const { panelRows, limitBytes, mapFile } = device;
  device.dispose();
  return { panelRows, limitBytes, isMapping: mapFile !== undefined && chooseWeightCache(weightCache) !== false };
}

/** Memory for a model's weights, cache and steps. Throws as finding the weights does. */
export function estimateMemory(
  source: WeightSource,
  model: CausalModel,
  contextLength: number,
  kvCacheType: KvCacheType,
  { panelRows, limitBytes, isMapping }: DeviceMemory,
): MemoryEstimate {
  const found = model.tensors.map((spec) => ({ spec, entry: findWeight(source, spec) }));
  const weightBytes = found.reduce((sum, { entry }) => sum + placedBytes(entry, panelRows), 0);
  const mappedBytes = isMapping ? planMapping(source, found, panelRows).mappedBytes : 0;
  const types = cacheTypes(model, contextLength + PREFILL_CHUNK, kvCacheType);
  const cacheBytes = types.reduce((sum, type) => sum + byteLength(type), 0);
  const stages = found.map(
    ({ entry }) => 2 * (stripeBytes(entry) + (mappedBytes > 0 ? stripeBytes(entry, panelRows) : 0)),
  );
  const steps = STEP_SIZES.reduce<number>((sum, tokens) => sum + stepBytes(model, tokens), 0);
  const scratchBytes = Math.max(steps, ...stages);
  const totalBytes = weightBytes + cacheBytes + scratchBytes;
  const availableBytes = platform.memory()?.availableBytes ?? null;
  const mostBytes = Math.min(limitBytes ?? Number.POSITIVE_INFINITY, availableBytes ?? Number.POSITIVE_INFINITY);
  return {
    weightBytes,
    mappedBytes,
    cacheBytes,
    scratchBytes,
    totalBytes,
    limitBytes: limitBytes ?? null,
    availableBytes,
    contextLength,
    fits: totalBytes - mappedBytes <= mostBytes,
  };
}

/**
 * How much memory a model will need on a device, without reading its weights.
 * Throws what `load` throws before it allocates.
 *
 * @example
 * const { totalBytes, fits } = await estimate('model.gguf', { contextLength: 8192 });
 */
export async function estimate(
  source: ModelSource = platform.assetPath('tiny'),
  options: EstimateOptions = {},
): Promise<MemoryEstimate> {
  const { contextLength, kvCacheType = 'f16', signal, hub, onWarning } = options;
  const checkpoint = await openCheckpoint(source, { signal, hub, onWarning, download: false });
  try {
    const model = createModel(checkpoint.config);
    const context = chooseContext(model, contextLength);
    return estimateMemory(checkpoint, model, context, kvCacheType, await memoryOf(options));
  } finally {
    await checkpoint.close();
  }
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20).toLocaleString('en')} MiB`;

/** What to tell of mapped weights that the machine cannot hold beside the rest; undefined where it can. */
export function slowMapping({ totalBytes, mappedBytes, availableBytes, fits }: MemoryEstimate): string | undefined {
  if (!fits || mappedBytes === 0 || availableBytes === null || totalBytes <= availableBytes) return undefined;
  return `slow-weights: the model needs ${megabytes(totalBytes)} with the weights that stay in files, and the machine has left ${megabytes(availableBytes)}: it will read them from the disk again and again`;
}

/** Refuses what cannot fit. Throws OUT_OF_MEMORY with needed and available bytes. */
export function requireMemory(estimated: MemoryEstimate): void {
  if (estimated.fits) return;
  const { weightBytes, mappedBytes, cacheBytes, scratchBytes, contextLength } = estimated;
  const totalBytes = estimated.totalBytes - mappedBytes;
  const limitBytes = estimated.limitBytes ?? Number.POSITIVE_INFINITY;
  const availableBytes = Math.min(limitBytes, estimated.availableBytes ?? limitBytes);
  const isLimit = availableBytes === limitBytes;
  const parts = `${megabytes(weightBytes - mappedBytes)} of weights, ${megabytes(cacheBytes)} for a context of ${contextLength}, ${megabytes(scratchBytes)} to work in`;
  const room = isLimit ? 'one WebAssembly memory holds at most' : 'the machine has left';
  throw new BitloomError(
    'OUT_OF_MEMORY',
    `the model needs ${megabytes(totalBytes)} (${parts}), and ${room} ${megabytes(availableBytes)}; use a smaller model, a smaller number format or a smaller contextLength`,
    { neededBytes: totalBytes, availableBytes, weightBytes, cacheBytes, scratchBytes, contextLength },
  );
}
