/** Number formats as data, their packing, and the composites that read and write them. */
export { B1, BIPOLAR_ACTIVATIONS, isBipolar } from './bipolar-formats.ts';
export { errorBound } from './block-fit.ts';
export { dequantize, dequantizeOp } from './dequantize.ts';
export { expertLinear, expertLinearOp } from './expert-linear.ts';
export {
  ACTIVATION_FORMATS,
  activationFor,
  activationFormat,
  CACHE_FORMAT,
  GROUP_INTS,
  GROUP_SIZES,
  type GroupSize,
  PACKED_FORMATS,
  packedFormat,
  WEIGHT_FORMATS,
  type WeightFormat,
  weightFormat,
} from './formats.ts';
export {
  GGUF_FORMATS,
  IQ4_NL,
  IQ4_XS,
  MXFP4,
  Q2_K,
  Q3_K,
  Q4_0,
  Q4_1,
  Q4_K,
  Q5_0,
  Q5_1,
  Q5_K,
  Q6_K,
  Q8_0,
} from './gguf-formats.ts';
export { linear, linearOp } from './linear.ts';
export {
  asNumberFormat,
  type BitTable,
  bitsPerElement,
  type CodePart,
  codeParts,
  codeTables,
  FIELD_BYTES,
  type Field,
  fieldOffset,
  type GroupField,
  groupOffset,
  isCanonical,
  isNumberFormat,
  isSimple,
  levelBits,
  type NumberFormat,
  type ParameterField,
  type Plane,
  panel,
  panelBlockBytes,
  SUB_BLOCK,
  sumSize,
} from './number-format.ts';
export { pack, requireBlocks, unpack } from './pack.ts';
export { packedAttention, packedAttentionOp } from './packed-attention.ts';
export { packedEmbedding, packedEmbeddingOp } from './packed-embedding.ts';
export { quantize, quantizeOp } from './quantize.ts';
export {
  isSparseDType,
  packSparse,
  SPARSE,
  type SparseDType,
  type SparseParts,
  sparseBytes,
  sparseShapes,
} from './sparse.ts';
export { sparseLinear, sparseLinearOp, sparseToDense } from './sparse-linear.ts';
export { toPanels, toPanelsOp } from './to-panels.ts';
