/**
 * Gives virtual registers physical ones. A register's interval reaches from its first to its last appearance; what lives
 * into a loop lives to its end. Intervals are served by priority, uses weighted by loop depth over length, so that what is
 * hot and short comes first; each takes a physical register that is free throughout (Chow & Hennessy, The priority-based
 * coloring approach to register allocation, 1990). Those left over lie on the stack or in their home.
 */
import { passing } from './memory-operands.ts';
import { type Item, isInstruction, isUse, type RegisterClass, type VirtualRegister } from './virtual-code.ts';

/** Physical registers that may be given out, by class, preferred ones first. */
export type RegisterFile = Readonly<Record<RegisterClass, readonly number[]>>;

/** Physical registers that are free at an instruction, for values that lie in memory. */
export type Passing = Readonly<Record<'vector' | 'mask', readonly number[]>>;

export interface Allocation {
  /** Where registers with a home are loaded: before the item of this number. */
  readonly loads: ReadonlyMap<number, readonly VirtualRegister[]>;
  /** Through which registers values from memory pass, by the instruction's number. */
  readonly passing: ReadonlyMap<number, Passing>;
  /** Stack slots in use, by class. */
  readonly slots: Readonly<Record<RegisterClass, number>>;
}

/** How much more an appearance counts for each loop around it. */
const LOOP_WEIGHT = 10;
/** A register with a home that appears less often than this is read from there each time. */
const LEAST_HOME_WEIGHT = 2;

interface Interval {
  readonly register: VirtualRegister;
  /** Twice the item's number; written results count one later. */
  start: number;
  end: number;
  weight: number;
  /** The outermost region around the first appearance. */
  readonly region: Region | undefined;
}

interface Region {
  readonly start: number;
  /** Numbers of the registers that appear in it. */
  readonly seen: Set<number>;
}

/** Finds the interval of every register that appears. */
function intervalsOf(items: readonly Item[], count: number): (Interval | undefined)[] {
  const intervals = new Array<Interval | undefined>(count);
  /** Those that are open. */
  const regions: Region[] = [];
  let weight = 1;
  const touch = (register: VirtualRegister, from: number, to: number): void => {
    if (register.isFixed) return;
    const known = intervals[register.id];
    if (!known) {
      const [region] = regions;
      const start = register.home && region ? region.start : from;
      intervals[register.id] = { register, start, end: to, weight, region };
    } else {
      if (to > known.end) known.end = to;
      // Regions may be skipped: a home that is read elsewhere too is loaded before all of them.
      if (register.home && known.region && known.region !== regions[0]) known.start = 0;
      known.weight += weight;
    }
    regions.at(-1)?.seen.add(register.id);
  };
  for (const [number, item] of items.entries()) {
    const at = 2 * number;
    if (isInstruction(item)) {
      for (const [i, operand] of item.operands.entries()) {
        if (isUse(operand)) {
          const isWritten = i === 0 && item.first !== 'read';
          const isRead = i !== 0 || item.first !== 'written';
          touch(operand.register, isRead ? at : at + 1, isWritten ? at + 2 : at + 1);
        } else if ('kind' in operand && operand.kind === 'mem') {
          if (operand.base) touch(operand.base, at, at + 1);
          if (operand.index) touch(operand.index, at, at + 1);
        }
      }
      if (item.mask) touch(item.mask, at, at + 1);
    } else if (item.kind === 'region' && item.isStart) {
      regions.push({ start: at, seen: new Set() });
      if (item.isLoop) weight *= LOOP_WEIGHT;
    } else if (item.kind === 'region') {
      const { start, seen } = regions.pop()!;
      if (item.isLoop) weight /= LOOP_WEIGHT;
      for (const id of seen) {
        const interval = intervals[id]!;
        if (item.isLoop && interval.start <= start) interval.end = Math.max(interval.end, at + 1);
        regions.at(-1)?.seen.add(id);
      }
    }
  }
  return intervals;
}

/** What a physical register holds: intervals sorted by start, none of which overlap. */
class Occupancy {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  #place(start: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  isFree(start: number, end: number): boolean {
    const at = this.#place(start);
    return (at === 0 || this.#ends[at - 1]! <= start) && (at === this.#starts.length || this.#starts[at]! >= end);
  }

  take(start: number, end: number): void {
    const at = this.#place(start);
    this.#starts.splice(at, 0, start);
    this.#ends.splice(at, 0, end);
  }
}

