/** For tests: runs lowered kernels beside the kernel interpreter, which is the law. */
import { expect } from 'vitest';
import { runKernel } from '../../kernel/interpret.ts';
import type { Kernel } from '../../kernel/language.ts';
import { platform } from '../../platform/index.ts';
import { ModuleBuilder } from './encoder.ts';
import type { CodeFeatures } from './expression-code.ts';
import { lowerKernel } from './lower.ts';

export const PLAIN: CodeFeatures = { relaxedSimd: false, dotU8: false };
export const RELAXED: CodeFeatures = { relaxedSimd: true, dotU8: false };

/** Like targets, tests keep the first megabyte free: addresses may pass it on their way. */
const FIRST_BYTE = 1 << 20;

type Lowered = (buffers: readonly Uint8Array[], threads?: number) => Uint8Array[];

/** Compiles a kernel without barriers; the result runs it on copies of buffers, one thread after the other. */
export async function lower(kernel: Kernel, features: CodeFeatures): Promise<Lowered> {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { initialPages: 1 });
  const barrier = module.function('barrier', ['i32']);
  module.exportFunction('kernel', lowerKernel(module, kernel, features, barrier.index));
  const memory = new WebAssembly.Memory({ initial: 64 });
  const compiled = await platform.wasm.compile(module.bytes());
  const run = new WebAssembly.Instance(compiled, { env: { memory } }).exports.kernel as (...args: number[]) => void;
  return (buffers, threads = 1) => {
    const bytes = new Uint8Array(memory.buffer);
    let end = FIRST_BYTE;
    const place = (length: number): number => {
      const at = end;
      end = Math.ceil((end + length) / 64) * 64 + 64;
      return at;
    };
    const pointers = buffers.map((b) => {
      const at = place(b.length);
      bytes.set(b, at);
      return at;
    });
    const scratch = [place(kernel.threadScratchBytes), place(kernel.sharedScratchBytes)];
    for (let thread = 0; thread < threads; thread++) run(...pointers, thread, threads, ...scratch);
    return buffers.map((b, i) => bytes.slice(pointers[i], pointers[i]! + b.length));
  };
}

/** Words with every NaN replaced by one, so that payloads do not matter. */
function canonical(bytes: Uint8Array, isFloat: boolean): number[] {
  const words = new Uint32Array(bytes.slice().buffer);
  const isNotANumber = (w: number) => (w & 0x7fffffff) > 0x7f800000;
  return Array.from(words, (w) => (isFloat && isNotANumber(w) ? 0x7fc00000 : w));
}

/** What the kernel interpreter leaves in the buffers. */
export function lawful(kernel: Kernel, buffers: readonly Uint8Array[], threads = 1): Uint8Array[] {
  const own = buffers.map((b) => b.slice());
  runKernel(kernel, own, threads);
  return own;
}

/** A check that lowered code and interpreter leave the same words in every buffer. */
export async function law(kernel: Kernel, features: CodeFeatures, isFloat = true) {
  const run = await lower(kernel, features);
  return (buffers: readonly Uint8Array[], threads = 1): void => {
    const lowered = run(buffers, threads);
    lawful(kernel, buffers, threads).forEach((b, i) => {
      expect(canonical(lowered[i]!, isFloat), kernel.name).toEqual(canonical(b, isFloat));
    });
  };
}
