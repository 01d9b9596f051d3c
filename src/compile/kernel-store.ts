/** The kernels of a program: each built once, whatever number of calls it has. */
import { type Kernel, KernelBuilder } from '../kernel/language.ts';
import type { Machine } from '../kernel/machine.ts';
import type { KernelRecipe } from './lower/kernel-recipe.ts';
import { shortHash } from './structural-key.ts';

/** Builds kernels once per key. */
export class KernelStore {
  readonly #kernels: Map<string, Kernel>;

  constructor(kernels: Map<string, Kernel>) {
    this.#kernels = kernels;
  }

  get({ key, label, build }: Pick<KernelRecipe, 'key' | 'label' | 'build'>): Kernel {
    let kernel = this.#kernels.get(key);
    if (!kernel) {
      kernel = build(`${label}_${shortHash(key)}`);
      this.#kernels.set(key, kernel);
    }
    return kernel;
  }
}

/** A kernel that copies bytes, by 4 where the count allows. */
export function copyRecipe(bytes: number, machine: Machine): Pick<KernelRecipe, 'key' | 'label' | 'build'> {
  const memory = bytes % 4 === 0 ? 'i32' : 'u8';
  const count = memory === 'i32' ? bytes / 4 : bytes;
  const build = (name: string): Kernel => {
    const k = new KernelBuilder(name, machine.lanes);
    const [from, to] = [k.buffer('in0', 'read'), k.buffer('out', 'write')];
    k.parallelRange(count, 4096, (begin, end) =>
      k.vectorLoop(begin, end, (i, lanes) => k.storeAt(to, memory, i, k.loadAt(from, memory, i, lanes))),
    );
    return k.finish();
  };
  return { key: `copy ${bytes}`, label: 'copy', build };
}
