/**
 * Statements on tiles as instructions of AMX: tile i of a kernel is tmm i, and one configuration in the constant pool gives
 * the shapes of all at the kernel's entry. Where tiles are emulated (tile-emulation.ts), the very same code is made up to
 * the instructions themselves.
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18; volume 2, instructions T….
 */
import { BitloomError } from '../../ir/error.ts';
import type { Kernel } from '../../kernel/language.ts';
import type { Tile, TileDot, TileStatement } from '../../kernel/tile.ts';
import { imm, type Mnemonic, tmm } from './assembler/index.ts';
import type { ValueCode } from './value-code.ts';
import type { VirtualMemory, VirtualRegister } from './virtual-code.ts';

type Move = Extract<TileStatement, { kind: 'tileLoad' | 'tileStore' }>;

const PALETTE = 1;
const [COLUMNS_AT, ROWS_AT, CONFIGURATION_BYTES] = [16, 48, 64];

/** The operand of `ldtilecfg`: palette, then bytes of a row as 16 bits and rows as 8 bits of each tile. */
export function tileConfiguration(tiles: readonly Tile[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(CONFIGURATION_BYTES));
  view.setUint8(0, PALETTE);
  for (const { id, rows, columnBytes } of tiles) {
    view.setUint16(COLUMNS_AT + 2 * id, columnBytes, true);
    view.setUint8(ROWS_AT + id, rows);
  }
  return new Uint8Array(view.buffer);
}

const DOTS: Readonly<Record<TileDot, Mnemonic>> = {
  s8s8: 'tdpbssd',
  s8u8: 'tdpbsud',
  u8s8: 'tdpbusd',
  u8u8: 'tdpbuud',
  bf16: 'tdpbf16ps',
};

export class TileCode {
  readonly #kernel: Kernel;
  readonly #values: ValueCode;
  /** Registers with the strides of rows: instructions take no constants there. */
  readonly #strides = new Map<number, VirtualRegister>();

  /** Throws INVALID_GRAPH for a kernel with tiles where there are none. */
  constructor(kernel: Kernel, values: ValueCode) {
    this.#kernel = kernel;
    this.#values = values;
    if (kernel.tiles.length === 0 || values.features.tiles !== 'none') return;
    throw new BitloomError('INVALID_GRAPH', `kernel ${kernel.name} has tiles, the machine has none`, {
      kernel: kernel.name,
    });
  }

  /** At the kernel's entry. */
  begin(): void {
    const { code, out } = this.#values;
    const { tiles } = this.#kernel;
    if (tiles.length === 0) return;
    const label = out.constant(tileConfiguration(tiles), CONFIGURATION_BYTES);
    code.read('ldtilecfg', { kind: 'mem', label });
    for (const stride of stridesOf(this.#kernel)) {
      const register = code.register('r64');
      code.write('mov', { register, kind: 'r32' }, imm(stride));
      this.#strides.set(stride, register);
    }
  }

  /** Before the kernel returns. */
  end(): void {
    if (this.#kernel.tiles.length > 0) this.#values.code.read('tilerelease');
  }

  statement(s: TileStatement): void {
    const { code } = this.#values;
    switch (s.kind) {
      case 'tileZero':
        code.read('tilezero', tmm(s.tile.id));
        break;
      case 'tileLoad':
        code.read('tileloadd', tmm(s.tile.id), this.#place(s));
        break;
      case 'tileStore':
        code.read('tilestored', this.#place(s), tmm(s.tile.id));
        break;
      case 'tileDot':
        code.read(DOTS[s.dot], tmm(s.sums.id), tmm(s.a.id), tmm(s.b.id));
    }
  }

  /** The index is the stride, so that the address itself may have none. */
  #place(s: Move): VirtualMemory {
    const values = this.#values;
    const { displacement = 0, ...sum } = values.address(s);
    let { base } = sum;
    if (sum.index) {
      base = values.fresh('r64');
      values.code.write('lea', { register: base, kind: 'r64' }, sum);
    }
    const index = this.#strides.get(s.rowStride)!;
    return { kind: 'mem', base: base!, displacement, index, scale: 1, isStrided: true };
  }
}

function stridesOf({ body }: Kernel): Set<number> {
  const found = new Set<number>();
  const visit = (statements: Kernel['body']): void => {
    for (const s of statements) {
      if (s.kind === 'tileLoad' || s.kind === 'tileStore') found.add(s.rowStride);
      else if (s.kind === 'loop' || s.kind === 'while') visit(s.body);
      else if (s.kind === 'if') {
        visit(s.then);
        visit(s.otherwise);
      }
    }
  };
  visit(body);
  return found;
}
