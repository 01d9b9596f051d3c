/** Number formats as data, their packing, and the composites that read and write them. */
export { errorBound } from './block-fit.ts';
export { dequantize, dequantizeOp } from './dequantize.ts';
export {
  ACTIVATION_FORMATS,
  activationFormat,
  GROUP_INTS,
  GROUP_SIZES,
  type GroupSize,
  PACKED_FORMATS,
  packedFormat,
  Q4_0,
  Q4_1,
  Q8_0,
  WEIGHT_FORMATS,
  type WeightFormat,
  weightFormat,
} from './formats.ts';
export { linear, linearOp } from './linear.ts';
export {
  asNumberFormat,
  bitsPerElement,
  type CodePart,
  codeParts,
  FIELD_BYTES,
  type Field,
  fieldOffset,
  isNumberFormat,
  type NumberFormat,
  type Plane,
  panel,
  panelBlockBytes,
  SUB_BLOCK,
} from './number-format.ts';
export { pack, requireBlocks, unpack } from './pack.ts';
export { packedEmbedding, packedEmbeddingOp } from './packed-embedding.ts';
export { quantize, quantizeOp } from './quantize.ts';
export { blockParts, toPanels, toPanelsOp } from './to-panels.ts';
