/** Lowers groups to kernel recipes: formulas and loop nests for fused groups, generic kernels for the rest. */
import type { DType } from '../../ir/dtype.ts';
import { DTYPE_BYTES } from '../../ir/dtype.ts';
import { BitloomError } from '../../ir/error.ts';
import type { Value } from '../../ir/graph.ts';
import { elementCount, rowMajorStrides } from '../../ir/shape.ts';
import type { Kernel } from '../../kernel/language.ts';
import type { Machine } from '../../kernel/machine.ts';
import type { KernelRequest, Schedule } from '../../kernel/template.ts';
import type { Fusion, Group, LoopGroup, LoopPart, ReduceGroup, TemplateGroup } from '../fuse/group.ts';
import type { ScheduleChoice } from '../options.ts';
import { attributesKey, typeKey } from '../structural-key.ts';
import { type Address, FormulaBuilder, formulaKey, OperandList, subFormulas } from './formula.ts';
import type { KernelRecipe } from './kernel-recipe.ts';
import { buildArgReduce, buildCumulative } from './lane-kernel.ts';
import { type Nest, simplifyAxes } from './loop-axes.ts';
import { buildLoopKernel, partitionOf } from './loop-kernel.ts';
import { buildReduceKernel, identityOf } from './reduce-kernel.ts';
import { buildScatter } from './scatter-kernel.ts';
import { buildSort } from './sort-kernel.ts';

export interface LoweringContext {
  readonly fusion: Fusion;
  readonly machine: Machine;
  readonly chooseSchedule: ScheduleChoice;
  /** Schedules chosen so far, by template and request. */
  readonly schedules: Map<string, Schedule>;
}

/** Requests are shared by equal uses of a template: each one's text is made once. */
const requestKeys = new WeakMap<KernelRequest, string>();

function requestKey(request: KernelRequest): string {
  let key = requestKeys.get(request);
  if (key === undefined) {
    key = `${[...request.inputs, request.output].map(typeKey).join(' ')} ${attributesKey(request.attrs)}`;
    requestKeys.set(request, key);
  }
  return key;
}

/** The loop nest of a part, with its loads numbered in `operands`. */
function nestOf(part: LoopPart, root: Value, stored: ReadonlySet<Value>, operands: OperandList): Nest {
  const { space, source, target } = part;
  const builder = new FormulaBuilder(space, (v) => v !== root && stored.has(v), operands);
  const formula = builder.formula(source);
  const address = builder.address(space.linear(target, root.type.shape));
  // A reduction's kept axes come first: they are what its target follows.
  const keptAxes = address.strides.length - reducedAxes(part, address);
  return simplifyAxes({ extents: space.extents, formula, target: address, keptAxes });
}

/** Trailing axes that the target does not follow, where the part belongs to a reduction. */
function reducedAxes({ space, isReduction }: LoopPart, { strides }: Address): number {
  if (!isReduction) return 0;
  let kept = strides.length;
  while (kept > 0 && (strides[kept - 1] === 0 || space.extents[kept - 1] === 1)) kept--;
  return strides.length - kept;
}

/** A few op names that tell a reader of kernel names what is computed. */
function labelOf(nests: readonly Nest[], fallback: string): string {
  const names = nests.flatMap((n) => subFormulas([n.formula]).flatMap((f) => (f.kind === 'op' ? [f.op.name] : [])));
  const distinct = [...new Set(names)];
  const shown = distinct.slice(0, 4).join('_');
  return distinct.length === 0 ? fallback : distinct.length > 4 ? `${shown}_etc` : shown;
}

const nestKey = ({ extents, formula, target, keptAxes }: Nest): string =>
  `[${extents}|${keptAxes}] ${target.constant}+${target.strides.join()}` +
  `${target.dynamic.map((d) => `+${d.stride}<${d.limit}`).join('')} ${formulaKey([formula, ...target.dynamic.map((d) => d.index)])}`;

const sameStrides = (a: Address, b: Address): boolean =>
  a.constant === b.constant &&
  a.dynamic.length === 0 &&
  b.dynamic.length === 0 &&
  a.strides.every((s, i) => s === b.strides[i]);

/** Operands that a nest reads only at the index where it stores. */
function readsInPlace(nest: Nest, operands: OperandList): Set<Value> {
  const rowMajor = rowMajorStrides(nest.extents);
  const isDense = nest.target.constant === 0 && nest.target.strides.every((s, i) => s === rowMajor[i]);
  const local = new Set(isDense ? operands.values : []);
  for (const f of subFormulas([nest.formula])) {
    if (f.kind === 'load' && !sameStrides(f.address, nest.target)) local.delete(operands.values[f.buffer]!);
  }
  return local;
}

function lowerParts(
  root: Value,
  parts: readonly LoopPart[],
  isLayered: boolean,
  { fusion, machine }: LoweringContext,
): KernelRecipe {
  const operands = new OperandList();
  const nests = parts.map((part) => nestOf(part, root, fusion.stored, operands));
  const only = nests.length === 1 ? nests[0]! : undefined;
  const localReads = only ? readsInPlace(only, operands) : new Set<Value>();
  const bytes = DTYPE_BYTES[root.type.dtype as DType];
  return {
    label: labelOf(nests, root.op.name),
    key: `loop ${root.type.dtype} ${isLayered} ${operands.values.length} ${nests.map(nestKey).join('\n')}`,
    root,
    reads: operands.values,
    build: (name) => buildLoopKernel(name, nests, isLayered, operands.values.length, machine),
    overwritable: [...localReads].filter((v) => DTYPE_BYTES[v.type.dtype as DType] === bytes),
    partition: only ? partitionOf(only, machine).text : '',
    localReads,
  };
}

