/**
 * The self-test of `bitloom doctor`: small programs run on a device and on the interpreter, on this
 * machine, with this engine's own code generator. It finds what no test on another machine can find.
 */
import {
  attention,
  build,
  byteLength,
  elementsOf,
  type Graph,
  type HostTensor,
  hostTensor,
  interpret,
  isPacked,
  rmsNorm,
  rope,
  ropeFrequencies,
  softmax,
  swiglu,
  type Value,
} from '../ir/index.ts';
import { activationFor, asNumberFormat, linear, pack, quantize, WEIGHT_FORMATS } from '../quant/index.ts';
import type { Device } from '../tensor/index.ts';

/** One program: its inputs as data, the graph over them, and the largest error that rounding explains. */
interface Case {
  readonly name: string;
  readonly inputs: readonly HostTensor[];
  readonly program: (inputs: readonly Value[]) => Value;
  /** Largest difference allowed, as a share of the largest reference value. */
  readonly tolerance: number;
}

export interface SelfTestResult {
  readonly name: string;
  readonly passed: boolean;
  /** Largest difference from the interpreter, as a share of its largest value; NaN where it did not run. */
  readonly error: number;
  /** Why it failed, for people. */
  readonly reason?: string;
}

/** Numbers in [-1, 1) that are the same everywhere. */
function sample(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

const floats = (shape: readonly number[], seed: number): HostTensor =>
  hostTensor(
    'f32',
    shape,
    sample(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
  );

/** Float products in f32; 2^-24 a step, grown by the length of the sums. */
const FLOAT_ERROR = 1e-5;
/** A quantised activation may round to the next code where the two sides differ in the last bit. */
const CODE_ERROR = 1e-2;

function linearCase(format: (typeof WEIGHT_FORMATS)[number]): Case {
  const [rows, outFeatures, inFeatures] = [3, 40, 256];
  const dtype = format.element;
  const weights = sample(outFeatures * inFeatures, 11);
  const packed: HostTensor = {
    type: { dtype, shape: [outFeatures, inFeatures] },
    bytes: pack(dtype, weights, inFeatures),
  };
  return {
    name: `linear ${format.name}`,
    inputs: [floats([rows, inFeatures], 12), packed],
    program: ([x, w]) =>
      linear(isPacked(dtype) ? quantize(x!, activationFor(asNumberFormat(dtype, 'linear'))) : x!, w!),
    tolerance: isPacked(dtype) ? CODE_ERROR : FLOAT_ERROR,
  };
}

const CASES: readonly Case[] = [
  {
    name: 'fused elementwise',
    inputs: [floats([7, 33], 1), floats([7, 33], 2)],
    program: ([gate, up]) => swiglu(gate!, up!),
    tolerance: FLOAT_ERROR,
  },
  {
    name: 'softmax',
    inputs: [floats([5, 101], 3)],
    program: ([x]) => softmax(x!, 1),
    tolerance: FLOAT_ERROR,
  },
  {
    name: 'rms_norm',
    inputs: [floats([5, 96], 4), floats([96], 5)],
    program: ([x, weight]) => rmsNorm(x!, weight!, 1e-5),
    tolerance: FLOAT_ERROR,
  },
  {
    name: 'rope',
    inputs: [floats([3, 4, 32], 6), hostTensor('i32', [3], [5, 6, 7])],
    program: ([x, positions]) => rope(x!, positions!, 'half', ropeFrequencies(32, 10_000)),
    tolerance: FLOAT_ERROR,
  },
  {
    name: 'attention',
    inputs: [floats([2, 4, 32], 7), floats([2, 48, 32], 8), floats([2, 48, 32], 9), hostTensor('i32', [1], [37])],
    program: ([q, k, v, start]) => attention(q!, k!, v!, start!),
    tolerance: FLOAT_ERROR,
  },
  {
    name: 'matmul f32',
    inputs: [floats([37, 65], 10), floats([65, 43], 11)],
    program: ([a, b]) => build.dotGeneral(a!, b!, { lhsContract: [1], rhsContract: [0] }),
    tolerance: FLOAT_ERROR,
  },
  ...WEIGHT_FORMATS.map(linearCase),
];

/** Runs one graph on a device, from and to host memory. */
async function runOn(device: Device, graph: Graph, inputs: readonly HostTensor[]): Promise<HostTensor> {
  const program = await device.compile(graph, { name: 'self-test' });
  const type = graph.outputs[0]!.type;
  const buffers = [...inputs.map((input) => input.type), type].map((each) => device.allocate(byteLength(each)));
  try {
    inputs.forEach((input, i) => {
      device.bytes(buffers[i]!).set(input.bytes);
    });
    await program.run(buffers.slice(0, -1), buffers.slice(-1));
    return { type, bytes: device.bytes(buffers.at(-1)!).slice(0, byteLength(type)) };
  } finally {
    for (const buffer of buffers) buffer.dispose();
    program.dispose();
  }
}

/** Largest difference as a share of the largest reference value; infinite where one side is not finite. */
function relativeError(actual: HostTensor, expected: HostTensor): number {
  const [got, want] = [elementsOf(actual), elementsOf(expected)];
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < want.length; i++) {
    const gap = Math.abs(got[i]! - want[i]!);
    if (!Number.isFinite(gap)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, gap);
    largest = Math.max(largest, Math.abs(want[i]!));
  }
  return largest === 0 ? difference : difference / largest;
}

/** Compares the device with the interpreter on every case. A case that throws has failed; the rest goes on. */
export async function selfTest(device: Device): Promise<readonly SelfTestResult[]> {
  const results: SelfTestResult[] = [];
  for (const { name, inputs, program, tolerance } of CASES) {
    const leaves = inputs.map(({ type }, i) => build.input(i, `input${i}`, type.dtype, type.shape));
    const graph: Graph = { inputs: leaves, outputs: [program(leaves)] };
    try {
      const error = relativeError(await runOn(device, graph, inputs), interpret(graph, inputs)[0]!);
      const passed = error <= tolerance;
      results.push({ name, passed, error, ...(passed ? {} : { reason: `off by ${error}, allowed ${tolerance}` }) });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      results.push({ name, passed: false, error: Number.NaN, reason });
    }
  }
  return results;
}
