/** Recognises values whose elements are all the same known number. */
import { isPacked } from '../ir/dtype.ts';
import type { Value } from '../ir/graph.ts';
import { type Elements, elementsOf } from '../ir/host-tensor.ts';

const VIEWS_OF_ONE_VALUE: ReadonlySet<string> = new Set(['broadcast', 'reshape', 'transpose', 'slice', 'reverse']);

/** Constants above this many bytes are not looked through. */
const LARGEST_SCANNED_BYTES = 4096;

/** Longer chains of views are not looked through: they shrink to one where passes run. */
const MOST_VIEWS = 16;

/** Decoded elements of a small plain constant. */
export function constantElements(value: Value): Elements | undefined {
  if (value.op.name !== 'constant' || isPacked(value.type.dtype)) return undefined;
  const bytes = value.attrs.data as Uint8Array;
  return bytes.byteLength <= LARGEST_SCANNED_BYTES ? elementsOf({ type: value.type, bytes }) : undefined;
}

/** The number that every element of a constant (or of a view of one) is; undefined if there is none. */
export function splatNumber(value: Value): number | undefined {
  let source = value;
  for (let depth = 0; depth < MOST_VIEWS && VIEWS_OF_ONE_VALUE.has(source.op.name); depth++) source = source.inputs[0]!;
  const elements = constantElements(source);
  if (!elements || elements.length === 0) return undefined;
  const first = elements[0]!;
  for (const element of elements) if (!Object.is(element, first)) return undefined;
  return first;
}
