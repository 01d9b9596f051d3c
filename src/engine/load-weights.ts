/**
 * Weights from a checkpoint to a device, each read once and straight to where it stays. Packed
 * matrices are laid in panels of rows on the way, which is what the kernels read.
 */

import { readTensor, type TensorEntry, type TensorFile, tensorEntry } from '../format/index.ts';
import { dtypeName, type ElementType, isPacked } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { byteLength, sameShape, type TensorType } from '../ir/shape.ts';
import type { TensorSpec } from '../model/index.ts';
import { isNumberFormat, panel } from '../quant/index.ts';
import type { DeviceBuffer } from '../target/target.ts';
import { type Device, type DeviceProgram, nn, Storage, Tensor, trace } from '../tensor/index.ts';
import { throwIfAborted } from './sequence.ts';

/** Rows that one vector of the kernels covers. */
const PANEL_ROWS = 4;

/** Loading progress over all tensors; `totalBytes` is known from the first event on. */
export interface LoadProgress {
  readonly phase: 'weights';
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface WeightOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: LoadProgress) => void) | undefined;
}

/** How a tensor of the file lies on the device. */
const placed = (element: ElementType): ElementType => (isNumberFormat(element) ? panel(element, PANEL_ROWS) : element);

function findEntry(file: TensorFile, spec: TensorSpec, fileName: (name: string) => string): TensorEntry {
  const entry = tensorEntry(file, fileName(spec.name));
  if (!sameShape(entry.shape, spec.shape)) {
    throw new BitloomError(
      'BAD_WEIGHTS',
      `${file.source.name}: tensor "${entry.name}" has shape [${entry.shape.join(', ')}], the architecture needs [${spec.shape.join(', ')}]`,
      { name: entry.name, shape: entry.shape, expected: spec.shape },
    );
  }
  const isFloat = ['f32', 'f16', 'bf16'].includes(dtypeName(entry.element));
  if (!isFloat && !(isNumberFormat(entry.element) && spec.shape.length === 2)) {
    throw new BitloomError(
      'UNSUPPORTED_DTYPE',
      `${file.source.name}: tensor "${entry.name}" is ${dtypeName(entry.element)}; weights are f32, f16, bf16 or, for matrices, a packed format`,
      { name: entry.name },
    );
  }
  return entry;
}

/**
 * Lays packed matrices in panels on the device. Their plain rows are staged in one buffer of the largest
 * matrix's size, which is free again, for caches and intermediates, when all are done.
 */
class PanelLoader {
  readonly #device: Device;
  readonly #staging: DeviceBuffer;
  readonly #programs = new Map<string, Promise<DeviceProgram>>();

  constructor(device: Device, stagingBytes: number) {
    this.#device = device;
    this.#staging = device.allocate(stagingBytes);
  }

  #program(type: TensorType): Promise<DeviceProgram> {
    const key = `${dtypeName(type.dtype)}[${type.shape}]`;
    const program =
      this.#programs.get(key) ??
      this.#device.compile(trace((x) => nn.toPanels(x, PANEL_ROWS), [type]).graph, { name: 'panels' });
    this.#programs.set(key, program);
    return program;
  }

  async load(file: TensorFile, entry: TensorEntry, target: DeviceBuffer, signal?: AbortSignal): Promise<void> {
    const program = await this.#program({ dtype: entry.element, shape: entry.shape });
    await readTensor(file, entry, this.#device.bytes(this.#staging).subarray(0, entry.byteLength), signal);
    await program.run([this.#staging], [target]);
  }

  async dispose(): Promise<void> {
    for (const program of this.#programs.values()) (await program).dispose();
    this.#staging.dispose();
  }
}

/**
 * Loads the tensors that an architecture needs. `fileName` maps their names to the file's.
 * Throws MISSING_TENSOR, BAD_WEIGHTS, UNSUPPORTED_DTYPE, OUT_OF_MEMORY, BAD_FILE, ABORTED.
 */
export async function loadWeights(
  device: Device,
  file: TensorFile,
  specs: readonly TensorSpec[],
  fileName: (name: string) => string,
  options: WeightOptions = {},
): Promise<ReadonlyMap<string, Tensor>> {
  const found = specs.map((spec) => ({ spec, entry: findEntry(file, spec, fileName) }));
  const totalBytes = found.reduce((sum, { entry }) => sum + entry.byteLength, 0);
  const stagingBytes = found.reduce(
    (most, { entry }) => (isPacked(entry.element) ? Math.max(most, entry.byteLength) : most),
    0,
  );
  const panels = new PanelLoader(device, stagingBytes);
  const weights = new Map<string, Tensor>();
  let loadedBytes = 0;
  try {
    for (const { spec, entry } of found) {
      throwIfAborted(options.signal);
      options.onProgress?.({ phase: 'weights', loadedBytes, totalBytes });
      const type: TensorType = { dtype: placed(entry.element), shape: spec.shape };
      const buffer = device.allocate(byteLength(type));
      weights.set(spec.name, Tensor.from(type, Storage.onDevice(device, buffer)));
      if (isPacked(entry.element)) await panels.load(file, entry, buffer, options.signal);
      else await readTensor(file, entry, device.bytes(buffer).subarray(0, entry.byteLength), options.signal);
      loadedBytes += entry.byteLength;
    }
  } finally {
    await panels.dispose();
  }
  options.onProgress?.({ phase: 'weights', loadedBytes, totalBytes });
  return weights;
}
