/**
 * Weights that are used where they lie in files: the system reads them when a kernel touches them, and processes share them.
 * Float tensors lie in the checkpoint as kernels read them; packed ones in a weight file beside, which the first load makes.
 */
import { type FileStore, platform, type StoreWriter } from '#platform';
import { type ByteSource, isStored, type StoredTensor, type TensorEntry } from '../format/index.ts';
import { isPacked } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import type { TensorSpec } from '../model/index.ts';
import type { DeviceBuffer, MappedFile } from '../target/target.ts';
import type { Device } from '../tensor/index.ts';
import { PanelLoader, type PanelSink } from './panel-loader.ts';
import { placedBytes, stripeBytes } from './placed-weight.ts';
import { throwIfAborted } from './turns.ts';
import { makeRoom, openWeightCache, type WeightCacheFolder } from './weight-cache.ts';
import { isCacheFailure, isWeightFile, type WeightFileLayout, weightFileLayout } from './weight-file.ts';

/** From so many bytes of packed weights on they are kept in a file: fewer are laid in panels in no time. */
export const LEAST_KEPT_BYTES = 32 << 20;

export interface FoundWeight {
  readonly spec: TensorSpec;
  readonly entry: TensorEntry;
}

/** Where weights come from, and what tells one such place from another. */
export interface MappableSource {
  readonly files?: readonly ByteSource[];
  readonly config?: unknown;
}

/** Which weights lie in files as kernels read them, and which can be kept so. */
export interface MappingPlan {
  readonly inPlace: readonly (FoundWeight & { readonly entry: StoredTensor })[];
  readonly kept: readonly FoundWeight[];
  /** Bytes of both on the device. */
  readonly mappedBytes: number;
}

/** What of weights can be mapped by a device that maps files. */
export function planMapping(
  source: MappableSource,
  found: readonly FoundWeight[],
  panelRows: number,
  leastKeptBytes = LEAST_KEPT_BYTES,
): MappingPlan {
  const inPlace = found.filter((weight): weight is FoundWeight & { readonly entry: StoredTensor } => {
    const { entry } = weight;
    return !isPacked(entry.element) && isStored(entry) && entry.source.place !== undefined && entry.byteLength > 0;
  });
  const packed = found.filter(({ entry }) => isPacked(entry.element));
  const bytesOf = (weights: readonly FoundWeight[]): number =>
    weights.reduce((sum, { entry }) => sum + placedBytes(entry, panelRows), 0);
  const { files = [] } = source;
  const isOnDisk = files.length > 0 && files.every(({ place }) => place !== undefined);
  const kept = isOnDisk && bytesOf(packed) >= leastKeptBytes ? packed : [];
  return { inPlace, kept, mappedBytes: bytesOf(inPlace) + bytesOf(kept) };
}

export interface MappingOptions {
  readonly cache: WeightCacheFolder;
  readonly leastKeptBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Hears of each tensor that is laid in panels, before it is. */
  readonly onTensor?: ((entry: TensorEntry) => void) | undefined;
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * Maps what can be mapped; the rest is the caller's to read. The buffers are the caller's to dispose. `mapFile` is the device's.
 * Throws BAD_FILE where the checkpoint is not what its header says, ABORTED, OUT_OF_MEMORY.
 */
export async function mapWeights(
  device: Device,
  mapFile: (path: string) => MappedFile,
  source: MappableSource,
  found: readonly FoundWeight[],
  options: MappingOptions,
): Promise<ReadonlyMap<string, DeviceBuffer>> {
  const { onWarning = (message: string) => console.warn(message) } = options;
  const plan = planMapping(source, found, device.panelRows, options.leastKeptBytes);
  const buffers = new Map<string, DeviceBuffer>();
  try {
    await unlessImpossible(onWarning, () => mapInPlace(mapFile, plan.inPlace, buffers));
    if (plan.kept.length > 0) {
      const file = await unlessImpossible(
        onWarning,
        () => new KeptWeights(device, mapFile, source, plan.kept, options).open(),
        options.signal,
      );
      for (const [name, buffer] of file ?? []) buffers.set(name, buffer);
    }
    return buffers;
  } catch (error) {
    for (const buffer of buffers.values()) buffer.dispose();
    throw error;
  }
}

/** Does `action`; where files cannot be kept or mapped, tells so. */
async function unlessImpossible<T>(
  onWarning: (message: string) => void,
  action: () => Promise<T> | T,
  signal?: AbortSignal,
): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    if (signal?.aborted || !isCacheFailure(error) || error.details.isCheckpoint === true) throw error;
    onWarning(`weight-cache: weights are copied to memory: ${error.message}`);
    return undefined;
  }
}

