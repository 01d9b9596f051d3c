/** Public names of the platform: the interface, and the implementation that the package condition picks. */
export type {
  Digest,
  DigestName,
  FileStatus,
  FileStore,
  HostThread,
  MemoryInfo,
  Platform,
  RandomAccessFile,
  StoreWriter,
  ThreadPort,
  ThreadProgram,
  WasmHost,
} from '#platform';
export { openBlob, platform } from '#platform';