/** Stack slots: as few as the intervals that need one at the same time. */
class Slots {
  readonly #slots: Occupancy[] = [];

  take(start: number, end: number): number {
    let slot = this.#slots.findIndex((s) => s.isFree(start, end));
    if (slot < 0) slot = this.#slots.push(new Occupancy()) - 1;
    this.#slots[slot]!.take(start, end);
    return slot;
  }

  get count(): number {
    return this.#slots.length;
  }
}

type Occupied = Readonly<Record<RegisterClass, ReadonlyMap<number, Occupancy>>>;

/**
 * Sets `physical` or `slot` of every register that appears in the items. At each instruction that needs a value from memory in a
 * register, one that is free there serves; where some instruction finds none, all is given out again without `reserved` ones.
 */
export function allocateRegisters(
  items: readonly Item[],
  count: number,
  file: RegisterFile,
  reserved: Passing,
): Allocation {
  const intervals = intervalsOf(items, count).filter((interval) => interval !== undefined);
  const density = ({ weight, start, end }: Interval): number => weight / (end - start);
  intervals.sort((a, b) => density(b) - density(a));
  const given = giveOut(intervals, file);
  const isPassing = ({ register }: Interval): boolean => register.class !== 'general' && register.physical < 0;
  if (!intervals.some(isPassing)) return { ...given, passing: new Map() };
  const passing = findPassing(items, (of, at) => [...given.occupied[of]].filter(([, o]) => o.isFree(at, at + 2)));
  if (passing) return { ...given, passing };
  const without = (of: 'vector' | 'mask'): number[] => file[of].filter((id) => !reserved[of].includes(id));
  const again = giveOut(intervals, { ...file, vector: without('vector'), mask: without('mask') });
  const always = findPassing(items, (of) => reserved[of].map((id) => [id]));
  return { ...again, passing: always! };
}

/** For each instruction that needs them, registers among the free ones; undefined where those do not suffice. */
function findPassing(
  items: readonly Item[],
  freeAt: (of: 'vector' | 'mask', at: number) => readonly (readonly [number, ...unknown[]])[],
): Map<number, Passing> | undefined {
  const found = new Map<number, Passing>();
  for (const [number, item] of items.entries()) {
    if (!isInstruction(item)) continue;
    const [vectors, masks] = [passing(item, 'vector'), passing(item, 'mask')];
    if (vectors + masks === 0) continue;
    const take = (of: 'vector' | 'mask', wanted: number): number[] =>
      wanted === 0
        ? []
        : freeAt(of, 2 * number)
            .slice(0, wanted)
            .map(([id]) => id);
    const own = { vector: take('vector', vectors), mask: take('mask', masks) };
    if (own.vector.length < vectors || own.mask.length < masks) return undefined;
    found.set(number, own);
  }
  return found;
}

/** Serves intervals in order. */
function giveOut(intervals: readonly Interval[], file: RegisterFile) {
  const registersOf = (of: RegisterClass) => new Map(file[of].map((id) => [id, new Occupancy()]));
  const occupied: Occupied = {
    general: registersOf('general'),
    vector: registersOf('vector'),
    mask: registersOf('mask'),
  };
  const slots: Record<RegisterClass, Slots> = { general: new Slots(), vector: new Slots(), mask: new Slots() };
  const loads = new Map<number, VirtualRegister[]>();
  for (const { register } of intervals) {
    register.slot = -1;
    register.physical = -1;
  }
  for (const { register, start, end, weight } of intervals) {
    const { home, hint } = register;
    if (home === undefined || weight >= LEAST_HOME_WEIGHT) {
      const registers = occupied[register.class];
      const isFree = (id: number): boolean => registers.get(id)?.isFree(start, end) ?? false;
      const wanted = hint && hint.physical >= 0 && isFree(hint.physical) ? hint.physical : undefined;
      const physical = wanted ?? file[register.class].find(isFree);
      if (physical !== undefined) {
        registers.get(physical)!.take(start, end);
        register.physical = physical;
        if (hint && hint.physical < 0) hint.hint ??= register;
        if (home) {
          const at = start >> 1;
          loads.set(at, [...(loads.get(at) ?? []), register]);
        }
        continue;
      }
    }
    if (home === undefined) register.slot = slots[register.class].take(start, end);
  }
  return {
    occupied,
    loads,
    slots: { general: slots.general.count, vector: slots.vector.count, mask: slots.mask.count },
  };
}