/** Windows of the checkpoint's own files. All of a file's, or none where the system does not map it. */
function mapInPlace(
  mapFile: (path: string) => MappedFile,
  weights: MappingPlan['inPlace'],
  buffers: Map<string, DeviceBuffer>,
): void {
  const bySource = new Map<ByteSource, MappingPlan['inPlace'][number][]>();
  for (const weight of weights) {
    const { source } = weight.entry;
    const known = bySource.get(source);
    if (known === undefined) bySource.set(source, [weight]);
    else known.push(weight);
  }
  for (const [source, ofSource] of bySource) {
    const file = mapFile(source.place!.path);
    try {
      // Another file may have taken its name since its header was read.
      if (file.byteLength !== source.sizeBytes) throw changed(source);
      for (const { spec, entry } of ofSource) buffers.set(spec.name, file.slice(entry.byteOffset, entry.byteLength));
    } finally {
      file.dispose();
    }
  }
}

const changed = ({ name }: ByteSource): BitloomError =>
  new BitloomError('BAD_FILE', `${name} was replaced while it was being loaded. Load it again.`, {
    isCheckpoint: true,
  });

/** The weight file of a checkpoint: mapped where it is there and sound, else made. */
class KeptWeights {
  readonly #device: Device;
  readonly #mapFile: (path: string) => MappedFile;
  readonly #source: MappableSource;
  readonly #weights: readonly FoundWeight[];
  readonly #options: MappingOptions;

  constructor(
    device: Device,
    mapFile: (path: string) => MappedFile,
    source: MappableSource,
    weights: readonly FoundWeight[],
    options: MappingOptions,
  ) {
    this.#device = device;
    this.#mapFile = mapFile;
    this.#source = source;
    this.#weights = weights;
    this.#options = options;
  }

  /** Undefined where there is no place to keep it. */
  async open(): Promise<Map<string, DeviceBuffer> | undefined> {
    const store = await openWeightCache(this.#options.cache);
    const { files = [], config } = this.#source;
    const tensors = new Map(this.#weights.map(({ spec, entry }) => [spec.name, entry]));
    const layout = weightFileLayout({ files, config, panelRows: this.#device.panelRows, tensors });
    if (store === undefined || layout === undefined) return undefined;
    const known = await this.#map(store, layout);
    if (known !== undefined) {
      void store.touch(layout.name);
      return known;
    }
    await makeRoom(store, layout.name, layout.sizeBytes);
    const failure = await this.#make(store, layout).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure !== undefined && !isCacheFailure(failure)) throw failure;
    // Even then: where a system does not replace a file that is in use, another process has made the same one.
    const made = await this.#map(store, layout);
    if (made !== undefined) return made;
    const text = `${store.name} does not keep what is written to it.`;
    throw failure ?? new BitloomError('BAD_FILE', text, { name: layout.name });
  }

  /** Windows of the file; undefined where it is not there, or is another one, or is broken. */
  async #map(store: FileStore, layout: WeightFileLayout): Promise<Map<string, DeviceBuffer> | undefined> {
    if ((await store.status(layout.name)) === undefined) return undefined;
    const file = await store.open(layout.name);
    try {
      if (!(await isWeightFile(file, layout))) return undefined;
    } finally {
      await file.close();
    }
    const mapped = this.#mapFile(platform.joinPath(store.name, layout.name));
    try {
      // Another process may just have put another one in its place.
      if (mapped.byteLength !== layout.sizeBytes) return undefined;
      const { panelRows } = this.#device;
      return new Map(
        this.#weights.map(({ spec: { name }, entry }) => [
          name,
          mapped.slice(layout.offsets.get(name)!, placedBytes(entry, panelRows)),
        ]),
      );
    } finally {
      mapped.dispose();
    }
  }

  /** Writes the file under a name of its own, then gives it its name: whoever makes the same one at the same time does too. */
  async #make(store: FileStore, layout: WeightFileLayout): Promise<void> {
    const draft = `${layout.name}.${crypto.randomUUID()}.partial`;
    try {
      const writer = await store.openWriter(draft);
      try {
        await writer.write(layout.header, 0);
        await this.#writePanels(writer, layout);
        await writer.write(layout.trailer, layout.trailerOffset);
      } finally {
        await writer.close(false);
      }
      await store.rename(draft, layout.name);
    } catch (error) {
      await store.remove(draft).catch(() => {});
      throw error;
    }
  }

