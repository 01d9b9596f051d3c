/** A compiled graph on a device: runs without allocating, and tells how it was compiled. */
import { BitloomError } from '../ir/error.ts';
import { typeName } from '../ir/op/rule.ts';
import type { TensorType } from '../ir/shape.ts';
import { byteLength } from '../ir/shape.ts';
import type { CompiledPlan, DeviceBuffer, Pause, Target } from '../target/target.ts';
import type { CompileReport } from './report.ts';

/** What a program takes and gives. */
export interface ProgramSignature {
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
  /** For each output, the input whose memory it is made in; undefined where the caller gives a buffer. */
  readonly donors: readonly (number | undefined)[];
}

export class Program {
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
  readonly donors: readonly (number | undefined)[];
  readonly report: CompileReport;
  readonly #target: Target;
  readonly #compiled: CompiledPlan;
  readonly #constants: DeviceBuffer | undefined;
  /** Arguments of the plan: inputs, outputs, constants. Filled anew by each run. */
  readonly #args: DeviceBuffer[] = [];
  #isDisposed = false;

  constructor(
    signature: ProgramSignature,
    target: Target,
    compiled: CompiledPlan,
    constants: DeviceBuffer | undefined,
    report: CompileReport,
  ) {
    this.inputs = signature.inputs;
    this.outputs = signature.outputs;
    this.donors = signature.donors;
    this.report = report;
    this.#target = target;
    this.#compiled = compiled;
    this.#constants = constants;
  }

  /**
   * Runs the program, with pauses in it where there is something to do in them. A donated output is made in its
   * input's memory: its place in `outputs` is not looked at. Throws INVALID_ARGUMENT, DISPOSED.
   */
  async run(inputs: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[], pause?: Pause): Promise<void> {
    const { name } = this.report;
    if (this.#isDisposed) throw new BitloomError('DISPOSED', `program ${name} was disposed; compile it again`);
    if (inputs.length !== this.inputs.length || outputs.length !== this.outputs.length) {
      const counts = `${this.inputs.length} inputs and ${this.outputs.length} outputs, not ${inputs.length} and ${outputs.length}`;
      throw new BitloomError('INVALID_ARGUMENT', `program ${name} takes ${counts}`);
    }
    let at = 0;
    for (let i = 0; i < inputs.length; i++) this.#args[at++] = checked(inputs[i]!, this.inputs[i]!, 'input', i);
    for (let i = 0; i < outputs.length; i++) {
      if (this.donors[i] === undefined) this.#args[at++] = checked(outputs[i]!, this.outputs[i]!, 'output', i);
    }
    if (this.#constants) this.#args[at] = this.#constants;
    await this.#target.run(this.#compiled, this.#args, pause);
  }

  /** Frees code, arena and constants. May be called twice. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#compiled.dispose();
    this.#constants?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function checked(buffer: DeviceBuffer, type: TensorType, what: string, index: number): DeviceBuffer {
  const needed = byteLength(type);
  if (buffer.byteLength >= needed) return buffer;
  throw new BitloomError(
    'INVALID_ARGUMENT',
    `${what} ${index} needs ${needed} bytes for ${typeName(type)}, got ${buffer.byteLength}`,
  );
}
