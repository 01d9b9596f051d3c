/** Compiles a graph for a target: passes, fusion, storage, kernels, barriers, plan, program. */
import { BitloomError } from '../ir/error.ts';
import type { Graph, Value } from '../ir/graph.ts';
import { byteLength, elementCount } from '../ir/shape.ts';
import { verifyGraph } from '../ir/verifier.ts';
import { type Kernel, KernelBuilder } from '../kernel/language.ts';
import type { Machine } from '../kernel/machine.ts';
import type { KernelRequest, KernelTemplate } from '../kernel/template.ts';
import type { BufferSlot, Plan, PlanStep, Target } from '../target/target.ts';
import { ONE_THREAD, placeBarriers, type Touch } from './barriers.ts';
import { fuse, type TemplateChoice } from './fuse/fuse.ts';
import type { Fusion, Group } from './fuse/group.ts';
import { absorbEpilogues } from './lower/epilogue.ts';
import type { KernelRecipe } from './lower/kernel-recipe.ts';
import { lowerGroup } from './lower/lower.ts';
import { scheduleCalls } from './schedule.ts';
import type { CompileOptions, ScheduleChoice } from './options.ts';
import { DEFAULT_PASSES } from './pass/index.ts';
import { type PassRecord, runPasses } from './pass/pass.ts';
import { Program } from './program.ts';
import type { StepRecord } from './report.ts';
import { assignStorage, type Call, type Donation, type Place, type Storage, type StorageAssignment } from './storage.ts';
import { attributesKey, shortHash, typeKey } from './structural-key.ts';

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

/** Picks the first template that supports a value on a machine. Answers are remembered by op, types and attributes. */
export function templateChooser(templates: readonly KernelTemplate[], machine: Machine): TemplateChoice {
  const byOp = groupByOp(templates);
  const byValue = new WeakMap<Value, ReturnType<TemplateChoice>>();
  const byKey = new Map<string, ReturnType<TemplateChoice>>();
  return (value) => {
    const candidates = byOp.get(value.op.name);
    if (!candidates || elementCount(value.type.shape) === 0) return undefined;
    if (byValue.has(value)) return byValue.get(value);
    const key = requestKey(value);
    if (!byKey.has(key)) {
      const request: KernelRequest = { inputs: value.inputs.map((v) => v.type), output: value.type, attrs: value.attrs, machine };
      const template = candidates.find((t) => t.supports(request));
      byKey.set(key, template && { template, request });
    }
    const choice = byKey.get(key);
    byValue.set(value, choice);
    return choice;
  };
}

const requestKey = ({ op, inputs, attrs }: Value): string =>
  `${op.name} ${inputs.map((v) => typeKey(v.type)).join(' ')} ${attributesKey(attrs)}`;

function groupByOp(templates: readonly KernelTemplate[]): Map<string, KernelTemplate[]> {
  const byOp = new Map<string, KernelTemplate[]>();
  for (const template of templates) {
    const list = byOp.get(template.op);
    if (list) list.push(template);
    else byOp.set(template.op, [template]);
  }
  return byOp;
}

/** Builds kernels once per key. */
class KernelStore {
  readonly #kernels: Map<string, Kernel>;
  readonly used = new Set<Kernel>();

  constructor(kernels: Map<string, Kernel>) {
    this.#kernels = kernels;
  }

  get({ key, label, build }: Pick<KernelRecipe, 'key' | 'label' | 'build'>): Kernel {
    let kernel = this.#kernels.get(key);
    if (!kernel) {
      kernel = build(`${label}_${shortHash(key)}`);
      this.#kernels.set(key, kernel);
    }
    this.used.add(kernel);
    return kernel;
  }
}

