/**
 * How the instruction tables are written, and the names that they give.
 *
 * A row is a run of instructions that differ in their opcodes alone:
 * - form: for each operand where it goes. R and M: the reg and rm fields of ModR/M; V: the field vvvv of VEX and EVEX;
 *   O: the low bits of the opcode; I: an immediate; 4: a register in the high bits of an immediate; J: a distance;
 *   `-`: nowhere, since the opcode implies it.
 * - operands: for each operand what it may be, in Intel's order. `r`: a general register of the variant's size; `v`: a
 *   vector of the variant's width; `h`: half of that, 16 bytes at least; `a` and `cl`: that register; `1`: that number;
 *   `i8`, `i16`, `i32`, `i64`: an immediate; `s8`: one that the machine extends from 8 bits; `iz`: one of the
 *   variant's size, from 32 bits at most; `rel8`, `rel32`: a label to jump to; `label`: one as an address; `m`: memory;
 *   `sib`: memory with a SIB byte always; `mv`, `mh`: memory with vector indices of width `v`, `h`; kinds of registers
 *   stand for themselves. `x/m`: an `x` or memory.
 * - prefix: `pp.map`, such as `66.0f38`, `.0f`, `f3.m5` or `.`.
 * - variants: letters, one encoding each: sizes b w d q of general registers, or widths x y z of vectors and then
 *   the bit W. `-`: one encoding without size.
 * - memory (EVEX): what the instruction reads, since displacements of 8 bits count in it. `full4`, `half4`: a vector,
 *   half of one, that can be broadcast from elements of 4 bytes; `mem`, `mem/2`..: a vector or a part; `16`: bytes;
 *   `dup`: as vmovddup. Then maybe `nomask`, or `needmask`.
 * - names: `name=opcode` or `name=opcode/digit`, the digit for the reg field. In names, `_` is a space, `?` each condition,
 *   `.*` the variant's size (`add.*`: add.w, add.d, add.q).
 */

/** Instructions without prefixes for vectors: form, operands, prefix, variants, names. */
export type GeneralRow = readonly [form: string, operands: string, prefix: string, variants: string, names: string];

/** Instructions with a VEX prefix, an EVEX prefix, or either: form, operands, prefix, variants of both, memory, names. */
export type VectorRow = readonly [
  form: string,
  operands: string,
  prefix: string,
  vex: string,
  evex: string,
  memory: string,
  names: string,
];

/** Conditions of jumps, moves and sets with their numbers. */
export const CONDITIONS = [
  ...(['o 0', 'no 1', 'b 2', 'c 2', 'nae 2', 'ae 3', 'nb 3', 'nc 3', 'e 4', 'z 4', 'ne 5', 'nz 5'] as const),
  ...(['be 6', 'na 6', 'a 7', 'nbe 7', 's 8', 'ns 9', 'p 10', 'pe 10', 'np 11', 'po 11'] as const),
  ...(['l 12', 'nge 12', 'ge 13', 'nl 13', 'le 14', 'ng 14', 'g 15', 'nle 15'] as const),
] as const;

/** What a comparison found, as jumps, moves and sets name it. */
export type Condition = (typeof CONDITIONS)[number] extends infer C
  ? C extends `${infer N} ${number}`
    ? N
    : never
  : never;

type Spaced<N extends string> = N extends `${infer A}_${infer B}` ? `${A} ${B}` : N;
type Expanded<N extends string> = N extends `${infer A}?`
  ? `${A}${Condition}`
  : N extends `${infer A}.*`
    ? `${A}.${'w' | 'd' | 'q'}`
    : N;
type Named<Entry extends string> = Entry extends `${infer N}=${string}` ? Expanded<Spaced<N>> : never;

/** The mnemonics in a row's last column. */
export type NamesOf<Entries extends string> = Entries extends `${infer First} ${infer Rest}`
  ? Named<First> | NamesOf<Rest>
  : Named<Entries>;
