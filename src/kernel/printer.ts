/** Kernels as text for people: the tour, debugging, and tests that look at what was generated. */
import type { BinaryOp, BufferParam, Expr, Type } from './expression.ts';
import type { Kernel, Statement } from './language.ts';

const INFIX: Readonly<Partial<Record<BinaryOp, string>>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  and: '&',
  or: '|',
  xor: '^',
  shl: '<<',
  shr_s: '>>',
  shr_u: '>>>',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
};

const typeText = ({ element, lanes }: Type): string => (lanes === 1 ? element : `${element}x${lanes}`);

/** An access to memory, e.g. `in0.u8x4[4 * r2]`: element kind and count, then the byte offset. */
const place = (buffer: BufferParam, memory: string, lanes: number, byteOffset: Expr): string =>
  `${buffer.name}.${memory}${lanes === 1 ? '' : `x${lanes}`}[${expression(byteOffset)}]`;

function operand(e: Expr): string {
  const text = expression(e);
  return e.kind === 'binary' && INFIX[e.op] !== undefined ? `(${text})` : text;
}

const call = (name: string, ...args: readonly string[]): string => `${name}(${args.join(', ')})`;

function expression(e: Expr): string {
  switch (e.kind) {
    case 'const':
      return Object.is(e.value, -0) ? '-0' : String(e.value);
    case 'var':
      return `r${e.id}`;
    case 'thread':
      return 'thread';
    case 'threads':
      return 'threads';
    case 'unary':
      return call(e.op, expression(e.a));
    case 'binary': {
      const infix = INFIX[e.op];
      return infix === undefined
        ? call(e.op, expression(e.a), expression(e.b))
        : `${operand(e.a)} ${infix} ${operand(e.b)}`;
    }
    case 'ternary':
      return call(e.op, expression(e.a), expression(e.b), expression(e.c));
    case 'load':
      return place(e.buffer, e.memory, e.type.lanes, e.byteOffset);
    case 'expand':
      return call('expand', place(e.buffer, e.memory, e.type.lanes, e.byteOffset), expression(e.mask));
    case 'shuffle':
      return call('shuffle', expression(e.a), expression(e.b), `[${e.pattern.join(' ')}]`);
    case 'extract':
      return `${operand(e.a)}.${e.lane}`;
    case 'lookup':
      return call('lookup', `[${e.table.join(' ')}]`, expression(e.indices));
    case 'halves':
      return call(`${e.part} halves`, expression(e.a));
    case 'pack8':
      return call('pack8', ...e.parts.map(expression));
  }
}

function statement(s: Statement, indent: string, lines: string[]): void {
  const block = (head: string, body: readonly Statement[]): void => {
    lines.push(`${indent}${head}`);
    for (const inner of body) statement(inner, `${indent}  `, lines);
  };
  switch (s.kind) {
    case 'assign':
      lines.push(`${indent}r${s.target.id}: ${typeText(s.target.type)} = ${expression(s.value)}`);
      return;
    case 'store':
      lines.push(`${indent}${place(s.buffer, s.memory, s.value.type.lanes, s.byteOffset)} = ${expression(s.value)}`);
      return;
    case 'loop':
      block(`for r${s.index.id} from ${expression(s.start)} to ${expression(s.end)} by ${s.step}`, s.body);
      return;
    case 'while':
      block(`while ${expression(s.condition)}`, s.body);
      return;
    case 'if':
      block(`if ${expression(s.condition)}`, s.then);
      if (s.otherwise.length > 0) block('else', s.otherwise);
      return;
    case 'prefetch':
      lines.push(`${indent}prefetch ${s.buffer.name}[${expression(s.byteOffset)}]`);
      return;
    case 'barrier':
      lines.push(`${indent}barrier`);
      return;
    case 'tileZero':
      lines.push(`${indent}t${s.tile.id} = 0`);
      return;
    case 'tileLoad':
      lines.push(`${indent}t${s.tile.id} = ${tilePlace(s)}`);
      return;
    case 'tileStore':
      lines.push(`${indent}${tilePlace(s)} = t${s.tile.id}`);
      return;
    case 'tileDot':
      lines.push(`${indent}t${s.sums.id} += ${s.dot}(t${s.a.id}, t${s.b.id})`);
  }
}

/** Rows of memory, e.g. `x.16x64[r2 by 128]`: rows and bytes of each, then the byte offset and the stride. */
const tilePlace = ({ tile, buffer, byteOffset, rowStride }: Extract<Statement, { kind: 'tileLoad' | 'tileStore' }>) =>
  `${buffer.name}.${tile.rows}x${tile.columnBytes}[${expression(byteOffset)} by ${rowStride}]`;

/** The kernel as indented text. Registers are `r0, r1, …`; `in.f32x4[8]` is 4 floats from byte 8 on. */
export function printKernel(kernel: Kernel): string {
  const buffers = kernel.buffers.map(({ name, access }) => `${name}: ${access}`).join(', ');
  const lines = [`kernel ${kernel.name}(${buffers})`];
  for (const { id, element, rows, columnBytes } of kernel.tiles)
    lines.push(`  t${id}: ${element} of ${rows} x ${columnBytes} bytes`);
  for (const each of kernel.body) statement(each, '  ', lines);
  return lines.join('\n');
}
