/** From a graph to a plan: passes, fusion, schedule, storage, kernels, barriers. Nothing here needs a device. */
import { BitloomError } from '../ir/error.ts';
import type { Graph, Value } from '../ir/graph.ts';
import { byteLength } from '../ir/shape.ts';
import { verifyGraph } from '../ir/verifier.ts';
import type { Kernel } from '../kernel/language.ts';
import type { Machine } from '../kernel/machine.ts';
import type { Plan, PlanStep } from '../target/target.ts';
import { ONE_THREAD, placeBarriers, type Touch } from './barriers.ts';
import { fuse, type TemplateChoice } from './fuse/fuse.ts';
import type { Fusion, Group } from './fuse/group.ts';
import { copyRecipe, KernelStore } from './kernel-store.ts';
import { absorbEpilogues } from './lower/epilogue.ts';
import { lowerGroup } from './lower/lower.ts';
import type { CompileOptions, ScheduleChoice } from './options.ts';
import { DEFAULT_PASSES } from './pass/index.ts';
import { type PassRecord, runPasses } from './pass/pass.ts';
import type { StepRecord } from './report.ts';
import { type Schedule, scheduleCalls } from './schedule.ts';
import { poolConstants, SlotTable } from './slots.ts';
import { assignStorage, type Call, type Donation, type StorageAssignment } from './storage.ts';
import { templateChooser } from './template-choice.ts';

/** Everything known about a program before the target sees it. */
export interface CompiledGraph {
  readonly before: Graph;
  readonly after: Graph;
  readonly passes: readonly PassRecord[];
  readonly fusion: Fusion;
  readonly storage: StorageAssignment;
  readonly steps: readonly StepRecord[];
  readonly plan: Plan;
  /** Bytes of the pool of constants; its argument follows inputs and outputs. */
  readonly constants: Uint8Array;
  readonly donors: readonly (number | undefined)[];
}

/** What a call touches, for the placement of barriers. */
function touchesOf(call: Call, kernel: Kernel, storage: StorageAssignment, table: SlotTable): Touch[] {
  const { recipe } = call;
  const touch = (value: Value, isWrite: boolean): Touch => {
    const isLocal = isWrite || recipe.localReads.has(value) || recipe.partition === ONE_THREAD;
    return table.touch(storage.placeOf(value), byteLength(value.type), isWrite, isLocal ? recipe.partition : '');
  };
  const scratch: Touch = { memory: -2, begin: 0, end: 1, isWrite: true, partition: '' };
  return [
    ...recipe.reads.map((v) => touch(v, false)),
    touch(recipe.root, true),
    ...(kernel.sharedScratchBytes > 0 ? [scratch] : []),
  ];
}

function recordOf(call: Call, group: Group, kernel: Kernel, barrier: boolean): StepRecord {
  const template = group.kind === 'template' ? { template: group.template.name } : {};
  const epilogue = group.kind === 'template' && group.epilogue ? { epilogue: group.epilogue.epilogue.key } : {};
  return {
    kernel: kernel.name,
    kind: group.kind,
    root: call.recipe.root,
    isInPlace: call.overwrites !== undefined,
    barrier,
    ...template,
    ...epilogue,
  };
}

function checkDonations(graph: Graph, donate: readonly Donation[]): void {
  const [inputs, outputs] = [new Set<number>(), new Set<number>()];
  for (const { input, output } of donate) {
    const [from, to] = [graph.inputs[input], graph.outputs[output]];
    const fits =
      from && to && byteLength(from.type) === byteLength(to.type) && !inputs.has(input) && !outputs.has(output);
    if (!fits) {
      throw new BitloomError(
        'INVALID_ARGUMENT',
        `input ${input} cannot be donated to output ${output}: each once, with equal bytes`,
        { input, output },
      );
    }
    inputs.add(input);
    outputs.add(output);
  }
}

