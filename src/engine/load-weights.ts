/**
 * Weights from a checkpoint to a device, each read once and straight to where it stays. Packed
 * matrices are laid in panels of rows on the way, which is what the kernels read.
 */

import { readTensor, readTensorRows, type TensorEntry, type TensorFile, tensorEntry } from '../format/index.ts';
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

/** Rows of a packed matrix that are read and laid in panels at a time: a core's second-level cache holds them. */
const STRIPE_ROWS = 1024;

/**
 * Reads packed matrices stripe by stripe and lays their rows in panels on the device: while one stripe
 * is rearranged, the next is read.
 */
class PanelLoader {
  readonly #device: Device;
  readonly #stages: readonly DeviceBuffer[];
  readonly #programs = new Map<string, Promise<DeviceProgram>>();

  constructor(device: Device, stageBytes: number) {
    this.#device = device;
    this.#stages = [device.allocate(stageBytes), device.allocate(stageBytes)];
  }

  /** Bytes of a stage that takes every stripe of a tensor. */
  static stageBytes({ element, shape }: TensorEntry): number {
    return isPacked(element) ? byteLength({ dtype: element, shape: [Math.min(STRIPE_ROWS, shape[0]!), shape[1]!] }) : 0;
  }

  #program(type: TensorType): Promise<DeviceProgram> {
    const key = `${dtypeName(type.dtype)}[${type.shape}]`;
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const { graph } = trace((x) => nn.toPanels(x, PANEL_ROWS), [type]);
    const program = this.#device.compile(graph, { name: 'panels' });
    this.#programs.set(key, program);
    return program;
  }

  async load(file: TensorFile, entry: TensorEntry, target: DeviceBuffer, signal?: AbortSignal): Promise<void> {
    const [rows, columns] = entry.shape as readonly [number, number];
    const rowBytes = entry.byteLength / Math.max(1, rows);
    const countAt = (row: number) => Math.min(STRIPE_ROWS, rows - row);
    const read = async (row: number, stage: DeviceBuffer): Promise<void> => {
      if (row >= rows) return;
      const bytes = this.#device.bytes(stage).subarray(0, countAt(row) * rowBytes);
      await readTensorRows(file, entry, row, countAt(row), bytes, signal);
    };
    let [stage, next] = this.#stages as [DeviceBuffer, DeviceBuffer];
    await read(0, stage);
    for (let row = 0; row < rows; row += STRIPE_ROWS) {
      throwIfAborted(signal);
      const reading = read(row + STRIPE_ROWS, next);
      const count = countAt(row);
      const program = await this.#program({ dtype: entry.element, shape: [count, columns] });
      const room = byteLength({ dtype: placed(entry.element), shape: [count, columns] });
      await Promise.all([program.run([stage], [target.slice(row * rowBytes, room)]), reading]);
      [stage, next] = [next, stage];
    }
  }

  async dispose(): Promise<void> {
    for (const program of this.#programs.values()) (await program).dispose();
    for (const stage of this.#stages) stage.dispose();
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
  const stageBytes = found.reduce((most, { entry }) => Math.max(most, PanelLoader.stageBytes(entry)), 0);
  const panels = new PanelLoader(device, stageBytes);
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
