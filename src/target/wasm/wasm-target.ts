/**
 * The WebAssembly target: one linear memory, one module a plan, threads that walk the plan together.
 * A plan that runs allocates nothing and enters each thread once.
 */
import { BitloomError } from '../../ir/error.ts';
import { deterministic, type Machine } from '../../kernel/machine.ts';
import { platform } from '../../platform/index.ts';
import { needsAllThreads } from '../plan-groups.ts';
import type { Crew } from '../runnable-plan.ts';
import type { CompiledPlan, DeviceBuffer, Pause, Plan, Target } from '../target.ts';
import { detectFeatures, type WasmFeatures } from './features.ts';
import { LinearMemory } from './memory.ts';
import { planModule } from './plan-module.ts';
import { PlanMemory, WasmBuffer, WasmPlan } from './wasm-plan.ts';
import { type PlanExports, Workers } from './workers.ts';

export interface WasmOptions {
  /** Threads that run a plan together. Default: the physical cores. */
  readonly threads?: number;
  /** Results are the same to the bit whatever number of threads runs. Default false. */
  readonly isDeterministic?: boolean;
  /** Hears of each fallback once, by name. */
  readonly onWarning?: (message: string) => void;
  /** Leaves out instructions that the engine has, for tests and comparisons. */
  readonly without?: readonly ('relaxedSimd' | 'dotU8' | 'threads')[];
}

/** Control words live below; the rest stays free so that address arithmetic may step below a buffer. */
const FIRST_BYTE = 1 << 20;

export class WasmTarget implements Target {
  readonly name = 'wasm';
  readonly machine: Machine;
  readonly threads: number;
  readonly features: WasmFeatures;
  /** Why fewer threads run than were wanted. */
  readonly threadsNote: string | undefined;
  readonly #memory: LinearMemory;
  readonly #workers: Workers | undefined;
  #nextPlan = 1;
  #isDisposed = false;

  private constructor(
    features: WasmFeatures,
    threads: number,
    threadsNote: string | undefined,
    isDeterministic: boolean,
  ) {
    this.features = features;
    this.threads = threads;
    this.threadsNote = threadsNote;
    const machine = machineOf(features, threads);
    this.machine = isDeterministic ? deterministic(machine) : machine;
    const isShared = threads > 1;
    this.#memory = new LinearMemory(isShared, FIRST_BYTE);
    this.#workers = isShared ? new Workers(platform.wasm, this.#memory.memory, threads) : undefined;
  }

  /** Finds what the engine can do and starts threads. Throws UNSUPPORTED_FEATURE where it has no SIMD. */
  static async create(options: WasmOptions = {}): Promise<WasmTarget> {
    const { onWarning = () => {}, without = [] } = options;
    const found = await detectFeatures(platform.wasm);
    const has = (feature: 'relaxedSimd' | 'dotU8') => found[feature] && !without.includes(feature);
    const relaxedSimd = has('relaxedSimd');
    const features = { ...found, relaxedSimd, dotU8: relaxedSimd && has('dotU8') };
    if (!found.relaxedSimd) {
      onWarning('plain-simd: this engine has no usable relaxed SIMD; products take two instructions instead of one');
    }
    const wanted = options.threads ?? platform.physicalCores();
    const whyOne = without.includes('threads') ? 'switched off by the caller' : found.whyNoThreads;
    const note = wanted > 1 && whyOne !== undefined ? `threads are not available: ${whyOne}` : undefined;
    if (note !== undefined) onWarning(`one-thread: ${note}`);
    return new WasmTarget(features, whyOne === undefined ? wanted : 1, note, options.isDeterministic ?? false);
  }

  get liveBytes(): number {
    return this.#memory.liveBytes;
  }

  allocate(byteLength: number): DeviceBuffer {
    this.#check();
    return WasmBuffer.allocate(this.#memory, byteLength);
  }

  bytes(buffer: DeviceBuffer): Uint8Array {
    const { address, byteLength } = this.#own(buffer);
    return this.#memory.view(address, byteLength);
  }

  async compile(plan: Plan): Promise<CompiledPlan> {
    this.#check();
    const bytes = planModule(plan, this.features, this.#memory.isShared);
    const module = await platform.wasm.compile(bytes);
    if (this.#workers) await this.#workers.ready(needsAllThreads(plan));
    this.#check();
    const { memory } = this.#memory;
    const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as PlanExports;
    const planMemory = new PlanMemory(this.#memory, plan, this.threads);
    const id = this.#nextPlan++;
    this.#workers?.add(id, module, planMemory.address);
    return new WasmPlan(plan, id, { bytes: bytes.length, exports }, planMemory, () => this.#workers?.drop(id));
  }

  async run(compiled: CompiledPlan, args: readonly DeviceBuffer[], pause?: Pause): Promise<void> {
    this.#check();
    if (!(compiled instanceof WasmPlan)) throw notOurs('plan');
    const own = args.map((buffer) => this.#own(buffer));
    if (this.#workers) await this.#workers.run(compiled, own, pause);
    else await compiled.run(own, ALONE, pause);
  }

  #own(buffer: DeviceBuffer): WasmBuffer {
    if (!(buffer instanceof WasmBuffer)) throw notOurs('buffer');
    if (buffer.isDisposed)
      throw new BitloomError('DISPOSED', `a buffer of ${buffer.byteLength} bytes was used after dispose()`);
    return buffer;
  }

  #check(): void {
    if (this.#isDisposed) throw new BitloomError('DISPOSED', 'the wasm device was used after dispose()');
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#workers?.dispose();
  }
}

/** The calling thread as the only one. */
const ALONE: Crew<WasmPlan> = {
  runPiece({ exports, memory }) {
    try {
      exports.run(memory.address, 0, 1);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new BitloomError('INVALID_GRAPH', `generated code failed: ${why}`, { why }, { cause });
    }
  },
  leave() {},
};

const notOurs = (what: string): BitloomError =>
  new BitloomError('INVALID_ARGUMENT', `the ${what} belongs to another device than wasm`);

/**
 * What kernels derive their block sizes from. Of the sixteen vector registers of x86-64 V8 keeps one for
 * itself: a 4x12 tile, which needs all, spills and reaches 60 % of the peak where 6x8 reaches 91 %.
 */
function machineOf({ relaxedSimd, dotU8, fusedMadd }: WasmFeatures, threads: number): Machine {
  return {
    name: `wasm-simd128${relaxedSimd ? '-relaxed' : ''}${dotU8 ? '-u8' : ''}`,
    lanes: 4,
    vectorRegisters: 16,
    l1Bytes: 32 << 10,
    l2Bytes: 1 << 20,
    threads,
    hasFma: relaxedSimd && fusedMadd,
    dot8: dotU8 ? 'u8' : relaxedSimd ? 'u7' : 'none',
    repeatsFromMemory: false,
    prefetches: false,
    hasExpand: false,
    hasBf16Dot: false,
    tiles: false,
  };
}