/** Fuses, lowers and orders a graph that the passes left. */
function lowerGraph(
  graph: Graph,
  chooseTemplate: TemplateChoice,
  machine: Machine,
  options: CompileOptions,
): { fusion: Fusion; schedule: Schedule } {
  const fusion = absorbEpilogues(fuse(graph, chooseTemplate));
  const chooseSchedule: ScheduleChoice =
    options.chooseSchedule ?? ((_template, _request, candidates) => candidates[0]!);
  const context = { fusion, machine, chooseSchedule, schedules: new Map() };
  const lowered = fusion.groups.map((group) => ({ group, recipe: lowerGroup(group, context) }));
  return { fusion, schedule: scheduleCalls(lowered, fusion.aliases) };
}

interface Step extends Omit<PlanStep, 'barrier'> {
  readonly touches: readonly Touch[];
}

/** The calls of a program and the copies that end it, as kernels over slots. */
function stepsOf(storage: StorageAssignment, table: SlotTable, store: KernelStore, machine: Machine): Step[] {
  const calls = storage.calls.map((call): Step => {
    const kernel = store.get(call.recipe);
    const slots = [...call.recipe.reads, call.recipe.root].map((v) => table.number(storage.placeOf(v)));
    return { kernel, slots, touches: touchesOf(call, kernel, storage, table) };
  });
  const copies = storage.copies.map(({ from, to, bytes }): Step => {
    const target = { storage: to, byteOffset: 0 };
    const touches = [table.touch(from, bytes, false, ''), table.touch(target, bytes, true, '')];
    return {
      kernel: store.get(copyRecipe(bytes, machine)),
      slots: [table.number(from), table.number(target)],
      touches,
    };
  });
  return [...calls, ...copies];
}

/** Compiles a graph for a machine, up to the plan. Throws INVALID_GRAPH, INVALID_ARGUMENT, UNSUPPORTED_OP. */
export function planGraph(graph: Graph, machine: Machine, options: CompileOptions = {}): CompiledGraph {
  const { name = 'program', templates = [], donate = [], check = false, passes = DEFAULT_PASSES } = options;
  checkDonations(graph, donate);
  if (check) verifyGraph(graph);
  const chooseTemplate = templateChooser(templates, machine);
  const isSupported = (value: Value): boolean => chooseTemplate(value) !== undefined;
  const { graph: after, trace } = runPasses(graph, passes, { isSupported }, check);
  const { fusion, schedule } = lowerGraph(after, chooseTemplate, machine, options);
  const storage = assignStorage(after, schedule, fusion.aliases, donate);

  const donors = graph.outputs.map((_, output) => donate.find((d) => d.output === output)?.input);
  let argumentCount = graph.inputs.length;
  const outputArguments = donors.map((donor) => donor ?? argumentCount++);
  const reads = storage.calls.flatMap(({ recipe }) => recipe.reads.map((v) => storage.placeOf(v).storage));
  const constants = poolConstants([...reads, ...storage.copies.map((c) => c.from.storage)]);
  const table = new SlotTable(outputArguments, constants.offsets, argumentCount);
  if (constants.bytes.byteLength > 0) argumentCount++;

  const touched = stepsOf(storage, table, new KernelStore(options.kernels ?? new Map()), machine);
  const barriers = placeBarriers(touched.map((s) => s.touches));
  const steps = touched.map(({ kernel, slots }, i) => ({ kernel, slots, barrier: barriers[i]! }));
  const records = steps.map(({ kernel, barrier }, i): StepRecord => {
    const call = storage.calls[i];
    return call
      ? recordOf(call, schedule.calls[i]!.group, kernel, barrier)
      : { kernel: kernel.name, kind: 'copy', isInPlace: false, barrier };
  });
  const plan = { name, steps, slots: table.slots, argumentCount, arenaBytes: storage.memory.arenaBytes };
  return {
    before: graph,
    after,
    passes: trace,
    fusion,
    storage,
    steps: records,
    plan,
    constants: constants.bytes,
    donors,
  };
}
