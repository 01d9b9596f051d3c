/**
 * Packed matrices as the kernels read them: their rows lie in panels. Stripes of rows are read and rearranged on the
 * device: while one is, the next is read.
 */

import { readTensorRows, rowBytes, rowCount, type TensorEntry } from '../format/index.ts';
import { dtypeName } from '../ir/dtype.ts';
import { byteLength, type TensorType } from '../ir/shape.ts';
import type { DeviceBuffer } from '../target/target.ts';
import { type Device, type DeviceProgram, nn, trace } from '../tensor/index.ts';
import { placedElement, STRIPE_ROWS } from './placed-weight.ts';
import { throwIfAborted } from './turns.ts';

/** Takes the panels of one tensor, a stripe at a time, in order. */
export interface PanelSink {
  /** Memory for the stripe at a place of the tensor. */
  place(byteOffset: number, byteLength: number): DeviceBuffer | Promise<DeviceBuffer>;
  /** Called once the stripe lies there. */
  keep?(byteOffset: number, byteLength: number): void;
}

export class PanelLoader {
  readonly #device: Device;
  readonly #stages: readonly DeviceBuffer[];
  readonly #programs = new Map<string, Promise<DeviceProgram>>();

  /** `stageBytes`: of the largest stripe as files have it. */
  constructor(device: Device, stageBytes: number) {
    this.#device = device;
    this.#stages = [device.allocate(stageBytes), device.allocate(stageBytes)];
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

  /** Lays rows of matrices, or of stacks of them, in panels. Throws BAD_FILE, ABORTED, and what the sink throws. */
  async load(entry: TensorEntry, sink: PanelSink, signal?: AbortSignal): Promise<void> {
    const [rows, size, columns] = [rowCount(entry), rowBytes(entry), entry.shape.at(-1)!];
    const dtype = placedElement(entry.element, this.#device.panelRows);
    const bytesOf = (count: number) => byteLength({ dtype, shape: [count, columns] });
    const countAt = (row: number) => Math.min(STRIPE_ROWS, rows - row);
    const read = async (row: number, stage: DeviceBuffer): Promise<void> => {
      if (row >= rows) return;
      const target = this.#device.bytes(stage).subarray(0, countAt(row) * size);
      await readTensorRows(entry, row, countAt(row), target, signal);
    };
    let [stage, next] = this.#stages as [DeviceBuffer, DeviceBuffer];
    await read(0, stage);
    for (let row = 0; row < rows; row += STRIPE_ROWS) {
      throwIfAborted(signal);
      const [place, length] = [bytesOf(row), bytesOf(countAt(row))];
      const program = await this.#program({ dtype: entry.element, shape: [countAt(row), columns] });
      const target = await sink.place(place, length);
      await Promise.all([read(row + STRIPE_ROWS, next), program.run([stage], [target])]);
      sink.keep?.(place, length);
      [stage, next] = [next, stage];
    }
  }

  async dispose(): Promise<void> {
    for (const program of this.#programs.values()) await program.then((it) => it.dispose()).catch(() => {});
    for (const stage of this.#stages) stage.dispose();
  }
}
