/**
 * Fusion: decides for every value whether it is stored or computed inside the loops of its users.
 * One walk from the outputs to the inputs; each value knows all its users' accesses when it is placed.
 */
import { DTYPE_BYTES, isPacked } from '../../ir/dtype.ts';
import { type Graph, topologicalOrder, type Value } from '../../ir/graph.ts';
import { elementCount, rowMajorStrides } from '../../ir/shape.ts';
import type { KernelRequest, KernelTemplate } from '../../kernel/template.ts';
import { splatNumber } from '../splat.ts';
import type { Alias, Fusion, Group, LoopGroup, LoopPart } from './group.ts';
import { type Access, accessKey, LoopSpace } from './index-map.ts';
import { isInlinable, operandAccesses } from './view-access.ts';

interface Use {
  readonly space: LoopSpace;
  readonly access: Access;
}

/** The template that computes a value on this machine, if there is one. */
export type TemplateChoice = (value: Value) => { template: KernelTemplate; request: KernelRequest } | undefined;

/** Ops that cost nothing to repeat: they only move an element, count, or convert one. */
const isFree = ({ op }: Value): boolean =>
  (op.groups.has('view') && op.name !== 'concat' && op.name !== 'pad') || op.name === 'iota' || op.name === 'cast';

/** A loop nest computes at most this many values: kernels stay of a size that engines compile well. */
const MOST_INLINED = 128;

/** Groups the values of a primitive-or-template graph. */
export function fuse(graph: Graph, chooseTemplate: TemplateChoice): Fusion {
  const fuser = new Fuser(graph, chooseTemplate);
  for (const value of topologicalOrder(graph.outputs).reverse()) fuser.place(value);
  return { groups: fuser.groups.reverse(), stored: fuser.stored, aliases: fuser.aliases, soleLoops: fuser.soleLoops };
}

class Fuser {
  readonly groups: Group[] = [];
  readonly stored = new Set<Value>();
  readonly aliases = new Map<Value, Alias>();
  readonly soleLoops = new Map<Value, LoopGroup>();
  /** Loops of one part, by their space. */
  readonly #loops = new Map<LoopSpace, LoopGroup>();
  /** Values inlined into each space. */
  readonly #inlined = new Map<LoopSpace, number>();
  /** Values that some user needs in memory, row-major. */
  readonly #dense: Set<Value>;
  readonly #uses = new Map<Value, Use[]>();
  readonly #chooseTemplate: TemplateChoice;

  constructor(graph: Graph, chooseTemplate: TemplateChoice) {
    this.#dense = new Set(graph.outputs);
    this.#chooseTemplate = chooseTemplate;
  }

