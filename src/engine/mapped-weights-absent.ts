/** What `#mapped-weights` is in pages, which map no files: nothing can be used where it lies. */
import type { DeviceBuffer } from '../target/target.ts';

export const planMapping = () => ({ inPlace: [], kept: [], mappedBytes: 0 });

export const mapWeights = async (): Promise<ReadonlyMap<string, DeviceBuffer>> => new Map();
