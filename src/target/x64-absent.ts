/** What `#x64` is in pages, where no machine code of ours can run: the same names, which say so. */
import { BitloomError } from '../ir/error.ts';
import type { X64Target as Target } from './x64/index.ts';

export const X64Target = {
  /** Throws NO_DEVICE. */
  async create(): Promise<Target> {
    throw new BitloomError('NO_DEVICE', 'no x64 device: pages cannot run machine code. Use device wasm.');
  },
};