const ALIGNMENT = 64;
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** A kernel that copies bytes, by 4 where the count allows. */
function copyRecipe(bytes: number, machine: Machine): Pick<KernelRecipe, 'key' | 'label' | 'build'> {
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

/** Turns storages into the plan's arguments and slots. */
class SlotTable {
  readonly slots: BufferSlot[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #outputArguments: readonly number[];
  readonly #constantOffsets: ReadonlyMap<Value, number>;
  readonly #constantArgument: number;

  constructor(outputArguments: readonly number[], constantOffsets: ReadonlyMap<Value, number>, constantArgument: number) {
    this.#outputArguments = outputArguments;
    this.#constantOffsets = constantOffsets;
    this.#constantArgument = constantArgument;
  }

  /** Argument number (-1: arena) and byte offset of a place. */
  locate({ storage, byteOffset }: Place): { memory: number; byteOffset: number } {
    const { home } = storage;
    switch (home.kind) {
      case 'input': return { memory: home.index, byteOffset };
      case 'output': return { memory: this.#outputArguments[home.index]!, byteOffset };
      case 'constant': return { memory: this.#constantArgument, byteOffset: this.#constantOffsets.get(home.value)! + byteOffset };
      case 'arena': return { memory: -1, byteOffset: storage.byteOffset + byteOffset };
    }
  }

  number(place: Place): number {
    const { memory, byteOffset } = this.locate(place);
    const key = `${memory}:${byteOffset}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.slots.length;
      this.#numbers.set(key, number);
      this.slots.push(memory < 0 ? { kind: 'arena', byteOffset } : { kind: 'argument', index: memory, byteOffset });
    }
    return number;
  }

  touch(place: Place, bytes: number, isWrite: boolean, partition: string): Touch {
    const { memory, byteOffset } = this.locate(place);
    return { memory, begin: byteOffset, end: byteOffset + bytes, isWrite, partition };
  }
}

/** What a call touches, for the placement of barriers. */
function touchesOf(call: Call, kernel: Kernel, storage: StorageAssignment, table: SlotTable): Touch[] {
  const { recipe } = call;
  const touch = (value: Value, isWrite: boolean): Touch => {
    const isLocal = isWrite || recipe.localReads.has(value) || recipe.partition === ONE_THREAD;
    return table.touch(storage.placeOf(value), byteLength(value.type), isWrite, isLocal ? recipe.partition : '');
  };
  const scratch: Touch = { memory: -2, begin: 0, end: 1, isWrite: true, partition: '' };
  return [...recipe.reads.map((v) => touch(v, false)), touch(recipe.root, true), ...(kernel.sharedScratchBytes > 0 ? [scratch] : [])];
}

function recordOf(call: Call, group: Group, kernel: Kernel, barrier: boolean): StepRecord {
  const template = group.kind === 'template' ? { template: group.template.name } : {};
  const epilogue = group.kind === 'template' && group.epilogue ? { epilogue: group.epilogue.epilogue.key } : {};
  return {
    kernel: kernel.name, kind: group.kind, root: call.recipe.root, isInPlace: call.overwrites !== undefined, barrier, ...template, ...epilogue,
  };
}

/** Lays out the constants that kernels load, in one pool. */
function poolConstants(storages: Iterable<Storage>): { bytes: Uint8Array; offsets: Map<Value, number> } {
  const offsets = new Map<Value, number>();
  let total = 0;
  for (const { home } of storages) {
    if (home.kind !== 'constant' || offsets.has(home.value)) continue;
    offsets.set(home.value, total);
    total += aligned((home.value.attrs['data'] as Uint8Array).byteLength);
  }
  const bytes = new Uint8Array(total);
  for (const [value, offset] of offsets) bytes.set(value.attrs['data'] as Uint8Array, offset);
  return { bytes, offsets };
}

function checkDonations(graph: Graph, donate: readonly Donation[]): void {
  const [inputs, outputs] = [new Set<number>(), new Set<number>()];
  for (const { input, output } of donate) {
    const [from, to] = [graph.inputs[input], graph.outputs[output]];
    const fits = from && to && byteLength(from.type) === byteLength(to.type) && !inputs.has(input) && !outputs.has(output);
    if (!fits) {
      throw new BitloomError('INVALID_ARGUMENT', `input ${input} cannot be donated to output ${output}: each once, with equal bytes`, { input, output });
    }
    inputs.add(input);
    outputs.add(output);
  }
}

/** Compiles a graph for a machine, up to the plan. Throws INVALID_GRAPH, INVALID_ARGUMENT, UNSUPPORTED_OP. */
export function planGraph(graph: Graph, machine: Machine, options: CompileOptions = {}): CompiledGraph {
  const { name = 'program', templates = [], donate = [], check = false, passes = DEFAULT_PASSES } = options;
  checkDonations(graph, donate);
  if (check) verifyGraph(graph);
  const chooseTemplate = templateChooser(templates, machine);
  const isSupported = (value: Value): boolean => chooseTemplate(value) !== undefined;
  const { graph: after, trace } = runPasses(graph, passes, { isSupported }, check);
  const fusion = absorbEpilogues(fuse(after, chooseTemplate));
  const chooseSchedule: ScheduleChoice = options.chooseSchedule ?? ((_template, _request, candidates) => candidates[0]!);
  const context = { fusion, machine, chooseSchedule, schedules: new Map() };
  const lowered = scheduleCalls(fusion.groups.map((group) => ({ group, recipe: lowerGroup(group, context) })), fusion.aliases);
  const storage = assignStorage(after, lowered.map((l) => l.recipe), fusion.aliases, donate);

  const donors = graph.outputs.map((_, output) => donate.find((d) => d.output === output)?.input);
  let argument = graph.inputs.length;
  const outputArguments = donors.map((donor) => donor ?? argument++);
  const reads = storage.calls.flatMap(({ recipe }) => recipe.reads.map((v) => storage.placeOf(v).storage));
  const constants = poolConstants([...reads, ...storage.copies.map((c) => c.from.storage)]);
  const table = new SlotTable(outputArguments, constants.offsets, argument);
  const store = new KernelStore(options.kernels ?? new Map());

  const steps: Omit<PlanStep, 'barrier'>[] = [];
  const touches: Touch[][] = [];
  for (const call of storage.calls) {
    const kernel = store.get(call.recipe);
    const places = [...call.recipe.reads, call.recipe.root].map((v) => storage.placeOf(v));
    steps.push({ kernel, slots: places.map((p) => table.number(p)) });
    touches.push(touchesOf(call, kernel, storage, table));
  }
  for (const { from, to, bytes } of storage.copies) {
    const target = { storage: to, byteOffset: 0 };
    steps.push({ kernel: store.get(copyRecipe(bytes, machine)), slots: [table.number(from), table.number(target)] });
    touches.push([table.touch(from, bytes, false, ''), table.touch(target, bytes, true, '')]);
  }
  const barriers = placeBarriers(touches);
  const planSteps = steps.map((step, i) => ({ ...step, barrier: barriers[i]! }));
  const plan: Plan = {
    name, steps: planSteps, slots: table.slots, arenaBytes: storage.memory.arenaBytes,
    argumentCount: argument + (constants.bytes.byteLength > 0 ? 1 : 0),
  };
  const records = planSteps.map(({ kernel, barrier }, i): StepRecord => {
    const call = storage.calls[i];
    return call ? recordOf(call, lowered[i]!.group, kernel, barrier) : { kernel: kernel.name, kind: 'copy', isInPlace: false, barrier };
  });
  return { before: graph, after, passes: trace, fusion, storage, steps: records, plan, constants: constants.bytes, donors };
}

/**
 * Compiles a graph to a program on a target.
 * Throws INVALID_GRAPH, INVALID_ARGUMENT, UNSUPPORTED_OP, OUT_OF_MEMORY.
 */
export async function compileGraph(graph: Graph, target: Target, options: CompileOptions = {}): Promise<Program> {
  const start = performance.now();
  const planned = planGraph(graph, target.machine, options);
  const middle = performance.now();
  const { plan, storage, fusion, constants, donors } = planned;
  const compiled = await target.compile(plan);
  const pool = constants.byteLength > 0 ? target.allocate(constants.byteLength) : undefined;
  if (pool) target.bytes(pool).set(constants);
  const report = {
    name: plan.name, passes: planned.passes, steps: planned.steps,
    kernelCount: new Set(plan.steps.map((s) => s.kernel)).size,
    arenaBytes: plan.arenaBytes, peakBytes: storage.memory.peakBytes, constantBytes: constants.byteLength,
    codeBytes: compiled.codeBytes, lowerMs: middle - start, targetMs: performance.now() - middle,
    graph: { before: graph, after: planned.after }, fusion, plan,
  };
  const typesOf = (values: readonly Value[]) => values.map((v) => v.type);
  const signature = { inputs: typesOf(graph.inputs), outputs: typesOf(graph.outputs), donors };
  return new Program(signature, target, compiled, pool, report);
}

