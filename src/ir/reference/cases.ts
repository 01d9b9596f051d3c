/** Reads the stored reference values and makes a one-op graph of each. */
import { input } from '../build.ts';
import { composites } from '../composites.ts';
import type { DType } from '../dtype.ts';
import { type Attributes, apply, type Graph, type Op } from '../graph.ts';
import type { HostTensor } from '../host-tensor.ts';
import { ops } from '../ops.ts';
import composite from './composite.json' with { type: 'json' };
import contraction from './contraction.json' with { type: 'json' };
import elementwise from './elementwise.json' with { type: 'json' };
import movement from './movement.json' with { type: 'json' };
import reduction from './reduction.json' with { type: 'json' };

/** One application of one op with the result that it should have. */
export interface ReferenceCase {
  readonly name: string;
  readonly op: Op;
  readonly graph: Graph;
  readonly inputs: readonly HostTensor[];
  readonly expected: HostTensor;
}

interface StoredTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: string;
}

interface StoredCase {
  readonly op: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly inputs: readonly StoredTensor[];
  readonly expected: StoredTensor;
}

const bytesOfBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const tensorOf = ({ dtype, shape, data }: StoredTensor): HostTensor => ({
  type: { dtype: dtype as DType, shape },
  bytes: bytesOfBase64(data),
});

function caseOf(stored: StoredCase, number: number): ReferenceCase {
  const op = ({ ...ops, ...composites } as Readonly<Record<string, Op>>)[stored.op]!;
  const { data } = stored.attrs;
  const attrs = { ...stored.attrs, ...(typeof data === 'string' ? { data: bytesOfBase64(data) } : {}) } as Attributes;
  const expected = tensorOf(stored.expected);
  const isInput = op === ops.input;
  const inputs = isInput ? [expected] : stored.inputs.map(tensorOf);
  const values = inputs.map(({ type }, i) => input(i, `operand${i}`, type.dtype, type.shape));
  const result = isInput ? values[0]! : apply(op, values, attrs);
  const types = stored.inputs.map((t) => `${t.dtype}[${t.shape}]`).join(', ');
  return {
    name: `${stored.op}(${types}) #${number}`,
    op,
    graph: { inputs: values, outputs: [result] },
    inputs,
    expected,
  };
}

/** All reference cases, made anew by each call. */
export function loadReferenceCases(): ReferenceCase[] {
  return [elementwise, movement, reduction, contraction, composite]
    .flat()
    .map((stored, i) => caseOf(stored as StoredCase, i));
}
