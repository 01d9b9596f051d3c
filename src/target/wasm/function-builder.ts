/**
 * Writes the body of one WebAssembly function, instruction by instruction.
 * Spec: WebAssembly Core Specification 3.0, section 5.4 (instructions), and the threads proposal.
 */
import { BitloomError } from '../../ir/error.ts';
import { ByteWriter } from './byte-writer.ts';
import { type Opcode, type OpcodeName, opcodeTable } from './opcodes.ts';

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

/** Bytes that name types in the binary format. */
export const VALUE_TYPE: Readonly<Record<ValueType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
};
const NO_RESULT = 0x40;
/** The instruction that closes blocks, bodies and constant expressions. */
export const END = 0x0b;

let cachedOpcodes: Record<OpcodeName, Opcode> | undefined;
/** The instruction table, made once at first use. */
export function opcodes(): Record<OpcodeName, Opcode> {
  cachedOpcodes ??= opcodeTable();
  return cachedOpcodes;
}

/** A target for branches: the nesting depth at which its block stands. */
export type Label = number & { readonly label: unique symbol };

/** Writes the body of one function. Locals may be declared at any point; operands go on wasm's stack. */
export class FunctionBuilder {
  /** Index for `call`, counted after the imported functions. */
  readonly index: number;
  readonly name: string;
  readonly typeIndex: number;
  readonly #prologue = new ByteWriter(64);
  readonly #code = new ByteWriter(1024);
  readonly #constants = new Map<string, number>();
  readonly #locals: ValueType[] = [];
  readonly #nParams: number;
  readonly #opcodes = opcodes();
  #depth = 0;

  constructor(index: number, name: string, typeIndex: number, nParams: number) {
    this.index = index;
    this.name = name;
    this.typeIndex = typeIndex;
    this.#nParams = nParams;
  }

  /** Declares a local and gives its index; parameters have the indices before. */
  local(type: ValueType): number {
    return this.#nParams + this.#locals.push(type) - 1;
  }

  /**
   * Emits one instruction of the table. Memory accesses take a byte offset (0..2^32-1) and lane
   * accesses a lane index; an access to a lane in memory takes both, offset first.
   */
  op(name: OpcodeName, first = 0, second = 0): this {
    const { prefix, code, immediate, alignLog2, tail } = this.#opcodes[name];
    const out = this.#code;
    if (prefix === 0) out.u8(code);
    else {
      out.u8(prefix);
      out.u32(code);
    }
    if (immediate === 'memory' || immediate === 'memoryLane') {
      out.u32(alignLog2);
      out.u32(first);
      if (immediate === 'memoryLane') out.u8(second);
    } else if (immediate === 'lane') out.u8(first);
    if (tail.length > 0) out.append(tail);
    return this;
  }

  i32(value: number): this {
    this.#code.u8(0x41);
    this.#code.s32(value);
    return this;
  }

  i64(value: bigint): this {
    this.#code.u8(0x42);
    this.#code.s64(value);
    return this;
  }

  f32(value: number): this {
    this.#code.u8(0x43);
    this.#code.f32(value);
    return this;
  }

  f64(value: number): this {
    this.#code.u8(0x44);
    this.#code.f64(value);
    return this;
  }

  /** A constant vector from its sixteen bytes, lowest lane first. */
  v128(bytes: ArrayLike<number>): this {
    writeBytes16(this.#code, 0x0c, bytes);
    return this;
  }

  /**
   * The local that holds a vector constant from the function's entry on. Engines make `v128.const`
   * anew at each use, with several instructions; in loops a local is cheaper.
   */
  constant(bytes: ArrayLike<number>): number {
    const key = String(bytes);
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const local = this.local('v128');
    this.#constants.set(key, local);
    writeBytes16(this.#prologue, 0x0c, bytes);
    this.#prologue.u8(0x21);
    this.#prologue.u32(local);
    return local;
  }

  /** Picks sixteen bytes from two vectors: 0..15 name the first, 16..31 the second. */
  shuffle(lanes: ArrayLike<number>): this {
    writeBytes16(this.#code, 0x0d, lanes);
    return this;
  }

  #indexed(code: number, index: number): this {
    this.#code.u8(code);
    this.#code.u32(index);
    return this;
  }

  get(local: number): this {
    return this.#indexed(0x20, local);
  }

  set(local: number): this {
    return this.#indexed(0x21, local);
  }

  /** Sets a local and keeps the value on the stack. */
  tee(local: number): this {
    return this.#indexed(0x22, local);
  }

  globalGet(index: number): this {
    return this.#indexed(0x23, index);
  }

  globalSet(index: number): this {
    return this.#indexed(0x24, index);
  }

  call(functionIndex: number): this {
    return this.#indexed(0x10, functionIndex);
  }

  drop(): this {
    this.#code.u8(0x1a);
    return this;
  }

  /** Takes two values and a condition; keeps the first where the condition is not zero. */
  select(type: ValueType): this {
    this.#code.append([0x1c, 1, VALUE_TYPE[type]]);
    return this;
  }

  return(): this {
    this.#code.u8(0x0f);
    return this;
  }

  #open(code: number, result: ValueType | undefined): Label {
    this.#code.u8(code);
    this.#code.u8(result === undefined ? NO_RESULT : VALUE_TYPE[result]);
    return this.#depth++ as Label;
  }

  /** Opens a block; branching to its label leaves it. Close with `end`. */
  block(result?: ValueType): Label {
    return this.#open(0x02, result);
  }

  /** Opens a loop; branching to its label starts it again. Close with `end`. */
  loop(result?: ValueType): Label {
    return this.#open(0x03, result);
  }

  /** Takes a condition and opens its true arm. Close with `end`, perhaps after `else`. */
  if(result?: ValueType): Label {
    return this.#open(0x04, result);
  }

  else(): this {
    this.#code.u8(0x05);
    return this;
  }

  end(): this {
    this.#depth--;
    this.#code.u8(END);
    return this;
  }

  br(label: Label): this {
    return this.#indexed(0x0c, this.#depth - 1 - label);
  }

  /** Takes a condition and branches where it is not zero. */
  brIf(label: Label): this {
    return this.#indexed(0x0d, this.#depth - 1 - label);
  }

  /** Takes an index and branches to that label, or to `fallback` where there is none. */
  brTable(labels: readonly Label[], fallback: Label): this {
    this.#indexed(0x0e, labels.length);
    for (const label of [...labels, fallback]) this.#code.u32(this.#depth - 1 - label);
    return this;
  }

  /** Writes locals and code as an entry of the code section. */
  writeTo(out: ByteWriter): void {
    if (this.#depth !== 0) {
      throw new BitloomError('INVALID_GRAPH', `function ${this.name} has ${this.#depth} open blocks at its end`);
    }
    const header = new ByteWriter(64);
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    header.u32(runs.length);
    for (const { type, count } of runs) {
      header.u32(count);
      header.u8(VALUE_TYPE[type]);
    }
    out.u32(header.length + this.#prologue.length + this.#code.length + 1);
    out.append(header.bytes());
    out.append(this.#prologue.bytes());
    out.append(this.#code.bytes());
    out.u8(END);
  }
}

function writeBytes16(out: ByteWriter, code: number, bytes: ArrayLike<number>): void {
  if (bytes.length !== 16) {
    throw new BitloomError('INVALID_ARGUMENT', `a 128-bit immediate has 16 bytes, not ${bytes.length}`);
  }
  out.u8(0xfd);
  out.u8(code);
  out.append(bytes);
}
