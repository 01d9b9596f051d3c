/** Prints graphs as one line a value, numbered in order: `%2 = add(%0, %1) : f32[2, 3]`. */
import { dtypeName, type ElementType } from './dtype.ts';
import { type Attribute, type Attributes, type Graph, topologicalOrder, type Value } from './graph.ts';
import { elementsOf } from './host-tensor.ts';
import { typeName } from './op/rule.ts';
import { byteLength } from './shape.ts';

/** Elements of a constant that are printed before `...`. */
const SHOWN_ELEMENTS = 4;

function attributeText(value: Attribute): string {
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`;
  if (Array.isArray(value)) return `[${value.map(attributeText).join(', ')}]`;
  if (typeof value === 'object' && value !== null) return dtypeName(value as ElementType);
  return typeof value === 'string' ? JSON.stringify(value) : Object.is(value, -0) ? '-0' : String(value);
}

/** Attributes that the printed type does not tell. */
function attributesText(attrs: Attributes): string {
  const told = Object.entries(attrs).filter(([key]) => key !== 'shape' && key !== 'dtype' && key !== 'data');
  return told.length > 0 ? ` {${told.map(([key, value]) => `${key}: ${attributeText(value)}`).join(', ')}}` : '';
}

function constantText(value: Value): string {
  const bytes = value.attrs.data as Uint8Array;
  if (bytes.byteLength !== byteLength(value.type)) return `(${attributeText(bytes)})`;
  const elements = elementsOf({ type: value.type, bytes });
  const shown = Array.from(elements.subarray(0, SHOWN_ELEMENTS), attributeText).join(', ');
  return `(${shown}${elements.length > SHOWN_ELEMENTS ? ', ...' : ''})`;
}

/** Prints values in the given order; operands outside of them print as their type. */
export function printValues(values: readonly Value[]): string {
  const number = new Map(values.map((value, i) => [value, i]));
  const operand = (v: Value) => (number.has(v) ? `%${number.get(v)}` : typeName(v.type));
  const line = (value: Value) => {
    const operands =
      'data' in value.attrs
        ? constantText(value)
        : value.inputs.length > 0
          ? `(${value.inputs.map(operand).join(', ')})`
          : '';
    return `%${number.get(value)} = ${value.op.name}${operands}${attributesText(value.attrs)} : ${typeName(value.type)}`;
  };
  return values.map(line).join('\n');
}

/** Prints a whole program: inputs first, then what its outputs need, then which they are. */
export function printGraph(graph: Graph): string {
  const values = [...graph.inputs, ...topologicalOrder(graph.outputs, graph.inputs)];
  const number = new Map(values.map((value, i) => [value, i]));
  return `${printValues(values)}\nreturn ${graph.outputs.map((v) => `%${number.get(v)}`).join(', ')}\n`;
}
