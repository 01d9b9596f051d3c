/** For tests: runs lowered kernels beside the kernel interpreter, between pages that nobody may touch. */
import { runKernel } from '../../kernel/interpret.ts';
import type { Kernel } from '../../kernel/language.ts';
import { type NativeFunction, type NativeHost, type NativeMemory, platform } from '../../platform/index.ts';
import { Assembler, type Label, r64 } from './assembler/index.ts';
import { type Cpu, detectCpu } from './cpu.ts';
import { writeFunction } from './entry-code.ts';
import type { CodeFeatures } from './features.ts';
import { lowerKernel } from './lower.ts';

export const AVX2_PLAIN: CodeFeatures = { avx512: false, vnni: false };
export const AVX2_VNNI: CodeFeatures = { avx512: false, vnni: true };
export const AVX512_PLAIN: CodeFeatures = { avx512: true, vnni: false };
export const AVX512_VNNI: CodeFeatures = { avx512: true, vnni: true };

/** Everything that generated code may be made for: its name in tests, the widest vectors, and whether a processor has it. */
export const FEATURE_SETS = [
  { name: 'AVX2', features: AVX2_PLAIN, lanes: 8, isIn: (cpu: Cpu) => cpu.avx2 },
  { name: 'AVX2 with AVX-VNNI', features: AVX2_VNNI, lanes: 8, isIn: (cpu: Cpu) => cpu.avxVnni },
  { name: 'AVX-512', features: AVX512_PLAIN, lanes: 16, isIn: (cpu: Cpu) => cpu.avx512 },
  { name: 'AVX-512 with VNNI', features: AVX512_VNNI, lanes: 16, isIn: (cpu: Cpu) => cpu.avx512Vnni },
] as const;

/** Feature sets by name, each with the reason why tests of it cannot run here, if there is one. */
export async function availability() {
  const support = await platform.native();
  const cpu = 'host' in support ? detectCpu(support.host) : undefined;
  return FEATURE_SETS.map((set) => {
    const why = 'why' in support ? support.why : set.isIn(cpu!) ? undefined : `${cpu!.name} lacks it`;
    return { ...set, why };
  });
}

/** The native host; throws where there is none. */
export async function nativeHost(): Promise<NativeHost> {
  const support = await platform.native();
  if ('why' in support) throw new Error(support.why);
  return support.host;
}

/** Writes a function of one argument: a table with the address of a kernel's function, then its arguments. */
function writeEntry(out: Assembler, host: NativeHost, nArguments: number): void {
  const word = (base: number, i: number) => ({ kind: 'mem' as const, base, displacement: 8 * i });
  const [rax, rsp, r11] = [0, 4, 11];
  writeFunction(out, host.convention, Math.ceil(nArguments / 8) * 64, ([table]) => {
    for (let i = 0; i < nArguments; i++) {
      out.emit('mov', r64(rax), word(table!.id, i + 1));
      out.emit('mov', word(rsp, i), r64(rax));
    }
    out.emit('mov', r64(r11), word(table!.id, 0));
    out.emit('call', r64(r11));
  });
}

export interface Job {
  readonly kernel: Kernel;
  readonly features: CodeFeatures;
}

/** Writes one entry and the functions of kernels that take equally many buffers. */
function writeAll(out: Assembler, host: NativeHost, jobs: readonly Job[]): Label[] {
  const nArguments = jobs[0]!.kernel.buffers.length + 4;
  writeEntry(out, host, nArguments);
  const barrier = out.label('barrier');
  const labels = jobs.map(({ kernel, features }) => {
    out.align(64);
    const label = out.label('kernel');
    out.bind(label);
    lowerKernel(out, kernel, features, barrier);
    return label;
  });
  out.bind(barrier);
  out.emit('ret');
  return labels;
}

/** Machine code of one kernel, to look at. */
export function assemble(host: NativeHost, kernel: Kernel, features: CodeFeatures): Assembler {
  const out = new Assembler({ listing: true });
  writeAll(out, host, [{ kernel, features }]);
  out.finish();
  return out;
}

