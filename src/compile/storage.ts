/**
 * Which memory every stored value lives in: an argument of the program, the pool of constants, or the
 * arena. Results overwrite operands that die, and donated inputs become the outputs they are given for.
 */
import type { Graph, Value } from '../ir/graph.ts';
import { byteLength } from '../ir/shape.ts';
import type { Alias } from './fuse/group.ts';
import type { KernelRecipe } from './lower/kernel-recipe.ts';
import { type MemoryPlan, planMemory } from './memory-plan.ts';
import type { Schedule } from './schedule.ts';

/** Output `output` is made in the memory of input `input`, whose contents are lost. */
export interface Donation {
  readonly input: number;
  readonly output: number;
}

export type Home =
  | { readonly kind: 'input' | 'output'; readonly index: number }
  | { readonly kind: 'constant'; readonly value: Value }
  | { readonly kind: 'arena' };

/** A piece of memory that one value after another may use. */
export interface Storage {
  readonly bytes: number;
  home: Home;
  readonly first: number;
  last: number;
  /** In the arena. */
  byteOffset: number;
}

export interface Place {
  readonly storage: Storage;
  readonly byteOffset: number;
}

/** One kernel call: the recipe chosen, and whether its result overwrites an operand. */
export interface Call {
  readonly recipe: KernelRecipe;
  readonly overwrites?: Value;
}

/** A copy that ends the program: an output that had to be made elsewhere. */
export interface FinalCopy {
  readonly from: Place;
  readonly to: Storage;
  readonly bytes: number;
}

export interface StorageAssignment {
  readonly calls: readonly Call[];
  readonly copies: readonly FinalCopy[];
  readonly memory: MemoryPlan;
  placeOf(value: Value): Place;
  readonly overwrites: number;
}

class Assigner {
  readonly calls: Call[] = [];
  readonly copies: FinalCopy[] = [];
  readonly #graph: Graph;
  readonly #aliases: ReadonlyMap<Value, Alias>;
  readonly #storages: Storage[] = [];
  readonly #places = new Map<Value, Place>();
  readonly #lastRead = new Map<Value, number>();
  /** Values that may be made in a donated input's memory. */
  readonly #heirs = new Map<Value, Storage>();
  readonly #donations: readonly Donation[];

  constructor(graph: Graph, aliases: ReadonlyMap<Value, Alias>, donations: readonly Donation[]) {
    this.#graph = graph;
    this.#aliases = aliases;
    this.#donations = donations;
    graph.inputs.forEach((value, index) => {
      const storage = this.#storage(byteLength(value.type), { kind: 'input', index }, -1);
      this.#places.set(value, { storage, byteOffset: 0 });
    });
  }

