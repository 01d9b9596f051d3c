/** What `#wide-kernels` is in pages: machines there have 4 lanes and no tiles; ops without a kernel run through their decomposition. */
import { BitloomError } from '../../ir/error.ts';
import type { KernelTemplate } from '../template.ts';

function absent(): never {
  throw new BitloomError('UNSUPPORTED_FEATURE', 'pages have no kernels of more than 4 lanes');
}

class AbsentTiles {
  emit(): never {
    return absent();
  }
}

export {
  AbsentTiles as PackedTileRegisters,
  AbsentTiles as RepeatedTiles,
  absent as emitTileGemm,
  absent as floatResults,
  absent as integerResults,
  absent as tileGemmWork,
  absent as tileRegisterWork,
};

export const isTileGemm = (): boolean => false;
export const inTileRegisters = (): boolean => false;
export const tileSchedulesFor = (): readonly [] => [];
export const tileRegisterSchedules = (): readonly [] => [];

const absentKernel = (op: string): KernelTemplate => ({
  op,
  name: `absent ${op}`,
  supports: () => false,
  schedules: () => [],
  build: absent,
});

export const bipolarLinear = absentKernel('linear');
export const sparseLinearKernel = absentKernel('sparse_linear');