  place(value: Value): void {
    const uses = this.#uses.get(value) ?? [];
    const isDense = this.#dense.has(value);
    if (!isDense && uses.length === 0) return; // only values without elements wanted it
    if (!isDense && splatNumber(value) !== undefined) return;
    if (!isDense && isInlinable(value) && this.#inline(value, uses)) return;
    this.stored.add(value);
    if (elementCount(value.type.shape) > 0) this.#store(value);
  }

  /** Records that `value` is read at the operand accesses of its uses. False if it must be stored instead. */
  #inline(value: Value, uses: readonly Use[]): boolean {
    const accesses = distinctUses(uses);
    if (accesses.some(({ space }) => (this.#inlined.get(space) ?? 0) >= MOST_INLINED)) return false;
    const isRepeated = accesses.length > 1 || repeatsWork(accesses[0]!);
    const mayRepeat = isFree(value) || value.op.groups.has('index');
    if (isRepeated && !mayRepeat) return false;
    const found: Use[] = [];
    for (const { space, access } of accesses) {
      const operands = operandAccesses(space, access);
      // Indices that must be read are read once; known ones make a view, which is free.
      if (!operands || (isRepeated && operands.length > 1 && !isFree(value))) return false;
      for (const operand of operands) found.push({ space, access: operand });
    }
    for (const use of found) this.#addUse(use);
    for (const { space } of accesses) this.#inlined.set(space, (this.#inlined.get(space) ?? 0) + 1);
    return true;
  }

  #addUse(use: Use): void {
    const uses = this.#uses.get(use.access.value);
    if (uses) uses.push(use);
    else this.#uses.set(use.access.value, [use]);
  }

  #readDense(value: Value): void {
    for (const operand of value.inputs) this.#dense.add(operand);
  }

  #store(value: Value): void {
    if (value.op.name === 'input' || value.op.name === 'constant') return;
    const alias = aliasOf(value);
    if (alias) {
      this.aliases.set(value, alias);
      this.#dense.add(alias.of);
      return;
    }
    const choice = this.#chooseTemplate(value);
    if (choice) {
      this.groups.push({ kind: 'template', root: value, result: value, ...choice });
      this.#readDense(value);
      this.#noteSoleLoop(value);
    } else if (isInlinable(value)) {
      const space = new LoopSpace(value.type.shape);
      const at = space.identity();
      this.#addLoop(value, [{ space, source: { value, coordinates: at }, target: at }]);
    } else if (value.op.name in PART_RULES) {
      const { parts, isLayered } = PART_RULES[value.op.name]!(value);
      this.#addLoop(value, parts, isLayered);
    } else if (value.op.groups.has('reduction') && 'axes' in value.attrs) {
      const part = reductionPart(value);
      this.groups.push({ kind: 'reduce', root: value, part });
      this.#addUse({ space: part.space, access: part.source });
    } else {
      this.groups.push({ kind: 'direct', root: value });
      this.#readDense(value);
    }
  }

  #noteSoleLoop(value: Value): void {
    const [first, ...others] = this.#uses.get(value) ?? [];
    const loop = first && this.#loops.get(first.space);
    if (loop && !this.#dense.has(value) && others.every((use) => use.space === first.space))
      this.soleLoops.set(value, loop);
  }

  #addLoop(root: Value, parts: readonly LoopPart[], isLayered = false): void {
    const group: LoopGroup = { kind: 'loop', root, parts, isLayered };
    this.groups.push(group);
    if (parts.length === 1) this.#loops.set(parts[0]!.space, group);
    for (const { space, source, target } of parts) {
      const starts = target.flatMap((c) => c.dynamic.map((d) => d.index));
      const reads = source.value === root ? operandAccesses(space, source)! : [source];
      for (const access of [...reads, ...starts]) this.#addUse({ space, access });
    }
  }
}

/** Uses at different elements or in different loop nests. */
function distinctUses(uses: readonly Use[]): readonly Use[] {
  if (uses.length === 1) return uses;
  const bySpace = new Map<LoopSpace, Map<string, Use>>();
  for (const use of uses) {
    const known = bySpace.get(use.space);
    if (known) known.set(accessKey(use.access), use);
    else bySpace.set(use.space, new Map([[accessKey(use.access), use]]));
  }
  return [...bySpace.values()].flatMap((m) => [...m.values()]);
}

/** Whether a loop nest reaches the same element again after having left it, so that inlining repeats its work. */
function repeatsWork({ space, access }: Use): boolean {
  const axes = space.extents.map((_, axis) => axis).filter((axis) => space.extents[axis]! > 1);
  const varies = axes.map((axis) => access.coordinates.some((c) => space.varies(c, axis)));
  return varies.includes(false) && varies.lastIndexOf(true) > varies.indexOf(false);
}

/** The place of a view in its operand's memory, if its elements lie there in row-major order. */
function aliasOf(value: Value): Alias | undefined {
  if (!value.op.groups.has('view')) return undefined;
  const operand = value.inputs[0]!;
  if (value.op.name === 'bitcast' || value.op.name === 'reshape') return { of: operand, byteOffset: 0 };
  if (isPacked(value.type.dtype) || !isInlinable(value)) return undefined;
  const space = new LoopSpace(value.type.shape);
  const [access] = operandAccesses(space, { value, coordinates: space.identity() })!;
  const { constant, strides } = space.linear(access!.coordinates, operand.type.shape);
  const expected = rowMajorStrides(value.type.shape);
  if (!space.extents.every((extent, i) => extent === 1 || strides[i] === expected[i])) return undefined;
  return { of: operand, byteOffset: constant * DTYPE_BYTES[value.type.dtype] };
}

