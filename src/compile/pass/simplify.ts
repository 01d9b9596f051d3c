/**
 * Algebraic simplification. Every rule keeps results exact, NaN, infinities and signed zeros included:
 * x + 0 is not x for -0, and x * 0 is not 0 for NaN. Rules ask for op groups where the property is one.
 */

import { full, reshape } from '../../ir/build.ts';
import { DTYPE_BYTES, type DType, isFloat, isInteger, isPacked, isSigned } from '../../ir/dtype.ts';
import { apply, type Op, type OpGroup, type Value } from '../../ir/graph.ts';
import { ops } from '../../ir/ops.ts';
import { sameShape } from '../../ir/shape.ts';
import { splatNumber } from '../splat.ts';
import { attributesKey } from '../structural-key.ts';
import type { Pass } from './pass.ts';

/** Gives an equal, simpler value, or undefined where the rule does not apply. */
type Rule = (value: Value) => Value | undefined;

/** The numbers of a binary op that change nothing on the right (and, where it commutes, on the left). */
function neutral(name: string, dtype: DType): number | undefined {
  switch (name) {
    case 'add':
      return isFloat(dtype) ? -0 : 0;
    case 'sub':
    case 'shift_left':
    case 'shift_right':
      return 0;
    case 'mul':
    case 'div':
    case 'pow':
      return 1;
    case 'xor':
    case 'or':
      return 0;
    case 'and':
      return allOnes(dtype);
    case 'max':
      return isFloat(dtype) ? -Infinity : isSigned(dtype) ? -(2 ** (8 * DTYPE_BYTES[dtype] - 1)) : 0;
    case 'min':
      return isFloat(dtype) ? Infinity : 2 ** (8 * DTYPE_BYTES[dtype] - (isSigned(dtype) ? 1 : 0)) - 1;
    default:
      return undefined;
  }
}

const allOnes = (dtype: DType): number =>
  dtype === 'bool' ? 1 : isSigned(dtype) ? -1 : 2 ** (8 * DTYPE_BYTES[dtype]) - 1;

/** The number that decides a binary op whatever the other operand is. Floats have none: NaN decides more. */
function absorbing(name: string, dtype: DType): number | undefined {
  if (isFloat(dtype)) return undefined;
  if (name === 'mul' || name === 'and') return 0;
  return name === 'or' ? allOnes(dtype) : undefined;
}

const neutralOperand: Rule = ({ op, inputs, type }) => {
  if (inputs.length !== 2 || isPacked(type.dtype)) return undefined;
  const [a, b] = inputs as [Value, Value];
  const number = neutral(op.name, type.dtype);
  if (number === undefined) return undefined;
  if (Object.is(splatNumber(b), number)) return a;
  return op.groups.has('commutative') && Object.is(splatNumber(a), number) ? b : undefined;
};

const absorbingOperand: Rule = ({ op, inputs, type }) => {
  if (inputs.length !== 2 || isPacked(type.dtype)) return undefined;
  const number = absorbing(op.name, type.dtype);
  return number === undefined ? undefined : inputs.find((v) => splatNumber(v) === number);
};

/** f(x, x) = x and f(f(x)) = f(x). */
const idempotent: Rule = (value) => {
  if (!value.op.groups.has('idempotent')) return undefined;
  const [a, b] = value.inputs;
  if (b) return a === b ? a : undefined;
  return a!.op === value.op ? a : undefined;
};

/** f(f(x)) = x. */
const involution: Rule = ({ op, inputs, attrs }) => {
  const [x] = inputs;
  const isTwice = op.groups.has('involution') && x!.op === op && attributesKey(attrs) === attributesKey(x!.attrs);
  return isTwice ? x!.inputs[0] : undefined;
};

/** x - x and x xor x of integers. */
const selfCancelling: Rule = ({ op, inputs, type }) => {
  const cancels = (op.name === 'sub' && isInteger(type.dtype)) || (op.name === 'xor' && !isPacked(type.dtype));
  return cancels && inputs[0] === inputs[1] ? full(type.dtype as DType, type.shape, 0) : undefined;
};