/** Runs the compiled kernel of a job on copies of buffers and gives what it leaves in them: views, for the next run to reuse. */
export type Run = (buffers: readonly Uint8Array[], threads?: number) => Uint8Array[];

/** Memory between guard pages that kernels run in, one after the other. */
export class Bench {
  readonly #host: NativeHost;
  readonly #blocks: NativeMemory[] = [];
  readonly #buffers: { readonly bytes: Uint8Array; readonly address: number }[];
  readonly #threadScratch: { readonly bytes: Uint8Array; readonly address: number };
  readonly #sharedScratch: { readonly bytes: Uint8Array; readonly address: number };
  readonly #table: NativeMemory;
  readonly #words: BigInt64Array;

  /** `like` is a kernel with as many buffers and as much scratch as any of those to come. */
  constructor(host: NativeHost, like: Kernel, bufferBytes: readonly number[]) {
    this.#host = host;
    this.#buffers = bufferBytes.map((byteLength) => this.#flush(byteLength));
    this.#threadScratch = this.#flush(like.threadScratchBytes);
    this.#sharedScratch = this.#flush(like.sharedScratchBytes);
    this.#table = host.allocate(8 * (bufferBytes.length + 5));
    this.#words = new BigInt64Array(this.#table.bytes.buffer, this.#table.bytes.byteOffset, bufferBytes.length + 5);
  }

  /** Memory whose end lies at a guard page. */
  #flush(byteLength: number): { readonly bytes: Uint8Array; readonly address: number } {
    const block = this.#host.allocateGuarded(Math.max(64, Math.ceil(byteLength / 64) * 64));
    this.#blocks.push(block);
    const start = block.byteLength - byteLength;
    return { bytes: block.bytes.subarray(start), address: block.address + start };
  }

  /** Compiles kernels to one piece of code; `use` gets a function for each, good until it returns. */
  compiled<T>(jobs: readonly Job[], use: (runs: readonly Run[]) => T): T {
    const out = new Assembler();
    const labels = writeAll(out, this.#host, jobs);
    const code = this.#host.mapCode(out.finish());
    try {
      const entry = this.#host.function(code.address, 1);
      return use(labels.map((label) => this.#runner(entry, code.address + out.offsetOf(label))));
    } finally {
      code.dispose();
    }
  }

  #runner(entry: NativeFunction, address: number): Run {
    return (contents, threads = 1) => {
      for (const [i, content] of contents.entries()) this.#buffers[i]!.bytes.set(content);
      for (const { bytes } of [this.#threadScratch, this.#sharedScratch]) bytes.fill(0xff);
      const pointers = this.#buffers.map((b) => b.address);
      const scratch = [this.#threadScratch.address, this.#sharedScratch.address];
      // In the order of the interpreter: kernels without barriers may then even write to the same places.
      for (let thread = threads - 1; thread >= 0; thread--) {
        for (const [i, word] of [address, ...pointers, thread, threads, ...scratch].entries())
          this.#words[i] = BigInt(word);
        entry(this.#table.address);
      }
      return this.#buffers.map((b) => b.bytes);
    };
  }

  dispose(): void {
    for (const block of [...this.#blocks, this.#table]) block.dispose();
  }
}

/** Runs a kernel once, on copies of buffers, one thread after the other. */
export function runLowered(host: NativeHost, job: Job, buffers: readonly Uint8Array[], threads = 1): Uint8Array[] {
  const bytes = buffers.map((b) => b.length);
  const bench = new Bench(host, job.kernel, bytes);
  try {
    return bench.compiled([job], ([run]) => run!(buffers, threads).map((b) => b.slice()));
  } finally {
    bench.dispose();
  }
}

/** What the kernel interpreter leaves in the buffers. */
export function lawful(kernel: Kernel, buffers: readonly Uint8Array[], threads = 1): Uint8Array[] {
  const own = buffers.map((b) => b.slice());
  runKernel(kernel, own, threads);
  return own;
}
