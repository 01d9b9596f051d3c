/**
 * The x86-64 target: machine code made here, called through a foreign function interface, run by threads of the operating
 * system. Kernels are lowered once a target, whatever plans they are in.
 */
import { BitloomError } from '../../ir/error.ts';
import type { Kernel } from '../../kernel/language.ts';
import { AMX, AVX2, AVX512, deterministic, type Machine } from '../../kernel/machine.ts';
import { type NativeCode, type NativeHost, platform } from '../../platform/index.ts';
import type { Crew } from '../runnable-plan.ts';
import type { CompiledPlan, DeviceBuffer, MappedFile, Pause, Plan, Target } from '../target.ts';
import { Assembler } from './assembler/index.ts';
import { ControlCode } from './control.ts';
import { type Cpu, detectCpu } from './cpu.ts';
import { NativeCrew } from './crew.ts';
import { type CodeFeatures, LEVELS, type Level } from './features.ts';
import { lowerKernel } from './lower.ts';
import { NativeBuffer, NativePool } from './native-pool.ts';
import { PlanCode } from './plan-code.ts';
import { permittedLevel } from './tile-permission.ts';
import { X64Plan, X64PlanMemory } from './x64-plan.ts';

export interface X64Options {
  /** Threads that run a plan together. Default: the physical cores. */
  readonly threads?: number;
  /** How much of the processor is used. Default: all that bitloom knows of. */
  readonly level?: Level;
  /** Runs kernels with tiles on processors without AMX, slowly, from level avx512 on. For tests. */
  readonly emulatesTiles?: boolean;
  /** Hears of fallbacks by name: `amx-refused`. */
  readonly onWarning?: (message: string) => void;
  /** Results are the same to the bit whatever number of threads runs. Default false. */
  readonly isDeterministic?: boolean;
  /** Puts every buffer between pages that nobody may touch: an access beyond ends the process. For tests. */
  readonly isGuarded?: boolean;
  /** Hears of the machine code of kernels and plans, disassembled. */
  readonly onListing?: (text: string) => void;
  /** What generated code runs on. Default: the platform's. */
  readonly host?: NativeHost;
}

export class X64Target implements Target {
  readonly name = 'x64';
  readonly machine: Machine;
  readonly threads: number;
  readonly level: Level;
  readonly cpu: Cpu;
  readonly #host: NativeHost;
  readonly #features: CodeFeatures;
  readonly #pool: NativePool;
  readonly #crew: NativeCrew | undefined;
  readonly #onListing: ((text: string) => void) | undefined;
  /** Where kernels lie, by name. */
  readonly #kernels = new Map<string, number>();
  readonly #codes: NativeCode[] = [];
  #isDisposed = false;

