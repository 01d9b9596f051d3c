/**
 * Lowers a kernel to one WebAssembly function: from the kernel language straight to bytes. Engines
 * allocate registers, number values and schedule; here stays what they cannot know: addresses split
 * into constant, loop-invariant and changing parts, and the choice of instructions by features.
 */
import { BitloomError } from '../../ir/error.ts';
import type { Kernel, Statement } from '../../kernel/language.ts';
import type { FunctionBuilder, ModuleBuilder, ValueType } from './encoder.ts';
import { type CodeFeatures, ExpressionCode } from './expression-code.ts';
import { STORE_SCALAR, STORE_VECTOR } from './instructions.ts';

type StatementOf<Kind extends Statement['kind']> = Extract<Statement, { kind: Kind }>;

/**
 * Adds the kernel's function `(buffers..., thread, threads, threadScratch, sharedScratch)`, all i32.
 * `barrier` is the index of a function that takes the number of threads and waits for them.
 * Throws INVALID_GRAPH for operations that do not exist on their operands.
 */
export function lowerKernel(
  module: ModuleBuilder,
  kernel: Kernel,
  features: CodeFeatures,
  barrier: number,
): FunctionBuilder {
  const params = new Array<ValueType>(kernel.buffers.length + 4).fill('i32');
  const code = module.function(kernel.name, params);
  new StatementCode(kernel, code, features, barrier).block(kernel.body);
  return code;
}

class StatementCode {
  readonly #code: FunctionBuilder;
  readonly #values: ExpressionCode;
  readonly #barrier: number;
  readonly #threadsParameter: number;

  constructor(kernel: Kernel, code: FunctionBuilder, features: CodeFeatures, barrier: number) {
    this.#code = code;
    this.#values = new ExpressionCode(kernel, code, features);
    this.#barrier = barrier;
    this.#threadsParameter = kernel.buffers.length + 1;
  }

  block(statements: readonly Statement[]): void {
    for (const s of statements) this.#statement(s);
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
        this.#loop(s);
        break;
      case 'while':
        this.#while(s);
        break;
      case 'if':
        this.#if(s);
        break;
      case 'prefetch':
        break; // engines leave that to the processor
      case 'barrier':
        this.#code.get(this.#threadsParameter).call(this.#barrier);
        break;
      default:
        throw new BitloomError('INVALID_GRAPH', `WebAssembly has no tiles for ${s.kind}`);
    }
  }

  #assign(s: StatementOf<'assign'>): void {
    this.#values.emit(s.value);
    this.#code.set(this.#values.local(s.target.id));
    this.#values.addresses.forget(s);
  }

  #store({ memory, buffer, byteOffset, value }: StatementOf<'store'>): void {
    const code = this.#code;
    const offset = this.#values.addresses.push(buffer.index, byteOffset);
    this.#values.emit(value);
    if (value.type.lanes === 1) {
      code.op(STORE_SCALAR[memory], offset);
      return;
    }
    const { op, keptBytes } = STORE_VECTOR[memory];
    if (keptBytes.length > 0) {
      const wide = code.local('v128');
      code.tee(wide).get(wide);
      code.shuffle(Array.from({ length: 16 }, (_, i) => keptBytes[i % keptBytes.length]!));
    }
    code.op(op, offset, 0);
  }

  /** The test stands at the end, so that an iteration costs one branch; a guard skips empty ranges. */
  #loop(s: StatementOf<'loop'>): void {
    const { start, end, step, body } = s;
    const code = this.#code;
    const isConstant = start.kind === 'const' && end.kind === 'const';
    if (isConstant && start.value >= end.value) return;
    const index = this.#values.local(s.index.id);
    const last = this.#values.bind(end);
    this.#values.emit(start);
    code.set(index);
    this.#values.addresses.forget(s);
    if (isConstant && start.value + step >= end.value) {
      this.block(body);
      return;
    }
    const isLess = () => {
      this.#values.emit(last);
      code.op('i32.lt_s');
    };
    if (!isConstant) {
      code.get(index);
      isLess();
      code.if();
    }
    this.#values.addresses.hoisted(s, () => {
      const again = code.loop();
      this.block(body);
      code.get(index).i32(step).op('i32.add').tee(index);
      isLess();
      code.brIf(again).end();
    });
    if (!isConstant) code.end();
  }

  #while(s: StatementOf<'while'>): void {
    const code = this.#code;
    this.#values.addresses.hoisted(s, () => {
      const again = code.loop();
      this.#values.emit(s.condition);
      code.if();
      this.block(s.body);
      code.br(again).end().end();
    });
  }

  #if(s: StatementOf<'if'>): void {
    const { addresses } = this.#values;
    this.#values.emit(s.condition);
    this.#code.if();
    addresses.scope(() => this.block(s.then));
    if (s.otherwise.length > 0) {
      this.#code.else();
      addresses.scope(() => this.block(s.otherwise));
    }
    this.#code.end();
    addresses.forget(s);
  }
}