function lowerLoop(group: LoopGroup, context: LoweringContext): KernelRecipe {
  const { root, parts, isLayered } = group;
  const operand = root.inputs[0]!;
  const isUpdate = root.op.name === 'dynamic_update_slice' && parts.length === 2 && context.fusion.stored.has(operand);
  const whole = (): KernelRecipe => lowerParts(root, parts, isLayered, context);
  if (!isUpdate) return whole();
  return {
    ...lowerParts(root, parts.slice(1), false, context),
    overwritable: [],
    update: { of: operand, otherwise: whole },
  };
}

function lowerReduce({ root, part }: ReduceGroup, context: LoweringContext): KernelRecipe {
  const { fusion, machine } = context;
  const dtype = root.type.dtype as DType;
  const operands = new OperandList();
  if (elementCount(root.inputs[0]!.type.shape) === 0) return emptyReduction(root, machine);
  const nest = nestOf(part, root, fusion.stored, operands);
  if (nest.keptAxes === nest.extents.length) return lowerParts(root, [part], false, context);
  return {
    label: `${root.op.name}_${labelOf([nest], 'of')}`,
    key: `${root.op.name} ${dtype} ${operands.values.length} ${nestKey(nest)}`,
    root,
    reads: operands.values,
    build: (name) => buildReduceKernel(name, nest, root.op.name, dtype, operands.values.length, machine),
    overwritable: [],
    partition: '',
    localReads: new Set(),
  };
}

/** Nothing to combine: every result is the op's value for nothing. */
function emptyReduction(root: Value, machine: Machine): KernelRecipe {
  const dtype = root.type.dtype as DType;
  const value = root.op.name === 'reduce_sum' ? 0 : identityOf(root.op.name, dtype);
  const count = elementCount(root.type.shape);
  const nest: Nest = {
    extents: [count],
    keptAxes: 1,
    formula: { kind: 'constant', dtype, value },
    target: { constant: 0, strides: [1], dynamic: [] },
  };
  return {
    label: `${root.op.name}_of_nothing`,
    key: `nothing ${nestKey(nest)}`,
    root,
    reads: [],
    build: (name) => buildLoopKernel(name, [nest], false, 0, machine),
    overwritable: [],
    partition: partitionOf(nest, machine).text,
    localReads: new Set(),
  };
}

function lowerTemplate(group: TemplateGroup, context: LoweringContext): KernelRecipe {
  const { root, result, template } = group;
  const lowered = group.epilogue;
  const request = lowered ? { ...group.request, epilogue: lowered.epilogue } : group.request;
  const key = `template ${template.name} ${requestKey(group.request)} ${lowered?.epilogue.key ?? ''}`;
  let schedule = context.schedules.get(key);
  if (!schedule) {
    schedule = context.chooseSchedule(template, request, template.schedules(request));
    context.schedules.set(key, schedule);
  }
  const chosen = schedule;
  return {
    label: template.name,
    key: `${key} ${attributesKey(schedule)}`,
    root,
    reads: [...result.inputs, ...(lowered?.operands ?? [])],
    build: () => template.build(request, chosen),
    overwritable: [],
    partition: '',
    localReads: new Set(),
  };
}

type DirectRule = (value: Value, machine: Machine) => (name: string) => Kernel;

const axisOf = (value: Value): number => value.attrs.axis as number;
const cumulative: DirectRule = (value, machine) => (name) =>
  buildCumulative(name, value.op.name, value.inputs[0]!.type, axisOf(value), value.attrs.reverse as boolean, machine);
const argReduce: DirectRule = (value, machine) => (name) =>
  buildArgReduce(name, value.op.name as 'argmax' | 'argmin', value.inputs[0]!.type, axisOf(value), machine);
const sort =
  (gives: 'elements' | 'places'): DirectRule =>
  (value, machine) =>
  (name) =>
    buildSort(name, gives, value.inputs[0]!.type, axisOf(value), value.attrs.descending as boolean, machine);

const DIRECT_RULES: Readonly<Record<string, DirectRule>> = {
  cumsum: cumulative,
  cumprod: cumulative,
  cummax: cumulative,
  cummin: cumulative,
  argmax: argReduce,
  argmin: argReduce,
  sort: sort('elements'),
  argsort: sort('places'),
  scatter: (value, machine) => (name) => buildScatter(name, value, false, machine),
};

function lowerDirect(root: Value, machine: Machine): KernelRecipe {
  const rule = DIRECT_RULES[root.op.name];
  if (!rule)
    throw new BitloomError('UNSUPPORTED_OP', `no kernel computes ${root.op.name} on ${machine.name}`, {
      op: root.op.name,
    });
  const key = `${root.op.name} ${attributesKey(root.attrs)} ${root.inputs.map((v) => typeKey(v.type)).join(' ')}`;
  const recipe: KernelRecipe = {
    label: root.op.name,
    key,
    root,
    reads: root.inputs,
    build: rule(root, machine),
    overwritable: [],
    partition: '',
    localReads: new Set(),
  };
  if (root.op.name !== 'scatter') return recipe;
  const inPlace = (name: string): Kernel => buildScatter(name, root, true, machine);
  const update = { of: root.inputs[0]!, otherwise: () => recipe };
  return { ...recipe, key: `in place ${key}`, reads: root.inputs.slice(1), build: inPlace, update };
}

/** The recipe of one group's kernel. Throws UNSUPPORTED_OP naming an op that has no kernel. */
export function lowerGroup(group: Group, context: LoweringContext): KernelRecipe {
  switch (group.kind) {
    case 'loop':
      return lowerLoop(group, context);
    case 'reduce':
      return lowerReduce(group, context);
    case 'template':
      return lowerTemplate(group, context);
    case 'direct':
      return lowerDirect(group.root, context.machine);
  }
}