/** (x op c) op d = x op (c op d), where rounding cannot interfere. */
const reassociateConstants: Rule = ({ op, inputs, type }) => {
  const isExact = op.groups.has('associative') && op.groups.has('commutative') && inputs.length === 2;
  if (!isExact || isPacked(type.dtype) || isFloat(type.dtype)) return undefined;
  const [inner, d] = splatNumber(inputs[1]!) === undefined ? [inputs[1]!, inputs[0]!] : [inputs[0]!, inputs[1]!];
  if (inner.op !== op || splatNumber(d) === undefined) return undefined;
  const c = inner.inputs.find((v) => splatNumber(v) !== undefined);
  const x = inner.inputs.find((v) => v !== c);
  if (!c || !x || splatNumber(inner) !== undefined) return undefined;
  return apply(op, [x, apply(op, [c, d])]);
};

const select: Rule = ({ op, inputs }) => {
  if (op.name !== 'select') return undefined;
  const [condition, a, b] = inputs as [Value, Value, Value];
  const known = splatNumber(condition);
  return a === b || known === 1 ? a : known === 0 ? b : undefined;
};

const OPPOSITE: Readonly<Record<string, string>> = { eq: 'ne', ne: 'eq' };

/** not(a = b) is a != b, also for NaN; orderings have no such opposite. */
const notCompare: Rule = ({ op, inputs }) => {
  const [x] = inputs;
  const opposite = op.name === 'not' ? OPPOSITE[x!.op.name] : undefined;
  return opposite && COMPARES[opposite] ? apply(COMPARES[opposite], x!.inputs) : undefined;
};
const COMPARES: Readonly<Record<string, typeof ops.eq>> = { eq: ops.eq, ne: ops.ne };

/** Types whose every number another type represents exactly. */
const WIDER: Partial<Record<DType, readonly DType[]>> = {
  bool: ['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8'],
  i8: ['i32', 'f32', 'f16', 'bf16'],
  u8: ['i32', 'u32', 'f32', 'f16', 'bf16'],
  f16: ['f32'],
  bf16: ['f32'],
};

/** A cast through a type that loses nothing; a cast to the same type. */
const castChain: Rule = ({ op, inputs, type }) => {
  if (op.name !== 'cast') return undefined;
  const [x] = inputs;
  if (x!.type.dtype === type.dtype) return x;
  if (x!.op.name !== 'cast') return undefined;
  const [source] = x!.inputs as [Value];
  if (!WIDER[source.type.dtype as DType]?.includes(x!.type.dtype as DType)) return undefined;
  // An integer goes the same way directly and through a float: what fits is kept, the rest cannot occur.
  const wrapsInstead = isFloat(x!.type.dtype) && isInteger(source.type.dtype) && isInteger(type.dtype);
  if (wrapsInstead) return undefined;
  return source.type.dtype === type.dtype ? source : apply(op, [source], { dtype: type.dtype });
};

const numbers = (value: Value, key: string): readonly number[] => value.attrs[key] as readonly number[];

/** Views that move nothing. */
const idleView: Rule = (value) => {
  const { op, inputs, type } = value;
  if (!op.groups.has('view')) return undefined;
  const [x] = inputs;
  if (op.name === 'bitcast')
    return x!.type.dtype === type.dtype && sameShape(x!.type.shape, type.shape) ? x : undefined;
  if (op.name === 'concat') return inputs.length === 1 ? x : undefined;
  if (!sameShape(x!.type.shape, type.shape)) return undefined;
  if (op.name === 'transpose') return numbers(value, 'perm').every((axis, i) => axis === i) ? x : undefined;
  if (op.name === 'reverse') return numbers(value, 'axes').every((axis) => type.shape[axis]! <= 1) ? x : undefined;
  return x; // broadcast, reshape, slice, pad: of the same shape, they are whole
};

