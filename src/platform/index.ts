/** Public names of the platform: the interface, and the implementation that the package condition picks. */
export type { MemoryInfo, Platform, RandomAccessFile } from '#platform';
export { openBlob, platform } from '#platform';
