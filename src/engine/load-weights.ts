/**
 * Weights from a checkpoint to a device: used where they lie in a file, or each read once and straight to where it stays.
 * Packed matrices are laid in panels of rows on the way, which is what the kernels read.
 */

import { type FoundWeight, type MappableSource, mapWeights } from '#mapped-weights';
import { type LoadProgress, readTensor, type TensorEntry } from '../format/index.ts';
import { dtypeName, isPacked } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { type Shape, sameShape, type TensorType } from '../ir/shape.ts';
import type { TensorSpec } from '../model/index.ts';
import { isNumberFormat } from '../quant/index.ts';
import type { DeviceBuffer } from '../target/target.ts';
import { type Device, Storage, Tensor } from '../tensor/index.ts';
import { PanelLoader, type PanelSink } from './panel-loader.ts';
import { placedBytes, placedElement, stripeBytes } from './placed-weight.ts';
import { throwIfAborted } from './turns.ts';
import type { WeightCacheFolder } from './weight-cache.ts';

export interface WeightOptions {
  /** Where packed weights are kept as kernels read them; false, the default, copies all weights to memory. */
  readonly cache?: WeightCacheFolder | false | undefined;
  /** For tests: from how many bytes of packed weights on they are kept. */
  readonly leastKeptBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: LoadProgress) => void) | undefined;
  /** Hears of each fallback once, by name. Default: console.warn. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/** Where weights come from: a checkpoint is such. */
export interface WeightSource extends MappableSource {
  /** As errors name it. */
  readonly name: string;
  tensor(spec: TensorSpec): TensorEntry;
}

const withoutOnes = (shape: Shape): Shape => shape.filter((size) => size !== 1);

/** Whether a tensor's values are those of the shape that the architecture names: axes of size 1 say nothing. */
const hasShape = ({ element, shape }: TensorEntry, wanted: Shape): boolean =>
  sameShape(shape, wanted) || (!isPacked(element) && sameShape(withoutOnes(shape), withoutOnes(wanted)));

/** The tensor of a checkpoint for a place in the architecture. Throws MISSING_TENSOR, BAD_WEIGHTS, UNSUPPORTED_DTYPE. */
export function findWeight(source: WeightSource, spec: TensorSpec): TensorEntry {
  const entry = source.tensor(spec);
  const { name, element, shape } = entry;
  if (!hasShape(entry, spec.shape)) {
    throw new BitloomError(
      'BAD_WEIGHTS',
      `${source.name}: tensor "${name}" has shape [${shape.join(', ')}], the architecture needs [${spec.shape.join(', ')}]`,
      { name, shape, expected: spec.shape },
    );
  }
  const isFloat = ['f32', 'f16', 'bf16'].includes(dtypeName(element));
  if (!isFloat && !(isNumberFormat(element) && spec.shape.length >= 2)) {
    throw new BitloomError(
      'UNSUPPORTED_DTYPE',
      `${source.name}: tensor "${name}" is ${dtypeName(element)}; weights are f32, f16, bf16 or, for matrices, a packed format`,
      { name },
    );
  }
  return entry;
}

/** Panels that stay in memory. */
const inMemory = (target: DeviceBuffer): PanelSink => ({
  place: (byteOffset, byteLength) => target.slice(byteOffset, byteLength),
});

/**
 * Loads the tensors that an architecture needs: those that a device can use where they lie in files are mapped, the others
 * are read. Throws MISSING_TENSOR, BAD_WEIGHTS, UNSUPPORTED_DTYPE, OUT_OF_MEMORY, BAD_FILE, ABORTED.
 */
export async function loadWeights(
  device: Device,
  source: WeightSource,
  specs: readonly TensorSpec[],
  options: WeightOptions = {},
): Promise<ReadonlyMap<string, Tensor>> {
  const { signal, cache = false } = options;
  const found = specs.map((spec) => ({ spec, entry: findWeight(source, spec) }));
  const totalBytes = found.reduce((sum, { entry }) => sum + entry.byteLength, 0);
  let loadedBytes = 0;
  const tell = (): void => options.onProgress?.({ phase: 'weights', loadedBytes, totalBytes });
  const weights = new Map<string, Tensor>();
  const add = ({ spec, entry }: FoundWeight, buffer: DeviceBuffer): void => {
    const type: TensorType = { dtype: placedElement(entry.element, device.panelRows), shape: spec.shape };
    weights.set(spec.name, Tensor.from(type, Storage.onDevice(device, buffer)));
  };
  try {
    const { mapFile } = device;
    const mapped =
      mapFile === undefined || cache === false
        ? new Map<string, DeviceBuffer>()
        : await mapWeights(device, mapFile, source, found, {
            ...options,
            cache,
            onTensor: ({ byteLength }) => {
              tell();
              loadedBytes += byteLength;
            },
          });
    const rest = found.filter((weight) => {
      const buffer = mapped.get(weight.spec.name);
      if (buffer !== undefined) add(weight, buffer);
      return buffer === undefined;
    });
    loadedBytes = totalBytes - rest.reduce((sum, { entry }) => sum + entry.byteLength, 0);
    const panels = new PanelLoader(device, Math.max(0, ...rest.map(({ entry }) => stripeBytes(entry))));
    try {
      for (const weight of rest) {
        const { entry } = weight;
        throwIfAborted(signal);
        tell();
        const buffer = device.allocate(placedBytes(entry, device.panelRows));
        add(weight, buffer);
        if (isPacked(entry.element)) await panels.load(entry, inMemory(buffer), signal);
        else await readTensor(entry, device.bytes(buffer).subarray(0, entry.byteLength), signal);
        loadedBytes += entry.byteLength;
      }
    } finally {
      await panels.dispose();
    }
  } catch (error) {
    for (const tensor of weights.values()) tensor.dispose();
    throw error;
  }
  tell();
  return weights;
}