  private constructor(host: NativeHost, cpu: Cpu, level: Level, threads: number, options: X64Options) {
    this.#host = host;
    this.cpu = cpu;
    this.level = level;
    this.#features = featuresOf(cpu, level, options.emulatesTiles ?? false);
    const machine = machineOf(cpu, this.#features, threads);
    this.machine = options.isDeterministic ? deterministic(machine) : machine;
    this.threads = threads;
    this.#pool = new NativePool(host, options.isGuarded ?? false);
    this.#onListing = options.onListing;
    this.#crew = threads > 1 ? new NativeCrew(host, threads) : undefined;
  }

  /**
   * Throws NO_DEVICE where no machine code can run, saying why: another processor, no foreign function interface, a system
   * that refuses executable pages, a processor without AVX2 or without the level asked for. A system that refuses tiles
   * leaves level avx512 of amx, and `onWarning` hears of it.
   */
  static async create(options: X64Options = {}): Promise<X64Target> {
    const host = options.host ?? (await hostOrWhy());
    const cpu = detectCpu(host);
    const best = bestLevel(cpu);
    if (best === undefined) throw noDevice(`${cpu.name} has no AVX2 with FMA, F16C and BMI2`, false);
    const level = options.level ?? best;
    if (LEVELS.indexOf(level) > LEVELS.indexOf(best))
      throw noDevice(`${cpu.name} goes up to ${best}, not to ${level}`, false);
    // A level that was asked for by name is had or not had; the best there is may be less than the processor's.
    if (options.level === 'amx' && !host.permitTiles())
      throw noDevice('the system does not let this process use AMX tiles', true);
    const permitted = options.level ?? permittedLevel(best, host, options.onWarning ?? (() => {}));
    return new X64Target(host, cpu, permitted, options.threads ?? platform.physicalCores(), options);
  }

  /** Hardware features in use, by name. */
  get features(): readonly string[] {
    const { avx512, vnni, expand, bf16, tiles } = this.#features;
    return [
      avx512 ? 'avx512' : 'avx2',
      ...(vnni ? [avx512 ? 'avx512-vnni' : 'avx-vnni'] : []),
      ...(expand ? ['avx512-vbmi2'] : []),
      ...(bf16 ? ['avx512-bf16'] : []),
      ...(tiles === 'none' ? [] : [tiles === 'amx' ? 'amx' : 'amx-emulated']),
      ...(this.#crew ? ['threads'] : []),
    ];
  }

  get liveBytes(): number {
    return this.#pool.liveBytes;
  }

  allocate(byteLength: number): DeviceBuffer {
    this.#check();
    return this.#pool.allocate(byteLength);
  }

  allocateZeroed(byteLength: number): DeviceBuffer {
    this.#check();
    return this.#pool.allocate(byteLength, true);
  }

  mapFile(path: string): MappedFile {
    this.#check();
    return this.#pool.mapFile(path);
  }

  bytes(buffer: DeviceBuffer): Uint8Array {
    return this.#own(buffer).bytes();
  }

  async compile(plan: Plan): Promise<CompiledPlan> {
    this.#check();
    this.#lower(plan.steps.map(({ kernel }) => kernel));
    const crew = this.#crew;
    const out = this.#assembler();
    new PlanCode(out, this.#host, plan, this.#kernels, crew?.control).write();
    const memory = new X64PlanMemory(this.#pool, plan, this.threads);
    try {
      const code = this.#map(out, `plan ${plan.name}`);
      memory.setRun(code.address);
      const run = this.#host.function(code.address, 3);
      const call = crew ? crew.lead : (table: number): number => run(table, 0, 1);
      return new X64Plan(plan, code, call, memory, () => crew?.forget(memory.address));
    } catch (error) {
      memory.dispose();
      throw error;
    }
  }

  #assembler(): Assembler {
    return new Assembler({ listing: this.#onListing !== undefined });
  }

  #map(out: Assembler, name: string): NativeCode {
    const code = this.#host.mapCode(out.finish());
    this.#onListing?.(`${name}\n${out.listing()}`);
    return code;
  }

  /** Makes machine code of the kernels that have none yet. */
  #lower(kernels: readonly Kernel[]): void {
    const fresh = [...new Map(kernels.map((kernel) => [kernel.name, kernel])).values()].filter(
      ({ name }) => !this.#kernels.has(name),
    );
    if (fresh.length === 0) return;
    const out = this.#assembler();
    const barrier = out.label('barrier');
    const starts = fresh.map((kernel) => {
      out.align(64);
      const start = out.label(kernel.name);
      out.bind(start);
      lowerKernel(out, kernel, this.#features, barrier);
      return start;
    });
    if (this.#crew) new ControlCode(out, this.#host, this.#crew.control).writeBarrier(barrier);
    else {
      out.bind(barrier); // the only thread has no one to wait for
      out.emit('ret');
    }
    const code = this.#map(out, 'kernels');
    this.#codes.push(code);
    for (const [i, { name }] of fresh.entries()) this.#kernels.set(name, code.address + out.offsetOf(starts[i]!));
  }

  async run(compiled: CompiledPlan, args: readonly DeviceBuffer[], pause?: Pause): Promise<void> {
    this.#check();
    if (!(compiled instanceof X64Plan)) throw notOurs('plan');
    const own = args.map((buffer) => this.#own(buffer));
    await compiled.run(own, this.#crew ?? ALONE, pause);
  }

  #own(buffer: DeviceBuffer): NativeBuffer {
    if (!(buffer instanceof NativeBuffer)) throw notOurs('buffer');
    if (buffer.isDisposed)
      throw new BitloomError('DISPOSED', `a buffer of ${buffer.byteLength} bytes was used after dispose()`);
    return buffer;
  }

  #check(): void {
    if (this.#isDisposed) throw new BitloomError('DISPOSED', 'the x64 device was used after dispose()');
  }

  /** Ends the threads and gives code back. Memory stays until the buffers in it are disposed. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#crew?.dispose();
    for (const code of this.#codes) code.dispose();
    this.#pool.close();
  }
}

/** The calling thread as the only one. */
const ALONE: Crew<X64Plan> = {
  runPiece(plan) {
    plan.call(plan.memory.address);
  },
  leave() {},
};

async function hostOrWhy(): Promise<NativeHost> {
  const support = await platform.native();
  if ('why' in support) throw noDevice(support.why, support.isFixable);
  return support.host;
}

/** `isFixable` where someone can do something about it: elsewhere the processor or the system is another. */
const noDevice = (why: string, isFixable: boolean): BitloomError =>
  new BitloomError('NO_DEVICE', `no x64 device: ${why}. Use device wasm.`, { why, isFixable });

const notOurs = (what: string): BitloomError =>
  new BitloomError('INVALID_ARGUMENT', `the ${what} belongs to another device than x64`);

function bestLevel({ avx2, avx512, avx512Vnni, amx }: Cpu): Level | undefined {
  if (!avx2) return undefined;
  if (!avx512 || !avx512Vnni) return 'avx2';
  return amx ? 'amx' : 'avx512';
}

function featuresOf(cpu: Cpu, level: Level, emulatesTiles: boolean): CodeFeatures {
  const none = { expand: false, bf16: false, gfni: false, popcount: false, tiles: 'none' } as const;
  if (level === 'avx2') return { ...none, avx512: false, vnni: cpu.avxVnni };
  const tiles = emulatesTiles ? 'emulated' : level === 'amx' ? 'amx' : 'none';
  const { avx512Vbmi2, avx512Bf16, gfni, avx512Popcount } = cpu;
  const has = { expand: avx512Vbmi2, bf16: avx512Bf16, gfni, popcount: avx512Popcount };
  return { ...has, avx512: true, vnni: true, tiles };
}

function machineOf(cpu: Cpu, { avx512, vnni, expand, bf16, tiles }: CodeFeatures, threads: number): Machine {
  const { l1Bytes, l2Bytes } = cpu;
  const machine = avx512 ? (tiles === 'none' ? AVX512 : AMX) : { ...AVX2, dot8: vnni ? ('u8' as const) : AVX2.dot8 };
  return { ...machine, l1Bytes, l2Bytes, threads, hasExpand: expand, hasBf16Dot: bf16 };
}
