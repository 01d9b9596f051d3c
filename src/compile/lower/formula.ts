/**
 * Formulas: what one element of a kernel's result is computed from, with values replaced by buffer
 * numbers and index maps by addresses. Equal formulas make equal kernels, whatever values they came from.
 */
import type { DType } from '../../ir/dtype.ts';
import type { Op, Value } from '../../ir/graph.ts';
import { type Access, type Affine, accessKey, type LoopSpace } from '../fuse/index-map.ts';
import { operandAccesses } from '../fuse/view-access.ts';
import { splatNumber } from '../splat.ts';
import { attributesKey } from '../structural-key.ts';

/** Element index: constant + loop axes * strides + clamp(index, 0, limit) * stride for each dynamic term. */
export interface Address {
  readonly constant: number;
  readonly strides: readonly number[];
  readonly dynamic: readonly { readonly index: Formula; readonly stride: number; readonly limit: number }[];
}

export type Formula =
  | { readonly kind: 'constant'; readonly dtype: DType; readonly value: number }
  | { readonly kind: 'load'; readonly dtype: DType; readonly buffer: number; readonly address: Address }
  /** The address itself, as a number. */
  | { readonly kind: 'index'; readonly dtype: DType; readonly address: Address }
  | { readonly kind: 'random'; readonly dtype: DType; readonly key: readonly Formula[]; readonly address: Address }
  | {
      readonly kind: 'op';
      readonly dtype: DType;
      readonly op: Op;
      readonly attrsKey: string;
      readonly operands: readonly Formula[];
    };

/** Buffers that a kernel reads, numbered as they are first met. */
export class OperandList {
  readonly values: Value[] = [];
  readonly #numbers = new Map<Value, number>();

  number(value: Value): number {
    const known = this.#numbers.get(value);
    if (known !== undefined) return known;
    this.#numbers.set(value, this.values.length);
    this.values.push(value);
    return this.values.length - 1;
  }
}

/** Turns accesses of one loop space into formulas. What `isLoaded` names becomes loads, the rest is computed. */
export class FormulaBuilder {
  readonly #space: LoopSpace;
  readonly #isLoaded: (value: Value) => boolean;
  readonly #operands: OperandList;
  readonly #made = new Map<string, Formula>();

  constructor(space: LoopSpace, isLoaded: (value: Value) => boolean, operands: OperandList) {
    this.#space = space;
    this.#isLoaded = isLoaded;
    this.#operands = operands;
  }

  formula(access: Access): Formula {
    const key = accessKey(access);
    let made = this.#made.get(key);
    if (!made) {
      made = this.#make(access);
      this.#made.set(key, made);
    }
    return made;
  }

  address({ constant, strides, dynamic }: Affine): Address {
    return {
      constant,
      strides: [...strides],
      dynamic: dynamic.map(({ index, stride, limit }) => ({ index: this.formula(index), stride, limit })),
    };
  }

  #make(access: Access): Formula {
    const { value, coordinates } = access;
    const dtype = value.type.dtype as DType;
    if (this.#isLoaded(value)) {
      const address = this.address(this.#space.linear(coordinates, value.type.shape));
      return { kind: 'load', dtype, buffer: this.#operands.number(value), address };
    }
    const splat = splatNumber(value);
    if (splat !== undefined) return { kind: 'constant', dtype, value: splat };
    if (value.op.name === 'iota') {
      return { kind: 'index', dtype, address: this.address(coordinates[value.attrs.axis as number]!) };
    }
    const operands = operandAccesses(this.#space, access)!;
    if (value.op.name === 'random_bits') {
      const address = this.address(this.#space.linear(coordinates, value.type.shape));
      return { kind: 'random', dtype, key: operands.map((a) => this.formula(a)), address };
    }
    if (value.op.groups.has('elementwise') || value.op.name === 'bitcast') {
      const inputs = operands.map((a) => this.formula(a));
      return { kind: 'op', dtype, op: value.op, attrsKey: attributesKey(value.attrs), operands: inputs };
    }
    return this.formula(operands[0]!); // a view: its element is its operand's
  }
}

/** Everything below a formula, operands before users, each once. */
export function subFormulas(roots: readonly Formula[]): Formula[] {
  const order: Formula[] = [];
  const seen = new Set<Formula>();
  const visit = (f: Formula): void => {
    if (seen.has(f)) return;
    seen.add(f);
    for (const child of childrenOf(f)) visit(child);
    order.push(f);
  };
  for (const root of roots) visit(root);
  return order;
}

export function childrenOf(f: Formula): readonly Formula[] {
  if (f.kind === 'constant') return [];
  if (f.kind === 'op') return f.operands;
  const indices = f.address.dynamic.map((d) => d.index);
  return f.kind === 'random' ? [...f.key, ...indices] : indices;
}

/** A text that is equal for equal computations: part of kernel names. */
export function formulaKey(roots: readonly Formula[]): string {
  const number = new Map<Formula, number>();
  const addressKey = ({ constant, strides, dynamic }: Address) =>
    `${constant}+${strides.join(',')}${dynamic.map((d) => `+${d.stride}*$${number.get(d.index)}<${d.limit}`).join('')}`;
  const lines = subFormulas(roots).map((f, i) => {
    number.set(f, i);
    if (f.kind === 'constant') return `${f.dtype} ${Object.is(f.value, -0) ? '-0' : f.value}`;
    if (f.kind === 'op')
      return `${f.dtype} ${f.op.name}${f.attrsKey} ${f.operands.map((o) => number.get(o)).join(' ')}`;
    const source = f.kind === 'load' ? f.buffer : f.kind === 'random' ? f.key.map((k) => number.get(k)).join(' ') : '';
    return `${f.dtype} ${f.kind} ${source}@${addressKey(f.address)}`;
  });
  return `${lines.join('\n')}\n=> ${roots.map((r) => number.get(r)).join(' ')}`;
}
