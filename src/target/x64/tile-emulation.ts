/**
 * Instructions of AMX on processors without it, for tests: tiles are areas of the function's stack frame, and AVX-512 with
 * VNNI does to them, row by row, what one instruction does to a tile. Every register keeps its value but for general scratch
 * registers, so that the code around is the one that a processor with AMX runs.
 * Source: Intel SDM volume 2, instructions T… (operation sections).
 */
import { TILES, type Tile } from '../../kernel/tile.ts';
import {
  type Assembler,
  imm,
  k,
  type Memory,
  type Mnemonic,
  type Operand,
  type Register,
  r32,
  r64,
  zmm,
} from './assembler/index.ts';

const [RAX, RDX, RSP] = [0, 2, 4];
const TILE_BYTES = TILES.rows * TILES.rowBytes;
/** Registers in use here, kept in the frame. */
const VECTORS = 8;
const MASK = 1;
/** Bytes with the sign only: 128 as unsigned ones, -128 as signed ones. */
const SIGNS = 0x80808080;
const UPPER_HALVES = 0xffff0000;
/** MXCSR with nothing trapped, rounding to nearest even, denormal operands and results taken for zeros. */
const FLUSHING = 0x9fc0;

const [SUMS, X, Y, FIRST, SECOND, THIRD] = [0, 1, 2, 3, 4, 5].map(zmm) as [
  Register,
  Register,
  Register,
  Register,
  Register,
  Register,
];

const frame = (displacement: number): Memory => ({ kind: 'mem', base: RSP, displacement });

export class TileEmulation {
  readonly #out: Assembler;
  readonly #tiles: readonly Tile[];

  constructor(out: Assembler, tiles: readonly Tile[]) {
    this.#out = out;
    this.#tiles = tiles;
  }

  /** Bytes at the stack pointer that hold tiles: 16 rows of 64 bytes each, zero where a tile has none; then what is kept. */
  get frameBytes(): number {
    return this.#keptAt + TILES.rowBytes * (VECTORS + 1);
  }