  #storage(bytes: number, home: Home, first: number): Storage {
    const made = { bytes, home, first, last: first, byteOffset: 0 };
    this.#storages.push(made);
    return made;
  }

  /** The value that owns the memory of a value. */
  #owner(value: Value): Value {
    let owner = value;
    for (let alias = this.#aliases.get(owner); alias; alias = this.#aliases.get(owner)) owner = alias.of;
    return owner;
  }

  placeOf(value: Value): Place {
    let place = this.#places.get(value);
    if (place) return place;
    const alias = this.#aliases.get(value);
    if (alias) {
      const { storage, byteOffset } = this.placeOf(alias.of);
      place = { storage, byteOffset: byteOffset + alias.byteOffset };
    } else {
      const home: Home = value.op.name === 'constant' ? { kind: 'constant', value } : { kind: 'arena' };
      place = { storage: this.#storage(byteLength(value.type), home, 0), byteOffset: 0 };
    }
    this.#places.set(value, place);
    return place;
  }

  assign(recipes: readonly KernelRecipe[]): void {
    const byRoot = new Map(recipes.map((r) => [r.root, r]));
    recipes.forEach((recipe, step) => {
      for (const read of recipe.reads) this.#lastRead.set(this.#owner(read), step);
      if (recipe.update) this.#lastRead.set(this.#owner(recipe.update.of), step);
    });
    for (const output of this.#graph.outputs) {
      this.#lastRead.set(this.#owner(output), Infinity);
      if (this.#owner(output).op.name === 'input') this.#liveUntil(output, Infinity);
    }
    for (const { input, output } of this.#donations)
      this.#findHeirs(this.#graph.inputs[input]!, this.#graph.outputs[output]!, byRoot);
    recipes.forEach((recipe, step) => this.#place(recipe, step));
    this.#placeOutputs(recipes.length);
  }

  /** The values on a path of overwriting calls from a donated input to its output. */
  #findHeirs(input: Value, output: Value, byRoot: ReadonlyMap<Value, KernelRecipe>): void {
    const { storage } = this.placeOf(input);
    const visit = (value: Value, depth: number): boolean => {
      if (value === input) return true;
      const recipe = byRoot.get(value);
      if (!recipe || depth > 64 || this.#heirs.has(value)) return false;
      const found = overwriteCandidates(recipe).some((x) => visit(this.#owner(x), depth + 1));
      if (found) this.#heirs.set(value, storage);
      return found;
    };
    visit(this.#owner(output), 0);
  }

  #place(recipe: KernelRecipe, step: number): void {
    const { root, update } = recipe;
    const overwrites = overwriteCandidates(recipe).find((x) => this.#mayOverwrite(recipe, x, step));
    const storage = overwrites
      ? this.placeOf(overwrites).storage
      : this.#storage(byteLength(root.type), { kind: 'arena' }, step);
    this.#places.set(root, { storage, byteOffset: 0 });
    const chosen = update && overwrites !== update.of ? update.otherwise() : recipe;
    this.calls.push(overwrites ? { recipe: chosen, overwrites } : { recipe: chosen });
    for (const value of chosen.reads) this.#liveUntil(value, step);
    this.#liveUntil(root, this.#lastRead.get(root) === Infinity ? Infinity : step);
  }

  #liveUntil(value: Value, step: number): void {
    const { storage } = this.placeOf(value);
    storage.last = Math.max(storage.last, step);
  }

  #mayOverwrite(recipe: KernelRecipe, operand: Value, step: number): boolean {
    const owner = this.#owner(operand);
    const { storage, byteOffset } = this.placeOf(operand);
    if (byteOffset !== 0 || this.#lastRead.get(owner) !== step || storage.bytes !== byteLength(recipe.root.type))
      return false;
    if (storage.home.kind === 'constant') return false;
    if (storage.home.kind === 'input' && this.#heirs.get(recipe.root) !== storage) return false;
    // Whatever else the kernel reads from this memory must be read element by element, too.
    return recipe.reads.every(
      (r) =>
        this.placeOf(r).storage !== storage || (recipe.overwritable.includes(r) && this.placeOf(r).byteOffset === 0),
    );
  }

  #placeOutputs(end: number): void {
    const donated = new Map(this.#donations.map((d) => [d.output, this.#graph.inputs[d.input]!]));
    this.#graph.outputs.forEach((value, index) => {
      const from = this.placeOf(value);
      const heirOf = donated.get(index);
      const target = heirOf && this.placeOf(heirOf).storage;
      const { storage } = from;
      if (storage === target && from.byteOffset === 0) return;
      const bytes = byteLength(value.type);
      const isWhole = from.byteOffset === 0 && storage.bytes === bytes;
      const isFree = !target || target.last < storage.first;
      if (isWhole && storage.home.kind === 'arena' && bytes > 0 && isFree) {
        storage.home = target ? target.home : { kind: 'output', index };
        return;
      }
      if (bytes > 0)
        this.#copyOut(
          from,
          target ?? this.#storage(bytes, { kind: 'output', index }, end),
          bytes,
          end,
          target !== undefined,
        );
    });
  }

  /** Memory of donated inputs may be another output's source: what goes there passes through the arena. */
  #copyOut(from: Place, to: Storage, bytes: number, end: number, isDonated: boolean): void {
    if (!isDonated) {
      this.copies.unshift({ from, to, bytes });
      from.storage.last = Math.max(from.storage.last, end);
      return;
    }
    const passing = this.#storage(bytes, { kind: 'arena' }, end);
    this.copies.unshift({ from, to: passing, bytes });
    this.copies.push({ from: { storage: passing, byteOffset: 0 }, to, bytes });
    from.storage.last = Math.max(from.storage.last, end);
  }

  /**
   * Lays out the arena. Values live for whole phases: if calls of one phase shared bytes, they would have
   * to wait for each other. Final copies are a phase behind the last.
   */
  layOut(phases: readonly number[]): MemoryPlan {
    const phaseOf = (step: number): number => (step < 0 ? 0 : (phases[step] ?? (phases.at(-1) ?? 0) + 1));
    const inArena = this.#storages.filter((s) => s.home.kind === 'arena');
    const ranges = inArena.map(({ bytes, first, last }) => ({
      bytes,
      first: phaseOf(first),
      last: phaseOf(Math.max(first, last)),
    }));
    const memory = planMemory(ranges);
    inArena.forEach((s, i) => {
      s.byteOffset = memory.offsets[i]!;
    });
    return memory;
  }
}

const overwriteCandidates = ({ update, overwritable }: KernelRecipe): readonly Value[] =>
  update ? [update.of] : overwritable;

/** Assigns memory to everything that the calls of a schedule read and store. */
export function assignStorage(
  graph: Graph,
  { calls, phases }: Schedule,
  aliases: ReadonlyMap<Value, Alias>,
  donations: readonly Donation[],
): StorageAssignment {
  const assigner = new Assigner(graph, aliases, donations);
  assigner.assign(calls.map((call) => call.recipe));
  return {
    calls: assigner.calls,
    copies: assigner.copies,
    memory: assigner.layOut(phases),
    placeOf: (value) => assigner.placeOf(value),
    overwrites: assigner.calls.filter((c) => c.overwrites).length,
  };
}
