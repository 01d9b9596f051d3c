/** A compiled graph on a device: runs without allocating, and tells how it was compiled. */
import { BitloomError } from '../ir/error.ts';
import type { TensorType } from '../ir/shape.ts';
import { byteLength } from '../ir/shape.ts';
import { typeName } from '../ir/op/rule.ts';
import type { CompiledPlan, DeviceBuffer, Target } from '../target/target.ts';
import type { CompileReport } from './report.ts';

/** What a program takes and gives, in the order of `run`'s arguments. */
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
  /** Least bytes of each argument. */
  readonly #types: readonly TensorType[];
  #isDisposed = false;

  constructor(signature: ProgramSignature, target: Target, compiled: CompiledPlan, constants: DeviceBuffer | undefined, report: CompileReport) {
    this.inputs = signature.inputs;
    this.outputs = signature.outputs;
    this.donors = signature.donors;
    this.report = report;
    this.#target = target;
    this.#compiled = compiled;
    this.#constants = constants;
    this.#types = [...this.inputs, ...this.outputs.filter((_, i) => this.donors[i] === undefined)];
  }

  /**
   * Runs the program. `args`: a buffer for each input, then one for each output that has no donor, in
   * order. Donated inputs hold their outputs afterwards. Throws INVALID_ARGUMENT, DISPOSED.
   */
  async run(args: readonly DeviceBuffer[]): Promise<void> {
    if (this.#isDisposed) throw new BitloomError('DISPOSED', `program ${this.report.name} was disposed; compile it again`);
    this.#check(args);
    for (let i = 0; i < args.length; i++) this.#args[i] = args[i]!;
    if (this.#constants) this.#args[args.length] = this.#constants;
    await this.#target.run(this.#compiled, this.#args);
  }

  #check(args: readonly DeviceBuffer[]): void {
    const types = this.#types;
    if (args.length !== types.length) {
      throw new BitloomError('INVALID_ARGUMENT', `program ${this.report.name} takes ${types.length} buffers, not ${args.length}`);
    }
    for (let i = 0; i < types.length; i++) {
      const needed = byteLength(types[i]!);
      if (args[i]!.byteLength >= needed) continue;
      const what = i < this.inputs.length ? `input ${i}` : `the buffer of output number ${i - this.inputs.length}`;
      throw new BitloomError('INVALID_ARGUMENT', `${what} needs ${needed} bytes for ${typeName(types[i]!)}, got ${args[i]!.byteLength}`);
    }
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
