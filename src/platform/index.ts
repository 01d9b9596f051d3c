/** Public names of the platform: the interface, and the implementation that the package condition picks. */
export type {
  HostThread,
  MemoryInfo,
  Platform,
  RandomAccessFile,
  ThreadPort,
  ThreadProgram,
  WasmHost,
} from '#platform';
export { openBlob, platform } from '#platform';
