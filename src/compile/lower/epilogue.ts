/**
 * Epilogues: elementwise work behind a hot kernel's result becomes part of that kernel, where the
 * template takes it and every operand lies like the result or is one row for all rows.
 */
import type { DType } from '../../ir/dtype.ts';
import type { Value } from '../../ir/graph.ts';
import { elementCount, rowMajorStrides, type Shape, type TensorType } from '../../ir/shape.ts';
import { constant, type Expr, splat, vectorType } from '../../kernel/expression.ts';
import type { KernelBuilder } from '../../kernel/language.ts';
import type { Epilogue } from '../../kernel/template.ts';
import type { Fusion, Group, LoopGroup, LoweredEpilogue } from '../fuse/group.ts';
import { shortHash } from '../structural-key.ts';
import { decode, encode, REGISTER } from './element-type.ts';
import { elementwise, isVectorOp } from './elementwise.ts';
import { type Address, type Formula, FormulaBuilder, formulaKey, OperandList, subFormulas } from './formula.ts';
import { type Nest, simplifyAxes } from './loop-axes.ts';

type Load = Formula & { kind: 'load' };

const product = (sizes: readonly number[]): number => sizes.reduce((n, e) => n * e, 1);

const isLike = (a: Address, b: Address): boolean =>
  a.constant === b.constant && a.dynamic.length === 0 && a.strides.every((s, i) => s === b.strides[i]);

/** Whether an address walks one row of `columns` elements again for every row of a row-major nest. */
function isRow({ constant: first, strides, dynamic }: Address, extents: readonly number[], columns: number): boolean {
  const start = extents.findIndex((_, i) => product(extents.slice(i)) === columns);
  if (first !== 0 || dynamic.length > 0 || start < 0) return false;
  const within = rowMajorStrides(extents.slice(start));
  return strides.every((s, i) => s === (i < start ? 0 : within[i - start]));
}

/** Whether an address is that of the channel of each element of a row-major [batch, channels, ...space]. */
function isChannel({ constant: first, strides, dynamic }: Address, extents: readonly number[], shape: Shape): boolean {
  if (shape.length < 3 || first !== 0 || dynamic.length > 0) return false;
  const inner = product(shape.slice(2));
  const from = (size: number): number => extents.findIndex((_, i) => product(extents.slice(i)) === size);
  const [start, end] = [from(shape[1]! * inner), inner === 1 ? extents.length : from(inner)];
  if (start < 0 || end < start) return false;
  const within = rowMajorStrides(extents.slice(start, end));
  return strides.every((s, i) => s === (i < start || i >= end ? 0 : within[i - start]));
}

/** The type that a load has for the template; undefined where the template could not load it. */
function operandType(f: Load, nest: Nest, result: TensorType): TensorType | undefined {
  if (f.dtype !== 'f32') return undefined;
  if (isLike(f.address, nest.target)) return { dtype: 'f32', shape: result.shape };
  const columns = result.shape.at(-1) ?? 1;
  if (isRow(f.address, nest.extents, columns)) return { dtype: 'f32', shape: [columns] };
  if (!isChannel(f.address, nest.extents, result.shape)) return undefined;
  return { dtype: 'f32', shape: result.shape.slice(1).map((size, axis) => (axis === 0 ? size : 1)) };
}

/** One vector (or element) of a formula whose loads are given. */
function evaluate(k: KernelBuilder, root: Formula, given: ReadonlyMap<Formula, Expr>, lanes: number): Expr {
  const known = new Map<Formula, Expr>(given);
  for (const f of subFormulas([root])) {
    if (known.has(f)) continue;
    if (f.kind === 'constant') known.set(f, constantOf(f, lanes));
    if (f.kind !== 'op') continue;
    const operands = f.operands.map((o) => known.get(o)!);
    const result = k.let(elementwise(k, f.op.name, operands, f.operands.at(-1)!.dtype, f.dtype));
    known.set(f, f.dtype === 'f16' || f.dtype === 'bf16' ? k.let(decode(f.dtype, encode(k, f.dtype, result))) : result);
  }
  return known.get(root)!;
}

const constantOf = ({ dtype, value }: { dtype: DType; value: number }, lanes: number): Expr =>
  splat(constant(vectorType(REGISTER[dtype], 1), value), lanes);

/** Everything but elementwise arithmetic and loads has no place behind a template. */
function isPlain(f: Formula): boolean {
  if (f.kind === 'constant') return f.dtype !== 'bool';
  return (
    f.kind === 'load' || (f.kind === 'op' && f.op.name !== 'bitcast' && isVectorOp(f.op.name, f.operands.at(-1)!.dtype))
  );
}

/** The loop `group` as an epilogue behind `result`; undefined where it cannot be one. */
function epilogueBehind(group: LoopGroup, result: Value, fusion: Fusion): LoweredEpilogue | undefined {
  const { space, source, target } = group.parts[0]!;
  if (group.root.type.dtype !== 'f32' || result.type.dtype !== 'f32') return undefined;
  if (elementCount(group.root.type.shape) !== elementCount(result.type.shape)) return undefined;
  const list = new OperandList();
  const builder = new FormulaBuilder(space, (v) => v !== group.root && (v === result || fusion.stored.has(v)), list);
  const formula = builder.formula(source);
  const nest = simplifyAxes({
    extents: space.extents,
    formula,
    target: builder.address(space.linear(target, group.root.type.shape)),
    keptAxes: space.extents.length,
  });
  const all = subFormulas([nest.formula]);
  const loads = all.filter((f): f is Load => f.kind === 'load');
  const own = loads.filter((f) => list.values[f.buffer] === result);
  const others = loads.filter((f) => list.values[f.buffer] !== result);
  if (!all.every(isPlain) || own.length === 0 || !own.every((f) => isLike(f.address, nest.target))) return undefined;
  const types = others.map((f) => operandType(f, nest, result.type));
  if (types.some((t) => t === undefined)) return undefined;
  const epilogue: Epilogue = {
    key: `${group.root.op.name}_${shortHash(`${formulaKey([nest.formula])} ${list.values.indexOf(result)}`)}`,
    operands: types as TensorType[],
    apply(k, value, operands) {
      const given = new Map<Formula, Expr>([
        ...own.map((f) => [f, value] as const),
        ...others.map((f, i) => [f, operands[i]!] as const),
      ]);
      return evaluate(k, nest.formula, given, value.type.lanes);
    },
  };
  return { epilogue, operands: others.map((f) => list.values[f.buffer]!) };
}

/** Moves loop groups behind the template whose result they read, latest templates first. */
export function absorbEpilogues(fusion: Fusion): Fusion {
  const replaced = new Map<Group, Group | undefined>();
  const stored = new Set(fusion.stored);
  for (const group of fusion.groups.toReversed()) {
    if (group.kind !== 'template') continue;
    const loop = fusion.soleLoops.get(group.result);
    if (!loop || replaced.has(loop)) continue;
    const lowered = epilogueBehind(loop, group.result, fusion);
    if (!lowered || !group.template.supports({ ...group.request, epilogue: lowered.epilogue })) continue;
    replaced.set(loop, { ...group, root: loop.root, epilogue: lowered });
    replaced.set(group, undefined);
    stored.delete(group.result);
  }
  const groups = fusion.groups.flatMap((g) => (replaced.has(g) ? (replaced.get(g) ?? []) : g));
  return { ...fusion, groups, stored };
}
