/**
 * Weights from a checkpoint to a device, each read once and straight to where it stays. Packed
 * matrices are laid in panels of rows on the way, which is what the kernels read.
 */
import { dtypeName, type ElementType, isPacked } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { byteLength, sameShape, type TensorType } from '../ir/shape.ts';
import { readTensor, readTensorRows, type TensorEntry, type TensorFile, tensorEntry } from '../format/index.ts';
import type { TensorSpec } from '../model/index.ts';
import { asNumberFormat, interleave, isNumberFormat, panel } from '../quant/index.ts';
import { type Device, Storage, Tensor } from '../tensor/index.ts';
import { throwIfAborted } from './sequence.ts';

/** Rows that one vector of the kernels covers. */
const PANEL_ROWS = 4;
/** Packed rows pass through a buffer of about this size. */
const STAGING_BYTES = 4 << 20;

/** Loading progress over all tensors; `totalBytes` is known from the first event on. */
export interface LoadProgress {
  readonly phase: 'weights' | 'compile';
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
    throw new BitloomError('BAD_WEIGHTS', `${file.source.name}: tensor "${entry.name}" has shape [${entry.shape.join(', ')}], the architecture needs [${spec.shape.join(', ')}]`, { name: entry.name, shape: entry.shape, expected: spec.shape });
  }
  const isFloat = ['f32', 'f16', 'bf16'].includes(dtypeName(entry.element));
  if (!isFloat && !(isNumberFormat(entry.element) && spec.shape.length === 2)) {
    throw new BitloomError('UNSUPPORTED_DTYPE', `${file.source.name}: tensor "${entry.name}" is ${dtypeName(entry.element)}; weights are f32, f16, bf16 or, for matrices, a packed format`, { name: entry.name });
  }
  return entry;
}

/** Reads a packed matrix stripe by stripe and lays its rows in panels. */
async function readPanels(file: TensorFile, entry: TensorEntry, target: Uint8Array, signal?: AbortSignal): Promise<void> {
  const format = asNumberFormat(entry.element, 'load');
  const [rows, columns] = entry.shape as readonly [number, number];
  const rowBytes = entry.byteLength / Math.max(1, rows);
  const stripe = Math.max(1, Math.floor(STAGING_BYTES / rowBytes / PANEL_ROWS)) * PANEL_ROWS;
  const staging = new Uint8Array(Math.min(rows, stripe) * rowBytes);
  for (let row = 0; row < rows; row += stripe) {
    throwIfAborted(signal);
    const count = Math.min(stripe, rows - row);
    const bytes = staging.subarray(0, count * rowBytes);
    await readTensorRows(file, entry, row, count, bytes, signal);
    interleave(format, bytes, count, columns, PANEL_ROWS, target.subarray(row * rowBytes));
  }
}

/**
 * Loads the tensors that an architecture needs. `fileName` maps their names to the file's.
 * Throws MISSING_TENSOR, BAD_WEIGHTS, UNSUPPORTED_DTYPE, OUT_OF_MEMORY, BAD_FILE, ABORTED.
 */
export async function loadWeights(
  device: Device, file: TensorFile, specs: readonly TensorSpec[], fileName: (name: string) => string, options: WeightOptions = {},
): Promise<ReadonlyMap<string, Tensor>> {
  const found = specs.map((spec) => ({ spec, entry: findEntry(file, spec, fileName) }));
  const totalBytes = found.reduce((sum, { entry }) => sum + entry.byteLength, 0);
  const weights = new Map<string, Tensor>();
  let loadedBytes = 0;
  for (const { spec, entry } of found) {
    throwIfAborted(options.signal);
    options.onProgress?.({ phase: 'weights', loadedBytes, totalBytes });
    const type: TensorType = { dtype: placed(entry.element), shape: spec.shape };
    const buffer = device.allocate(byteLength(type));
    const target = device.bytes(buffer).subarray(0, byteLength(type));
    if (isPacked(entry.element)) await readPanels(file, entry, target, options.signal);
    else await readTensor(file, entry, target, options.signal);
    weights.set(spec.name, Tensor.from(type, Storage.onDevice(device, buffer)));
    loadedBytes += entry.byteLength;
  }
  options.onProgress?.({ phase: 'weights', loadedBytes, totalBytes });
  return weights;
}