/** Two views of a kind become one. */
const doubleView: Rule = (value) => {
  const [x] = value.inputs;
  if (!x || x.op !== value.op) return undefined;
  const [source] = x.inputs as [Value];
  switch (value.op.name) {
    case 'reshape':
      return reshape(source, value.type.shape);
    case 'transpose':
      return apply(value.op, [source], { perm: numbers(value, 'perm').map((axis) => numbers(x, 'perm')[axis]!) });
    case 'broadcast':
      return apply(value.op, [source], {
        ...value.attrs,
        axes: numbers(x, 'axes').map((axis) => numbers(value, 'axes')[axis]!),
      });
    case 'slice':
      return composeSlices(value, x, source);
    case 'bitcast':
      return bitcastThrough(value, source);
    default:
      return undefined;
  }
};

/** Bits read as one type after another, where the shapes let the first be read as the last at once. */
function bitcastThrough(value: Value, source: Value): Value | undefined {
  const { dtype, shape } = value.type;
  if (dtype === source.type.dtype && sameShape(shape, source.type.shape)) return source;
  if (isPacked(dtype) || isPacked(source.type.dtype)) return undefined;
  const isPlain = DTYPE_BYTES[dtype] === DTYPE_BYTES[source.type.dtype];
  return isPlain && sameShape(shape, source.type.shape) ? apply(value.op, [source], value.attrs) : undefined;
}

function composeSlices(outer: Value, inner: Value, source: Value): Value {
  const [start, step] = [numbers(inner, 'starts'), numbers(inner, 'strides')];
  const starts = start.map((s, i) => s + numbers(outer, 'starts')[i]! * step[i]!);
  const strides = step.map((s, i) => s * numbers(outer, 'strides')[i]!);
  const limits = starts.map((s, i) => {
    const count = outer.type.shape[i]!;
    return count === 0 ? s : s + (count - 1) * strides[i]! + 1;
  });
  // An empty slice may begin at the end of its operand, where no composed start would be valid.
  const isEmpty = (i: number) => outer.type.shape[i] === 0;
  return apply(outer.op, [source], {
    starts: starts.map((s, i) => (isEmpty(i) ? 0 : s)),
    limits: limits.map((l, i) => (isEmpty(i) ? 0 : l)),
    strides,
  });
}

/** Slices that start at run time and yet take everything. */
const wholeDynamicSlice: Rule = ({ op, inputs, type }) => {
  if (op.name === 'dynamic_slice') return sameShape(inputs[0]!.type.shape, type.shape) ? inputs[0] : undefined;
  if (op.name !== 'dynamic_update_slice') return undefined;
  return sameShape(inputs[1]!.type.shape, type.shape) ? inputs[1] : undefined;
};

const isBinary = ({ arity }: Op): boolean => arity === 2;
const has =
  (group: OpGroup) =>
  ({ groups }: Op): boolean =>
    groups.has(group);
const named =
  (...names: readonly string[]) =>
  ({ name }: Op): boolean =>
    names.includes(name);

/** Each rule with the ops that it can apply to. */
const RULES: readonly (readonly [(op: Op) => boolean, Rule])[] = [
  [isBinary, neutralOperand],
  [isBinary, absorbingOperand],
  [has('idempotent'), idempotent],
  [has('involution'), involution],
  [named('sub', 'xor'), selfCancelling],
  [has('associative'), reassociateConstants],
  [named('select'), select],
  [named('not'), notCompare],
  [named('cast'), castChain],
  [has('view'), idleView],
  [has('view'), doubleView],
  [named('dynamic_slice', 'dynamic_update_slice'), wholeDynamicSlice],
];

/** Applies all rules to every value, operands first. */
export const simplify: Pass = {
  name: 'simplify',
  start() {
    const rulesOf = new Map<Op, Rule[]>();
    return (value) => {
      let rules = rulesOf.get(value.op);
      if (!rules) {
        rules = RULES.filter(([applies]) => applies(value.op)).map(([, rule]) => rule);
        rulesOf.set(value.op, rules);
      }
      for (const rule of rules) {
        const simpler = rule(value);
        if (simpler) return simpler;
      }
      return value;
    };
  },
};
