/**
 * Kernels, and parts of kernels, for machines with vectors of more than 4 lanes, or with tiles, or whose op is too rare to load
 * everywhere: without them it runs through its decomposition. `#wide-kernels` is this
 * file, and in pages `wide-kernels-absent.ts`: what can not run there is not loaded there.
 */
export { bipolarLinear } from './bipolar-linear.ts';
export { emitTileGemm, floatResults, integerResults, isTileGemm, type TileGemmProblem } from './gemm-tile-registers.ts';
export { tileGemmWork, tileSchedulesFor } from './gemm-tile-schedules.ts';
export { PackedTileRegisters } from './packed-tile-registers.ts';
export {
  inTileRegisters,
  type TileRegisterSchedule,
  tileRegisterSchedules,
  tileRegisterWork,
} from './packed-tile-schedules.ts';
export { RepeatedTiles } from './repeated-tiles.ts';
export { sparseLinearKernel } from './sparse-linear.ts';
