/** Checkpoint files: safetensors and GGUF, read by ranges and written piece by piece; the JSON beside them. */
export { type ByteSource, memorySource, readAll, readExactly } from './byte-source.ts';
export { type CheckpointToGgufOptions, checkpointToGguf, type GgufConversion } from './checkpoint-to-gguf.ts';
export { type GenerationDefaults, generationDefaults, readConfig } from './config.ts';
export { type FileSet, type OpenFile, readJson, readText } from './file-set.ts';
export { type GgufFile, openGguf } from './gguf.ts';
export { configOfGguf, familyOfGguf, ggufTensor, type TensorNames } from './gguf-config.ts';
export { GGUF_FAMILIES, type GgufFamily, type KeyPair } from './gguf-families.ts';
export { ggufName, huggingFaceName, type NamePair } from './gguf-names.ts';
export type { MetadataType, MetadataValue } from './gguf-types.ts';
export { f32Value, type GgufContent, ggufPieces, type MetadataInput } from './gguf-writer.ts';
export { withInt4Weights } from './int4-checkpoint.ts';
export { isRecord, type JsonRecord, parseJson } from './json.ts';
export { folderFiles } from './local-files.ts';
export { memoryFiles, pickedFiles } from './memory-files.ts';
export { chooseWeights, type ModelWeights, openWeights } from './model-weights.ts';
export type { LoadProgress } from './progress.ts';
export { openSafetensors, type SafetensorsFile, safetensorsPieces } from './safetensors.ts';
export {
  isStored,
  readTensor,
  readTensorRows,
  rowBytes,
  rowCount,
  type StoredTensor,
  type TensorEntry,
  type TensorFile,
  type TensorSource,
  tensorEntry,
} from './tensor-file.ts';
export { stackedTensor, transposedTensor } from './tensor-view.ts';
export { type FileToWrite, shardSafetensors, splitGguf } from './write-shards.ts';
