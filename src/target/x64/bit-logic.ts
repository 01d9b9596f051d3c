/**
 * Logic on bits of i32 vectors in fewer instructions than operations, where the processor has AVX-512: two operations on
 * three operands as one (VPTERNLOG), and a shift with a mask that keeps every bit in its byte as one product with a matrix
 * of bits (GF2P8AFFINE). Codes of a few bits are taken apart by little else.
 */
import type { BinaryOp, Expr } from '../../kernel/expression.ts';
import { imm } from './assembler/index.ts';
import type { ExprOf, ValueCode } from './value-code.ts';
import type { VirtualRegister } from './virtual-code.ts';

type Logic = ExprOf<'binary'> & { readonly op: 'and' | 'or' | 'xor' };

const LOGIC: ReadonlySet<BinaryOp> = new Set(['and', 'or', 'xor'] as const);
const MEANING = {
  and: (a: number, b: number) => a & b,
  or: (a: number, b: number) => a | b,
  xor: (a: number, b: number) => a ^ b,
};

/** What the first, second and third operand of the ternary instruction are in its truth table. */
const TRUTHS = [0xf0, 0xcc, 0xaa] as const;

const isLogic = (e: Expr): e is Logic =>
  e.kind === 'binary' && LOGIC.has(e.op) && e.type.element === 'i32' && e.type.lanes > 1;

/** Whether a value takes an instruction, whose register then is free to change. */
const isComputed = (e: Expr): boolean => e.kind !== 'var' && e.kind !== 'const' && e.kind !== 'load';

export class BitLogic {
  readonly #values: ValueCode;

  constructor(values: ValueCode) {
    this.#values = values;
  }

  /** Emits one of the fused forms, or nothing where there is none. */
  emit(e: ExprOf<'binary'>, target: VirtualRegister | undefined): VirtualRegister | undefined {
    if (!this.#values.features.avx512 || !isLogic(e)) return undefined;
    const matrix = this.#matrix(e);
    if (matrix) return this.#product(e, matrix, target);
    const inner = this.#inner(e);
    return inner && this.#ternary(e, inner, target);
  }

  /** The operand that is a logical operation to do along with `e`: the plainer of two. */
  #inner({ a, b }: Logic): Logic | undefined {
    const candidates = [a, b].filter(isLogic).filter((x) => !this.#matrix(x));
    return candidates.find(({ a: x, b: y }) => !isLogic(x) && !isLogic(y)) ?? candidates[0];
  }

  #ternary(e: Logic, inner: Logic, target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const operands = [inner.a, inner.b, e.a === inner ? e.b : e.a] as const;
    const first = Math.max(0, operands.findIndex(isComputed));
    const others = [0, 1, 2].filter((i) => i !== first);
    const last = others.find((i) => values.isFoldable(operands[i]!)) ?? others[1]!;
    const order = [first, others.find((i) => i !== last)!, last];
    const [p, q, r] = operands.map((_, i) => TRUTHS[order.indexOf(i)]!) as [number, number, number];
    const table = MEANING[e.op](MEANING[inner.op](p, q), r);
    const [x, y, z] = order.map((i) => operands[i]!) as [Expr, Expr, Expr];
    const second = values.use(y);
    const third = values.operand(z);
    const register = values.changeable(x, e.type, target, [second, third]);
    values.code.update('vpternlogd', values.vector(register, e.type), second, third, imm(table));
    return values.moved(register, e.type, target);
  }

  /** For a shift by less than 8 bits under a mask of bytes that keeps what stays in its byte: the matrix, as two words. */
  #matrix({ op, a, b }: Logic): readonly [number, number] | undefined {
    if (!this.#values.features.gfni || op !== 'and' || b.kind !== 'const' || a.kind !== 'binary') return undefined;
    if ((a.op !== 'shl' && a.op !== 'shr_u') || a.b.kind !== 'const') return undefined;
    const [mask, by] = [b.value & 0xff, a.op === 'shl' ? -a.b.value : a.b.value];
    if ((b.value | 0) !== Math.imul(mask, 0x01010101) || Math.abs(by) > 7) return undefined;
    const from = by < 0 ? mask >>> -by : mask << by;
    if (from > 0xff || (by < 0 && from << -by !== mask)) return undefined;
    // Byte 7 - i of a matrix is the bits whose sum becomes bit i.
    const row = (bit: number): number => ((mask >> bit) & 1 ? (by < 0 ? (1 << bit) >> -by : 1 << (bit + by)) : 0);
    const word = (top: number): number => row(top) | (row(top - 1) << 8) | (row(top - 2) << 16) | (row(top - 3) << 24);
    return [word(7), word(3)];
  }

  #product(e: Logic, matrix: readonly [number, number], target: VirtualRegister | undefined): VirtualRegister {
    const values = this.#values;
    const { lanes } = e.type;
    const source = values.use((e.a as ExprOf<'binary'>).a);
    const words = Int32Array.from({ length: Math.max(lanes, 4) }, (_, i) => matrix[i & 1]!);
    const bits = values.vector(values.constantVector(words), e.type);
    return values.write('vgf2p8affineqb', e.type, target, source, bits, imm(0));
  }
}
