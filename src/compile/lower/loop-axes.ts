/**
 * Simplifies the axes of a loop nest: axes of extent 1 go, and neighbours that every address walks as
 * one become one. Fewer, longer loops; kernels that differ only in how axes were cut become equal.
 */
import { type Address, type Formula, subFormulas } from './formula.ts';

/** A loop nest over `extents`: the element `formula` is stored at `target` (and combined, in reductions). */
export interface Nest {
  readonly extents: readonly number[];
  readonly formula: Formula;
  readonly target: Address;
  /** The first axes are kept, the rest reduced; all are kept in plain loops. */
  readonly keptAxes: number;
}

function addressesOf(nest: Nest): Address[] {
  const roots = [nest.formula, ...nest.target.dynamic.map((d) => d.index)];
  return [
    nest.target,
    ...subFormulas(roots).flatMap((f) => (f.kind === 'constant' || f.kind === 'op' ? [] : [f.address])),
  ];
}

/** Rebuilds a nest with new strides of every address. Shared formulas stay shared. */
function mapStrides(
  nest: Nest,
  strides: (old: readonly number[]) => readonly number[],
  extents: number[],
  keptAxes: number,
): Nest {
  const made = new Map<Formula, Formula>();
  const mapAddress = (a: Address): Address => ({
    constant: a.constant,
    strides: strides(a.strides),
    dynamic: a.dynamic.map((d) => ({ ...d, index: made.get(d.index)! })),
  });
  for (const f of subFormulas([nest.formula, ...nest.target.dynamic.map((d) => d.index)])) {
    if (f.kind === 'constant') made.set(f, f);
    else if (f.kind === 'op') made.set(f, { ...f, operands: f.operands.map((o) => made.get(o)!) });
    else if (f.kind === 'random')
      made.set(f, { ...f, key: f.key.map((o) => made.get(o)!), address: mapAddress(f.address) });
    else made.set(f, { ...f, address: mapAddress(f.address) });
  }
  return { extents, formula: made.get(nest.formula)!, target: mapAddress(nest.target), keptAxes };
}

/** The same nest with its axes in another order. */
export const reorderAxes = (nest: Nest, move: <T>(list: readonly T[]) => T[]): Nest =>
  mapStrides(nest, move, move(nest.extents), nest.keptAxes);

/** The same nest with as few axes as its addresses allow. */
export function simplifyAxes(nest: Nest): Nest {
  const addresses = addressesOf(nest);
  const { extents, keptAxes } = nest;
  /** Last axis of each run of axes that become one. */
  const last: number[] = [];
  const sizes: number[] = [];
  let kept = 0;
  for (let axis = 0; axis < extents.length; axis++) {
    const extent = extents[axis]!;
    if (extent === 1) continue;
    const before = last.at(-1);
    const isSameKind = before !== undefined && before < keptAxes === axis < keptAxes;
    if (isSameKind && addresses.every((a) => a.strides[before]! === a.strides[axis]! * extent)) {
      last[last.length - 1] = axis;
      sizes[sizes.length - 1]! *= extent;
      continue;
    }
    last.push(axis);
    sizes.push(extent);
    if (axis < keptAxes) kept++;
  }
  return mapStrides(nest, (old) => last.map((axis) => old[axis]!), sizes, kept);
}