/** Kept axes outside, combined axes inside, each in their order. */
function reductionPart(value: Value): LoopPart {
  const operand = value.inputs[0]!;
  const axes = value.attrs.axes as readonly number[];
  const all = operand.type.shape.map((_, axis) => axis);
  const order = [...all.filter((axis) => !axes.includes(axis)), ...all.filter((axis) => axes.includes(axis))];
  const space = new LoopSpace(order.map((axis) => operand.type.shape[axis]!));
  const at = space.identity();
  return {
    space,
    source: { value: operand, coordinates: all.map((axis) => at[order.indexOf(axis)]!) },
    target: at.slice(0, all.length - axes.length),
    isReduction: true,
  };
}

type PartRule = (value: Value) => { parts: LoopPart[]; isLayered: boolean };

/** Ops that write several boxes of their result, each from another source. */
const PART_RULES: Readonly<Record<string, PartRule>> = {
  concat(value) {
    const axis = value.attrs.axis as number;
    let start = 0;
    const parts = value.inputs.map((operand) => {
      const offset = start;
      start += operand.type.shape[axis]!;
      return shiftedPart(operand, (space, c, i) => (i === axis ? space.scaled(c, 1, offset) : c));
    });
    return { parts: parts.filter(hasPoints), isLayered: false };
  },
  pad(value) {
    const [operand, filler] = value.inputs as [Value, Value];
    const [low, high, interior] = ['low', 'high', 'interior'].map((key) => value.attrs[key] as readonly number[]);
    const middle = shiftedPart(operand, (space, c, i) => space.scaled(c, interior![i]! + 1, low![i]!));
    const fill = (box: readonly (readonly [number, number])[]): LoopPart => {
      const space = new LoopSpace(box.map(([from, to]) => to - from));
      const target = box.map(([from], i) => space.scaled(space.axis(i), 1, from));
      return { space, source: { value: filler, coordinates: [] }, target };
    };
    const whole = value.type.shape.map((d) => [0, d] as const);
    if (interior!.some((gap) => gap > 0))
      return { parts: [fill(whole), middle].filter(hasPoints), isLayered: hasPoints(middle) };
    // The border as boxes that do not overlap: below and above along axis i, within the operand along axes before i.
    const inside = whole.map(([, d], i) => [low![i]!, d - high![i]!] as const);
    const borders = whole.flatMap(([, d], i) =>
      (
        [
          [0, low![i]!],
          [d - high![i]!, d],
        ] as const
      ).map((range) => fill([...inside.slice(0, i), range, ...whole.slice(i + 1)])),
    );
    return { parts: [middle, ...borders].filter(hasPoints), isLayered: false };
  },
  dynamic_update_slice(value) {
    const [operand, update, ...starts] = value.inputs as [Value, Value, ...Value[]];
    const write = shiftedPart(update, (space, c, i) => {
      const limit = operand.type.shape[i]! - update.type.shape[i]!;
      return limit === 0 ? c : space.plus(c, space.dynamic({ value: starts[i]!, coordinates: [] }, limit));
    });
    return { parts: [shiftedPart(operand, (_, c) => c), write].filter(hasPoints), isLayered: hasPoints(write) };
  },
};

const hasPoints = ({ space }: LoopPart): boolean => !space.extents.includes(0);

function shiftedPart(
  source: Value,
  place: (space: LoopSpace, c: LoopPart['target'][0], axis: number) => LoopPart['target'][0],
): LoopPart {
  const space = new LoopSpace(source.type.shape);
  const coordinates = space.identity();
  return { space, source: { value: source, coordinates }, target: coordinates.map((c, axis) => place(space, c, axis)) };
}
