/** For tests: runs lowered kernels beside the kernel interpreter, between pages that nobody may touch. */
import { runKernel } from '../../kernel/interpret.ts';
import type { Kernel } from '../../kernel/language.ts';
import { difference } from '../../kernel/testing/index.ts';
import { type NativeFunction, type NativeHost, type NativeMemory, platform } from '../../platform/index.ts';
import { Assembler, type Label, r64 } from './assembler/index.ts';
import { type Cpu, detectCpu } from './cpu.ts';
import { writeFunction } from './entry-code.ts';
import type { CodeFeatures } from './features.ts';
import { lowerKernel } from './lower.ts';

export const AVX2_PLAIN: CodeFeatures = {
  ...{ avx512: false, vnni: false, expand: false, bf16: false, gfni: false, popcount: false },
  tiles: 'none',
};
export const AVX2_VNNI: CodeFeatures = { ...AVX2_PLAIN, vnni: true };
export const AVX512_PLAIN: CodeFeatures = { ...AVX2_PLAIN, avx512: true };
export const AVX512_VNNI: CodeFeatures = { ...AVX512_PLAIN, vnni: true };
export const AVX512_ALL: CodeFeatures = { ...AVX512_VNNI, expand: true, bf16: true, gfni: true, popcount: true };

/** Everything that generated code may be made for: its name in tests, the widest vectors, and whether a processor has it. */
export const FEATURE_SETS = [
  { name: 'AVX2', features: AVX2_PLAIN, lanes: 8, isIn: (cpu: Cpu) => cpu.avx2 },
  { name: 'AVX2 with AVX-VNNI', features: AVX2_VNNI, lanes: 8, isIn: (cpu: Cpu) => cpu.avxVnni },
  { name: 'AVX-512', features: AVX512_PLAIN, lanes: 16, isIn: (cpu: Cpu) => cpu.avx512 },
  { name: 'AVX-512 with VNNI', features: AVX512_VNNI, lanes: 16, isIn: (cpu: Cpu) => cpu.avx512Vnni },
  {
    name: 'AVX-512 with VNNI, VBMI2, BF16, GFNI and VPOPCNTDQ',
    features: AVX512_ALL,
    lanes: 16,
    isIn: (cpu: Cpu) => cpu.avx512Vnni && cpu.avx512Vbmi2 && cpu.avx512Bf16 && cpu.gfni && cpu.avx512Popcount,
  },
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

/**
 * Runs the compiled kernel of a job on copies of buffers, or on so many bytes as they are, and gives what it leaves in them:
 * views of memory that the next run uses again.
 */
export type Run = (buffers: readonly (Uint8Array | number)[], threads?: number) => Uint8Array[];

/** Memory whose end lies at a page that nobody may touch. */
class Guarded {
  readonly #memory: NativeMemory;

  constructor(host: NativeHost, byteLength: number) {
    this.#memory = host.allocateGuarded(Math.ceil(byteLength / 64) * 64);
  }

  /** The last bytes of it. */
  last(byteLength: number): { readonly bytes: Uint8Array; readonly address: number } {
    const start = this.#memory.byteLength - byteLength;
    return { bytes: this.#memory.bytes.subarray(start), address: this.#memory.address + start };
  }

  dispose(): void {
    this.#memory.dispose();
  }
}

/** Memory that kernels run in, one after the other. */
export class Bench {
  readonly #host: NativeHost;
  readonly #buffers: readonly Guarded[];
  readonly #scratch: readonly [Guarded, Guarded];
  readonly #table: NativeMemory;
  readonly #words: BigInt64Array;

  /** `bufferBytes` is how long the buffers of kernels to come may be, `scratchBytes` what they need of either scratch. */
  constructor(host: NativeHost, bufferBytes: readonly number[], scratchBytes = 4096) {
    this.#host = host;
    this.#buffers = bufferBytes.map((byteLength) => new Guarded(host, byteLength));
    this.#scratch = [new Guarded(host, scratchBytes), new Guarded(host, scratchBytes)];
    this.#table = host.allocate(8 * (bufferBytes.length + 5));
    this.#words = new BigInt64Array(this.#table.bytes.buffer, this.#table.bytes.byteOffset, bufferBytes.length + 5);
  }

  /** Compiles kernels to one piece of code; `use` gets a function for each, good until it returns. */
  compiled<T>(jobs: readonly Job[], use: (runs: readonly Run[]) => T): T {
    const out = new Assembler();
    const labels = writeAll(out, this.#host, jobs);
    const code = this.#host.mapCode(out.finish());
    try {
      const entry = this.#host.function(code.address, 1);
      return use(jobs.map(({ kernel }, i) => this.#runner(entry, code.address + out.offsetOf(labels[i]!), kernel)));
    } finally {
      code.dispose();
    }
  }

  #runner(entry: NativeFunction, address: number, kernel: Kernel): Run {
    return (contents, threads = 1) => {
      const buffers = contents.map((content, i) => {
        if (typeof content === 'number') return this.#buffers[i]!.last(content);
        const place = this.#buffers[i]!.last(content.length);
        place.bytes.set(content);
        return place;
      });
      const scratch = [kernel.threadScratchBytes, kernel.sharedScratchBytes].map((n, i) => this.#scratch[i]!.last(n));
      for (const { bytes } of scratch) bytes.fill(0xff);
      const pointers = buffers.map((b) => b.address);
      // In the order of the interpreter: kernels without barriers may then even write to the same places.
      for (let thread = threads - 1; thread >= 0; thread--) {
        const words = [address, ...pointers, thread, threads, ...scratch.map((s) => s.address)];
        for (const [i, word] of words.entries()) this.#words[i] = BigInt(word);
        entry(this.#table.address);
      }
      return buffers.map((b) => b.bytes);
    };
  }

  /** Runs a kernel once. */
  run(job: Job, buffers: readonly Uint8Array[], threads = 1): Uint8Array[] {
    return this.compiled([job], ([run]) => run!(buffers, threads).map((b) => b.slice()));
  }

  /** Throws where a lowered kernel does not leave what the interpreter leaves, any NaN for any in buffers of floats. */
  check(job: Job, buffers: readonly Uint8Array[], { threads = 1, isFloat = true } = {}): void {
    const wanted = lawful(job.kernel, buffers, threads); // first: it says where a kernel is wrong itself
    const wrong = difference(this.run(job, buffers, threads), wanted, () => isFloat);
    if (wrong !== undefined) throw new Error(`kernel ${job.kernel.name}: ${wrong}`);
  }

  dispose(): void {
    for (const block of [...this.#buffers, ...this.#scratch, this.#table]) block.dispose();
  }
}

/** What the kernel interpreter leaves in the buffers. */
export function lawful(kernel: Kernel, buffers: readonly Uint8Array[], threads = 1): Uint8Array[] {
  const own = buffers.map((b) => b.slice());
  runKernel(kernel, own, threads);
  return own;
}