  async #writePanels(writer: StoreWriter, layout: WeightFileLayout): Promise<void> {
    const { signal, onTensor } = this.#options;
    const { panelRows } = this.#device;
    const most = (bytes: (entry: TensorEntry) => number): number =>
      this.#weights.reduce((sum, { entry }) => Math.max(sum, bytes(entry)), 0);
    const loader = new PanelLoader(this.#device, most(stripeBytes));
    const sink = new WriterSink(
      this.#device,
      writer,
      most((entry) => stripeBytes(entry, panelRows)),
    );
    try {
      for (const { spec, entry } of this.#weights) {
        throwIfAborted(signal);
        onTensor?.(entry);
        sink.base = layout.offsets.get(spec.name)!;
        await loader.load(fromCheckpoint(entry), sink, signal);
      }
      await sink.flush();
    } finally {
      await sink.dispose();
      await loader.dispose();
    }
  }
}

/** The same tensor; what fails in reading it is no failure of the cache. */
const fromCheckpoint = (entry: TensorEntry): TensorEntry => ({
  name: entry.name,
  element: entry.element,
  shape: entry.shape,
  byteLength: entry.byteLength,
  readRows: (...args) =>
    entry.readRows(...args).catch((error: unknown) => {
      if (!isCacheFailure(error)) throw error;
      throw new BitloomError(error.code, error.message, { ...error.details, isCheckpoint: true }, { cause: error });
    }),
});

/** Writes stripes to a file: while one is written, the next is computed. */
class WriterSink implements PanelSink {
  /** Where the tensor begins in the file. */
  base = 0;
  readonly #device: Device;
  readonly #writer: StoreWriter;
  readonly #stages: readonly DeviceBuffer[];
  readonly #writes: Promise<void>[] = [Promise.resolve(), Promise.resolve()];
  #turn = 0;

  constructor(device: Device, writer: StoreWriter, stageBytes: number) {
    this.#device = device;
    this.#writer = writer;
    this.#stages = [device.allocate(stageBytes), device.allocate(stageBytes)];
  }

  async place(_: number, byteLength: number): Promise<DeviceBuffer> {
    this.#turn = 1 - this.#turn;
    await this.#writes[this.#turn];
    return this.#stages[this.#turn]!.slice(0, byteLength);
  }

  keep(byteOffset: number, byteLength: number): void {
    const bytes = this.#device.bytes(this.#stages[this.#turn]!).subarray(0, byteLength);
    const writing = this.#writer.write(bytes, this.base + byteOffset);
    writing.catch(() => {}); // told by the `place` or `flush` that waits for it
    this.#writes[this.#turn] = writing;
  }

  async flush(): Promise<void> {
    await Promise.all(this.#writes);
  }

  async dispose(): Promise<void> {
    await Promise.allSettled(this.#writes);
    for (const stage of this.#stages) stage.dispose();
  }
}
