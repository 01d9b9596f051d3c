/**
 * Lowers a kernel to one x86-64 function: statements become virtual code, its registers are allocated, machine code is
 * written. The function takes its arguments above the return address, as words of 64 bits: the buffers' addresses, the
 * thread's number, the number of threads, the thread's scratch, the shared scratch. It keeps no register.
 */

import { operandsOf } from '../../kernel/address.ts';
import type { Expr } from '../../kernel/expression.ts';
import type { Kernel, Statement } from '../../kernel/language.ts';
import { allocateRegisters, type RegisterFile } from './allocate-registers.ts';
import { type Assembler, imm, type Label, type Mnemonic } from './assembler/index.ts';
import type { CodeFeatures } from './features.ts';
import { TileCode } from './tile-code.ts';
import { TileEmulation } from './tile-emulation.ts';
import { ValueCode } from './value-code.ts';
import { VirtualCode } from './virtual-code.ts';
import { CodeWriter } from './write-code.ts';

type StatementOf<Kind extends Statement['kind']> = Extract<Statement, { kind: Kind }>;

/** rax and rdx divide, and carry what has no register; rsp is the stack pointer. */
const GENERAL = [1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const MASKS = [1, 2, 3, 4, 5, 6, 7];

/**
 * Writes the kernel's function at the current place. `barrier` is a routine that keeps all registers and returns once all
 * threads have called it; it takes their number in rax and the thread's own in rdx. Throws INVALID_GRAPH for operations that do not exist on their operands.
 */
export function lowerKernel(out: Assembler, kernel: Kernel, features: CodeFeatures, barrier: Label): void {
  const code = new VirtualCode();
  new StatementCode(kernel, code, out, features, barrier).emit();
  const { items } = code;
  const vectors = upTo(features.avx512 ? 32 : 16);
  const file: RegisterFile = { general: GENERAL, vector: vectors, mask: MASKS };
  const allocation = allocateRegisters(items, code.registers.length, file, {
    vector: vectors.slice(-2),
    mask: MASKS.slice(-2),
  });
  const emulation = features.tiles === 'emulated' ? new TileEmulation(out, kernel.tiles) : undefined;
  new CodeWriter(out, allocation, features, emulation).write(items);
}

class StatementCode {
  readonly #kernel: Kernel;
  readonly #code: VirtualCode;
  readonly #out: Assembler;
  readonly #values: ValueCode;
  readonly #tiles: TileCode;
  readonly #barrier: Label;
  readonly #uses = new Map<number, number>();
  readonly #givenOnce = new Set<number>();

  constructor(kernel: Kernel, code: VirtualCode, out: Assembler, features: CodeFeatures, barrier: Label) {
    this.#kernel = kernel;
    this.#code = code;
    this.#out = out;
    this.#barrier = barrier;
    this.#values = new ValueCode(kernel, code, out, features);
    this.#tiles = new TileCode(kernel, this.#values);
    this.#count(kernel.body, new Map());
  }

  emit(): void {
    this.#tiles.begin();
    this.#block(this.#kernel.body);
    this.#tiles.end();
  }

  /** Counts how often registers are read, and finds those given a value by one statement only. */
  #count(statements: readonly Statement[], given: Map<number, number>): void {
    const read = (e: Expr): void => {
      if (e.kind === 'var') this.#uses.set(e.id, (this.#uses.get(e.id) ?? 0) + 1);
      else for (const x of operandsOf(e)) read(x);
    };
    const give = (id: number): void => {
      const count = (given.get(id) ?? 0) + 1;
      given.set(id, count);
      if (count === 1) this.#givenOnce.add(id);
      else this.#givenOnce.delete(id);
    };
    for (const s of statements) {
      if (s.kind === 'assign') {
        give(s.target.id);
        read(s.value);
      } else if (s.kind === 'store') {
        read(s.byteOffset);
        read(s.value);
      } else if (s.kind === 'tileLoad' || s.kind === 'tileStore' || s.kind === 'prefetch') read(s.byteOffset);
      else if (s.kind === 'loop') {
        give(s.index.id);
        give(s.index.id); // it counts: never given once
        read(s.start);
        read(s.end);
        this.#count(s.body, given);
      } else if (s.kind === 'while') {
        read(s.condition);
        this.#count(s.body, given);
      } else if (s.kind === 'if') {
        read(s.condition);
        this.#count(s.then, given);
        this.#count(s.otherwise, given);
      }
    }
  }

  #block(statements: readonly Statement[]): void {
    for (const s of statements) this.#statement(s);
    this.#values.flush();
  }

  #statement(s: Statement): void {
    switch (s.kind) {
      case 'assign':
        this.#assign(s);
        break;
      case 'store':
        this.#store(s);
        break;
      case 'loop':
        this.#values.flush();
        this.#loop(s);
        break;
      case 'while':
        this.#values.flush();
        this.#while(s);
        break;
      case 'if':
        this.#values.flush();
        this.#if(s);
        break;
      case 'prefetch':
        this.#code.read('prefetcht0', this.#values.address(s));
        break;
      case 'barrier':
        this.#values.flush();
        for (const [fixed, argument] of [
          [0, this.#values.threads],
          [2, this.#values.thread],
        ] as const)
          this.#code.write(
            'mov',
            { register: this.#code.fixed(fixed), kind: 'r64' },
            { register: argument, kind: 'r64' },
          );
        this.#code.read('call', this.#barrier);
        break;
      default:
        if (s.kind === 'tileStore') this.#values.flush({ buffer: s.buffer.index });
        this.#tiles.statement(s);
    }
  }

  #assign(s: StatementOf<'assign'>): void {
    const { target, value } = s;
    const uses = this.#uses.get(target.id) ?? 0;
    if (uses === 0 && this.#givenOnce.has(target.id)) return;
    if (uses === 1 && this.#givenOnce.has(target.id) && this.#defer(target.id, value)) return;
    this.#values.flush({ register: target.id });
    this.#values.emit(value, this.#values.register(target.id));
    this.#values.addresses.forget(s);
  }

  /** Lets a load wait for its only use, repeated or not: it becomes a memory operand there. */
  #defer(id: number, value: Expr): boolean {
    let load = value;
    while (load.kind === 'unary' && (load.op === 'splat' || load.op === 'bits_f32' || load.op === 'bits_i32'))
      load = load.a;
    if (load.kind !== 'load' || (load.memory !== 'f32' && load.memory !== 'i32')) return false;
    const [buffers, registers] = [new Set<number>(), new Set<number>()];
    const visit = (e: Expr): void => {
      if (e.kind === 'var') registers.add(e.id);
      else if (e.kind === 'load' || e.kind === 'expand') buffers.add(e.buffer.index);
      for (const x of operandsOf(e)) visit(x);
    };
    visit(load);
    this.#values.defer(id, { value, buffers, registers });
    return true;
  }

  #store({ memory, buffer, byteOffset, value }: StatementOf<'store'>): void {
    const values = this.#values;
    if (value.type.lanes > 1) {
      // The value first: its register is then as short-lived as the address.
      const computed = values.prepared(value);
      values.flush({ buffer: buffer.index });
      values.store(memory, values.address({ buffer, byteOffset }), computed);
      return;
    }
    const kind = values.kindOf(value.type);
    if (value.kind === 'const') {
      values.flush({ buffer: buffer.index });
      values.storeConstant(memory, values.address({ buffer, byteOffset }), value);
      return;
    }
    const register = values.emit(value);
    values.flush({ buffer: buffer.index });
    const place = values.address({ buffer, byteOffset });
    if (memory === 'f32') this.#code.read(kind === 'xmm' ? 'vmovss' : 'mov', place, { register, kind });
    else
      this.#code.read('mov', place, {
        register,
        kind: memory === 'i32' ? 'r32' : memory.endsWith('16') ? 'r16' : 'r8',
      });
  }

  /** The test stands at the end, so that an iteration costs one branch; a guard skips empty ranges. */
  #loop(s: StatementOf<'loop'>): void {
    const { start, end, step, body } = s;
    const [values, code, out] = [this.#values, this.#code, this.#out];
    const isConstant = start.kind === 'const' && end.kind === 'const';
    if (isConstant && start.value >= end.value) return;
    const register = values.register(s.index.id);
    const index = { register, kind: 'r32' as const };
    const last = end.kind === 'const' ? imm(end.value) : this.#limit(end, s);
    values.emit(start, register);
    values.addresses.forget(s);
    if (isConstant && start.value + step >= end.value) {
      this.#block(body);
      return;
    }
    const skip = out.label();
    if (!isConstant) {
      code.read('cmp', index, last);
      code.read('jge', skip);
    }
    const again = out.label();
    const iterations = (): void =>
      code.region(true, () => {
        code.align();
        code.bind(again);
        this.#block(body);
        code.update('add', index, imm(step));
        code.read('cmp', index, last);
        code.read('jl', again);
      });
    // The guard may skip the sums before the loop, too.
    code.region(false, () => values.addresses.hoisted(s, iterations));
    code.bind(skip);
  }

  /** The end of a loop in a register that the loop does not change. */
  #limit(end: Expr, s: StatementOf<'loop'>) {
    const values = this.#values;
    const isStable = end.kind === 'var' && !values.addresses.assignedBy(s).has(end.id);
    const register = isStable ? values.emit(end) : values.emit(end, values.fresh('r32'));
    return { register, kind: 'r32' as const };
  }

  #while(s: StatementOf<'while'>): void {
    const [values, code, out] = [this.#values, this.#code, this.#out];
    const [again, done] = [out.label(), out.label()];
    values.addresses.hoisted(s, () => {
      code.region(true, () => {
        code.bind(again);
        this.#jumpUnless(s.condition, done);
        this.#block(s.body);
        code.read('jmp', again);
      });
    });
    code.bind(done);
  }

  #if(s: StatementOf<'if'>): void {
    const [values, code, out] = [this.#values, this.#code, this.#out];
    const [otherwise, done] = [out.label(), out.label()];
    const branch = (statements: readonly Statement[]): void =>
      values.addresses.scope(() => code.region(false, () => this.#block(statements)));
    this.#jumpUnless(s.condition, otherwise);
    branch(s.then);
    if (s.otherwise.length > 0) {
      code.read('jmp', done);
      code.bind(otherwise);
      branch(s.otherwise);
    } else code.bind(otherwise);
    code.bind(done);
    values.addresses.forget(s);
  }

  #jumpUnless(condition: Expr, label: Label): void {
    const values = this.#values;
    const holds = values.flags(condition);
    if (holds === undefined) {
      const mask = values.use(condition);
      this.#code.read('test', mask, mask);
      this.#code.read('je', label);
    } else this.#code.read(`j${OPPOSITE[holds]}` as Mnemonic, label);
  }
}

const OPPOSITE: Readonly<Record<string, string>> = {
  e: 'ne',
  ne: 'e',
  l: 'ge',
  ge: 'l',
  g: 'le',
  le: 'g',
  b: 'ae',
  ae: 'b',
  a: 'be',
  be: 'a',
};
