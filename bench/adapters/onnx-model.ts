/**
 * Writes ONNX models of one node. Source: onnx.proto of ONNX IR version 10 (field numbers below) and the
 * Protocol Buffers encoding (varints and length-delimited fields are all that is needed).
 */

/** A field of a message: number, and either an integer, a string or bytes (a nested message is bytes). */
type Field = readonly [number: number, value: number | string | Uint8Array];

const VARINT = 0;
const LENGTH_DELIMITED = 2;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}

/** One protobuf message. */
function message(...fields: readonly Field[]): Uint8Array {
  const parts = fields.flatMap(([number, value]): Uint8Array[] => {
    if (typeof value === 'number') return [Uint8Array.from([...varint(number * 8 + VARINT), ...varint(value)])];
    const body = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    return [Uint8Array.from([...varint(number * 8 + LENGTH_DELIMITED), ...varint(body.length)]), body];
  });
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** TensorProto.DataType. */
const DATA_TYPE = { f32: 1, u8: 2 } as const;
/** AttributeProto.AttributeType INT. */
const INT = 2;
const IR_VERSION = 10;
const ONNX_OPSET = 21;

export interface OnnxTensor {
  readonly name: string;
  readonly type: keyof typeof DATA_TYPE;
  readonly shape: readonly number[];
  /** Constants have data; inputs and outputs have none. */
  readonly data?: Uint8Array;
}

export interface OnnxNode {
  readonly operator: string;
  /** Empty for the operators of ONNX itself. */
  readonly domain: string;
  readonly attributes: Readonly<Record<string, number>>;
  /** In the operator's order; those with data become constants, the others inputs of the model. */
  readonly inputs: readonly OnnxTensor[];
  readonly output: OnnxTensor;
}

const valueInfo = ({ name, type, shape }: OnnxTensor): Uint8Array => {
  const dims = shape.map((d): Field => [1, message([1, d])]);
  return message([1, name], [2, message([1, message([1, DATA_TYPE[type]], [2, message(...dims)])])]);
};

const initializer = ({ name, type, shape, data }: OnnxTensor): Uint8Array =>
  message(...shape.map((d): Field => [1, d]), [2, DATA_TYPE[type]], [8, name], [9, data!]);

/** A model whose graph is the one node. */
export function onnxModel({ operator, domain, attributes, inputs, output }: OnnxNode): Uint8Array {
  const node = message(
    ...inputs.map((t): Field => [1, t.name]),
    [2, output.name],
    [4, operator],
    ...Object.entries(attributes).map(([name, i]): Field => [5, message([1, name], [3, i], [20, INT])]),
    [7, domain],
  );
  const graph = message(
    [1, node],
    [2, 'bench'],
    ...inputs.filter((t) => t.data).map((t): Field => [5, initializer(t)]),
    ...inputs.filter((t) => !t.data).map((t): Field => [11, valueInfo(t)]),
    [12, valueInfo(output)],
  );
  const opsets = [message([1, ''], [2, ONNX_OPSET]), message([1, 'com.microsoft'], [2, 1])];
  return message([1, IR_VERSION], [7, graph], ...opsets.map((o): Field => [8, o]));
}
