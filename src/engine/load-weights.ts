/**
 * Weights from a checkpoint to a device, each read once and straight to where it stays. Packed
 * matrices are laid in panels of rows on the way, which is what the kernels read.
 */

import {
  type LoadProgress,
  readTensor,
  readTensorRows,
  rowBytes,
  rowCount,
  type TensorEntry,
} from '../format/index.ts';
import { dtypeName, type ElementType, isPacked } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { byteLength, type Shape, sameShape, type TensorType } from '../ir/shape.ts';
import type { TensorSpec } from '../model/index.ts';
import { isNumberFormat, panel } from '../quant/index.ts';
import type { DeviceBuffer } from '../target/target.ts';
import { type Device, type DeviceProgram, nn, Storage, Tensor, trace } from '../tensor/index.ts';
import { throwIfAborted } from './turns.ts';

export interface WeightOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: LoadProgress) => void) | undefined;
}

/** Where weights come from: a checkpoint is such. */
export interface WeightSource {
  /** As errors name it. */
  readonly name: string;
  tensor(spec: TensorSpec): TensorEntry;
}

/** How a tensor of the file lies on a device with panels of `panelRows` rows. */
export const placedElement = (element: ElementType, panelRows: number): ElementType =>
  isNumberFormat(element) ? panel(element, panelRows) : element;

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

/** Rows of a packed matrix that are read and laid in panels at a time, whole panels: a core's second-level cache holds them. */
const STRIPE_ROWS = 1024;

/**
 * Reads packed matrices stripe by stripe and lays their rows in panels on the device: while one stripe
 * is rearranged, the next is read.
 */
export class PanelLoader {
  readonly #device: Device;
  readonly #stages: readonly DeviceBuffer[];
  readonly #programs = new Map<string, Promise<DeviceProgram>>();

  constructor(device: Device, stageBytes: number) {
    this.#device = device;
    this.#stages = [device.allocate(stageBytes), device.allocate(stageBytes)];
  }

  /** Bytes of a stage that takes every stripe of a tensor. */
  static stageBytes(entry: TensorEntry): number {
    return isPacked(entry.element) ? Math.min(STRIPE_ROWS, rowCount(entry)) * rowBytes(entry) : 0;
  }

  #program(type: TensorType): Promise<DeviceProgram> {
    const key = `${dtypeName(type.dtype)}[${type.shape}]`;
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const { graph } = trace((x) => nn.toPanels(x, this.#device.panelRows), [type]);
    const program = this.#device.compile(graph, { name: 'panels' });
    this.#programs.set(key, program);
    return program;
  }

  /** Rows of matrices, or of stacks of them, into panels of `target`. */
  async load(entry: TensorEntry, target: DeviceBuffer, signal?: AbortSignal): Promise<void> {
    const [rows, size, columns] = [rowCount(entry), rowBytes(entry), entry.shape.at(-1)!];
    const placed = placedElement(entry.element, this.#device.panelRows);
    const placedBytes = (count: number) => byteLength({ dtype: placed, shape: [count, columns] });
    const countAt = (row: number) => Math.min(STRIPE_ROWS, rows - row);
    const read = async (row: number, stage: DeviceBuffer): Promise<void> => {
      if (row >= rows) return;
      await readTensorRows(
        entry,
        row,
        countAt(row),
        this.#device.bytes(stage).subarray(0, countAt(row) * size),
        signal,
      );
    };
    let [stage, next] = this.#stages as [DeviceBuffer, DeviceBuffer];
    await read(0, stage);
    for (let row = 0; row < rows; row += STRIPE_ROWS) {
      throwIfAborted(signal);
      const reading = read(row + STRIPE_ROWS, next);
      const count = countAt(row);
      const program = await this.#program({ dtype: entry.element, shape: [count, columns] });
      await Promise.all([program.run([stage], [target.slice(placedBytes(row), placedBytes(count))]), reading]);
      [stage, next] = [next, stage];
    }
  }

  async dispose(): Promise<void> {
    for (const program of this.#programs.values()) (await program).dispose();
    for (const stage of this.#stages) stage.dispose();
  }
}

/**
 * Loads the tensors that an architecture needs.
 * Throws MISSING_TENSOR, BAD_WEIGHTS, UNSUPPORTED_DTYPE, OUT_OF_MEMORY, BAD_FILE, ABORTED.
 */
export async function loadWeights(
  device: Device,
  source: WeightSource,
  specs: readonly TensorSpec[],
  options: WeightOptions = {},
): Promise<ReadonlyMap<string, Tensor>> {
  const found = specs.map((spec) => ({ spec, entry: findWeight(source, spec) }));
  const totalBytes = found.reduce((sum, { entry }) => sum + entry.byteLength, 0);
  const stageBytes = found.reduce((most, { entry }) => Math.max(most, PanelLoader.stageBytes(entry)), 0);
  const panels = new PanelLoader(device, stageBytes);
  const weights = new Map<string, Tensor>();
  let loadedBytes = 0;
  try {
    for (const { spec, entry } of found) {
      throwIfAborted(options.signal);
      options.onProgress?.({ phase: 'weights', loadedBytes, totalBytes });
      const type: TensorType = { dtype: placedElement(entry.element, device.panelRows), shape: spec.shape };
      const buffer = device.allocate(byteLength(type));
      weights.set(spec.name, Tensor.from(type, Storage.onDevice(device, buffer)));
      if (isPacked(entry.element)) await panels.load(entry, buffer, options.signal);
      else await readTensor(entry, device.bytes(buffer).subarray(0, entry.byteLength), options.signal);
      loadedBytes += entry.byteLength;
    }
  } finally {
    await panels.dispose();
  }
  options.onProgress?.({ phase: 'weights', loadedBytes, totalBytes });
  return weights;
}
