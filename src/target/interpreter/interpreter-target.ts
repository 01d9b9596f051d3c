/** A target that runs plans with the kernel interpreter: slow, bounds-checked, the oracle of the others. */
import { BitloomError } from '../../ir/error.ts';
import { runKernel } from '../../kernel/interpret.ts';
import { type Machine, SIMD128 } from '../../kernel/machine.ts';
import { type CompiledPlan, checkWindow, type DeviceBuffer, type Plan, type Target } from '../target.ts';

class HostBuffer implements DeviceBuffer {
  readonly memory: Uint8Array;
  #release: (() => void) | undefined;

  constructor(memory: Uint8Array, release: () => void) {
    this.memory = memory;
    this.#release = release;
  }

  get byteLength(): number {
    return this.memory.byteLength;
  }

  get isDisposed(): boolean {
    return this.#release === undefined;
  }

  slice(byteOffset: number, byteLength: number): DeviceBuffer {
    checkWindow(this, byteOffset, byteLength);
    return new HostBuffer(this.memory.subarray(byteOffset, byteOffset + byteLength), () => {});
  }

  dispose(): void {
    this.#release?.();
    this.#release = undefined;
  }
}

export interface InterpreterOptions {
  /** Virtual threads, which take turns. Default 1. */
  readonly threads?: number;
  /** Machine numbers that kernels are built for. Default SIMD128. */
  readonly machine?: Machine;
}

/** Runs plans in plain TypeScript. */
export class InterpreterTarget implements Target {
  readonly name = 'interpreter';
  readonly machine: Machine;
  #liveBytes = 0;

  constructor({ threads = 1, machine = SIMD128 }: InterpreterOptions = {}) {
    this.machine = { ...machine, threads };
  }

  get threads(): number {
    return this.machine.threads;
  }

  get liveBytes(): number {
    return this.#liveBytes;
  }

  allocate(byteLength: number): DeviceBuffer {
    this.#liveBytes += byteLength;
    const memory = new Uint8Array(byteLength).fill(0xff); // as NaN, so that reads before writes show
    return new HostBuffer(memory, () => {
      this.#liveBytes -= byteLength;
    });
  }

  bytes(buffer: DeviceBuffer): Uint8Array {
    if (!(buffer instanceof HostBuffer))
      throw new BitloomError('INVALID_ARGUMENT', 'the buffer belongs to another device');
    if (buffer.isDisposed) throw new BitloomError('DISPOSED', 'the buffer was disposed; allocate another');
    return buffer.memory;
  }

  async compile(plan: Plan): Promise<CompiledPlan> {
    const arena = this.allocate(plan.arenaBytes);
    return { plan, codeBytes: 0, dispose: () => arena.dispose(), arena } as InterpretedPlan;
  }

  async run(compiled: CompiledPlan, args: readonly DeviceBuffer[]): Promise<void> {
    const { plan } = compiled;
    const arena = this.bytes((compiled as InterpretedPlan).arena);
    if (args.length !== plan.argumentCount) {
      throw new BitloomError(
        'INVALID_ARGUMENT',
        `plan ${plan.name} takes ${plan.argumentCount} buffers, not ${args.length}`,
      );
    }
    const views = plan.slots.map((slot) =>
      (slot.kind === 'arena' ? arena : this.bytes(args[slot.index]!)).subarray(slot.byteOffset),
    );
    for (const { kernel, slots } of plan.steps)
      runKernel(
        kernel,
        slots.map((slot) => views[slot]!),
        this.machine.threads,
      );
  }

  dispose(): void {
    this.#liveBytes = 0;
  }
}

interface InterpretedPlan extends CompiledPlan {
  readonly arena: DeviceBuffer;
}
