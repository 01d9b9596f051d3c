/**
 * Assembles a plan into one module: its distinct kernels, and `run(args, thread, threads)`, which all
 * threads execute: a straight list of kernel calls with barriers. `args` is the address of a table.
 */
import { BitloomError } from '../../ir/error.ts';
import type { Plan } from '../target.ts';
import { addBarrier, addWait } from './control.ts';
import { type FunctionBuilder, ModuleBuilder } from './encoder.ts';
import type { CodeFeatures } from './expression-code.ts';
import { lowerKernel } from './lower.ts';

/** The table behind `args`, in words of 4 bytes: the arguments' addresses, then these. */
export interface PlanTable {
  readonly arena: number;
  readonly threadScratch: number;
  readonly sharedScratch: number;
  readonly words: number;
}

export const tableOf = ({ argumentCount }: Plan): PlanTable => ({
  arena: argumentCount,
  threadScratch: argumentCount + 1,
  sharedScratch: argumentCount + 2,
  words: argumentCount + 3,
});

/** Scratch that the plan's kernels need: bytes for each thread and bytes for all, whole cache lines. */
export function scratchOf({ steps }: Plan): { threadBytes: number; sharedBytes: number } {
  const most = (sizes: number[]) => Math.ceil(Math.max(0, ...sizes) / 64) * 64;
  return {
    threadBytes: most(steps.map(({ kernel }) => kernel.threadScratchBytes)),
    sharedBytes: most(steps.map(({ kernel }) => kernel.sharedScratchBytes)),
  };
}

/**
 * Bytes of the module. It imports `env.memory` and exports `run`, and `wait` where memory is shared.
 * Throws INVALID_GRAPH for a step whose slots do not fit its kernel.
 */
export function planModule(plan: Plan, features: CodeFeatures, isShared: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const limits = { initialPages: 1, maximumPages: 65_536, shared: isShared };
  module.importMemory('env', 'memory', isShared ? limits : { initialPages: 1 });
  const barrier = isShared ? addSharedBarrier(module) : module.function('barrier', ['i32']);
  const kernels = new Map<string, FunctionBuilder>();
  for (const { kernel } of plan.steps) {
    if (!kernels.has(kernel.name)) kernels.set(kernel.name, lowerKernel(module, kernel, features, barrier.index));
  }
  const run = module.function('run', ['i32', 'i32', 'i32']);
  emitSteps(run, plan, kernels, barrier);
  module.exportFunction('run', run);
  return module.bytes();
}

function addSharedBarrier(module: ModuleBuilder): FunctionBuilder {
  const wait = addWait(module);
  module.exportFunction('wait', wait);
  return addBarrier(module, wait);
}

function emitSteps(
  run: FunctionBuilder,
  plan: Plan,
  kernels: ReadonlyMap<string, FunctionBuilder>,
  barrier: FunctionBuilder,
): void {
  const [args, thread, threads] = [0, 1, 2];
  const table = tableOf(plan);
  const { threadBytes } = scratchOf(plan);
  const meet = () => run.get(threads).call(barrier.index);
  for (const { kernel, slots, barrier: isBarrier } of plan.steps) {
    if (slots.length !== kernel.buffers.length) {
      const message = `plan ${plan.name} gives kernel ${kernel.name} ${slots.length} buffers; it takes ${kernel.buffers.length}`;
      throw new BitloomError('INVALID_GRAPH', message, { plan: plan.name, kernel: kernel.name });
    }
    for (const index of slots) {
      const slot = plan.slots[index]!;
      run.get(args).op('i32.load', 4 * (slot.kind === 'arena' ? table.arena : slot.index));
      if (slot.byteOffset !== 0) run.i32(slot.byteOffset).op('i32.add');
    }
    run.get(thread).get(threads);
    run
      .get(args)
      .op('i32.load', 4 * table.threadScratch)
      .get(thread)
      .i32(threadBytes)
      .op('i32.mul')
      .op('i32.add');
    run.get(args).op('i32.load', 4 * table.sharedScratch);
    run.call(kernels.get(kernel.name)!.index);
    if (isBarrier) meet();
  }
  // The caller reads results as soon as its own part is done.
  if (!plan.steps.at(-1)?.barrier) meet();
}