  get #keptAt(): number {
    return TILE_BYTES * this.#tiles.length;
  }

  /** Places for a mask register and for MXCSR. */
  get #maskAt(): number {
    return this.#keptAt + TILES.rowBytes * VECTORS;
  }

  get #stateAt(): number {
    return this.#maskAt + 8;
  }

  /** Writes what an instruction on tiles does; false for any other instruction. */
  emit(name: Mnemonic, operands: readonly Operand[]): boolean {
    const [first, second, third] = operands;
    const tile = (operand: Operand | undefined): Tile => this.#tiles[(operand as Register).id]!;
    if (name === 'ldtilecfg') this.#keeping(() => this.#clear(0, this.#tiles.length * TILES.rows));
    else if (name === 'tilezero') this.#keeping(() => this.#clear(TILES.rows * tile(first).id, TILES.rows));
    else if (name === 'tileloadd') this.#keeping(() => this.#move(tile(first), second as Memory, true));
    else if (name === 'tilestored') this.#keeping(() => this.#move(tile(second), first as Memory, false));
    else if (name.startsWith('tdp')) this.#keeping(() => this.#dot(name, tile(first), tile(second), tile(third)));
    else return name === 'tilerelease';
    return true;
  }

  #keeping(body: () => void): void {
    const out = this.#out;
    const place = (i: number): Memory => frame(this.#keptAt + TILES.rowBytes * i);
    for (let i = 0; i < VECTORS; i++) out.emit('vmovups', place(i), zmm(i));
    out.emit('kmovq', frame(this.#maskAt), k(MASK));
    body();
    for (let i = 0; i < VECTORS; i++) out.emit('vmovups', zmm(i), place(i));
    out.emit('kmovq', k(MASK), frame(this.#maskAt));
  }

  #zero(register: Register): void {
    this.#out.emit('vpxord', register, register, register);
  }

  /** From the top down: so each page of the stack is touched after its neighbour, as some systems want it. */
  #clear(row: number, rows: number): void {
    this.#zero(X);
    for (let i = rows - 1; i >= 0; i--) this.#out.emit('vmovups', frame(TILES.rowBytes * (row + i)), X);
  }

  #rowOf(tile: Tile, row: number): Memory {
    return frame(tile.id * TILE_BYTES + row * TILES.rowBytes);
  }

  /** Rows from memory to a tile, or back. The index is the stride; a scratch register walks from row to row. */
  #move(tile: Tile, { base, index, displacement = 0 }: Memory, isLoad: boolean): void {
    const out = this.#out;
    const pointer = index === RAX ? RDX : RAX;
    out.emit('lea', r64(pointer), { kind: 'mem', base: base!, displacement });
    const lanes = tile.columnBytes / 4;
    out.emit('kxnorw', k(MASK), k(MASK), k(MASK));
    out.emit('kshiftrw', k(MASK), k(MASK), imm(16 - lanes));
    for (let row = 0; row < tile.rows; row++) {
      const place: Memory = { kind: 'mem', base: pointer };
      if (isLoad) {
        out.emitMasked('vmovups', { mask: MASK, zeroing: true }, X, place);
        out.emit('vmovups', this.#rowOf(tile, row), X);
      } else {
        out.emit('vmovups', X, this.#rowOf(tile, row));
        out.emitMasked('vmovups', { mask: MASK }, place, X);
      }
      out.emit('lea', r64(pointer), { kind: 'mem', base: pointer, index: index!, scale: 1 });
    }
  }

  /** A loop over the rows of sums: rax counts them in bytes. */
  #dot(name: Mnemonic, sums: Tile, a: Tile, b: Tile): void {
    const out = this.#out;
    const isFloat = name === 'tdpbf16ps';
    if (isFloat) {
      out.emit('vstmxcsr', frame(this.#stateAt));
      out.emit('vldmxcsr', { kind: 'mem', label: this.#words(FLUSHING, 1) });
    }
    out.emit('mov', r32(RAX), imm(0));
    const again = out.label();
    out.bind(again);
    const row = (tile: Tile, word = 0): Memory => ({ ...frame(tile.id * TILE_BYTES + 4 * word), index: RAX, scale: 1 });
    out.emit('vmovups', SUMS, row(sums));
    for (const chain of [FIRST, SECOND]) this.#zero(chain);
    for (let word = 0; word < b.rows; word++) {
      out.emit('vpbroadcastd', X, row(a, word));
      out.emit('vmovups', Y, this.#rowOf(b, word));
      if (isFloat) this.#multiplyFloats();
      else this.#multiplyBytes(name);
    }
    if (isFloat) {
      out.emit('vaddps', FIRST, FIRST, SECOND);
      out.emit('vaddps', SUMS, SUMS, FIRST);
    } else out.emit('vpsubd', SUMS, SUMS, FIRST);
    out.emit('vmovups', row(sums), SUMS);
    out.emit('add', r32(RAX), imm(TILES.rowBytes));
    out.emit('cmp', r32(RAX), imm(sums.rows * TILES.rowBytes));
    out.emit('jl', again);
    if (isFloat) out.emit('vldmxcsr', frame(this.#stateAt));
  }

  /**
   * vpdpbusd takes unsigned bytes first, signed ones second. Where both are of a kind, one side is moved by 128 to the other,
   * and what 128 times the other side makes too much is summed apart.
   */
  #multiplyBytes(name: Mnemonic): void {
    const out = this.#out;
    const signs: Memory = { kind: 'mem', label: this.#words(SIGNS, 16) };
    if (name === 'tdpbusd') out.emit('vpdpbusd', SUMS, X, Y);
    else if (name === 'tdpbsud') out.emit('vpdpbusd', SUMS, Y, X);
    else if (name === 'tdpbuud') {
      out.emit('vpxord', THIRD, Y, signs);
      out.emit('vpdpbusd', SUMS, X, THIRD);
      out.emit('vpdpbusd', FIRST, X, signs);
    } else {
      out.emit('vpxord', THIRD, X, signs);
      out.emit('vpdpbusd', SUMS, THIRD, Y);
      out.emit('vmovups', THIRD, signs);
      out.emit('vpdpbusd', FIRST, THIRD, Y);
    }
  }

  /** Two chains, over the lower and the upper halves of words: a bfloat16 number is the upper half of an f32. */
  #multiplyFloats(): void {
    const out = this.#out;
    const upper: Memory = { kind: 'mem', label: this.#words(UPPER_HALVES, 16) };
    const halves = [
      [FIRST, (half: Register, words: Register) => out.emit('vpslld', half, words, imm(16))],
      [SECOND, (half: Register, words: Register) => out.emit('vpandd', half, words, upper)],
    ] as const;
    for (const [chain, take] of halves) {
      const [x, y] = [THIRD, zmm(VECTORS - 1)];
      take(x, X);
      take(y, Y);
      out.emit('vfmadd231ps', chain, x, y);
    }
  }

  /** A constant of equal words. */
  #words(value: number, count: number) {
    return this.#out.constant(new Uint8Array(new Uint32Array(count).fill(value).buffer), 4 * count);
  }
}
