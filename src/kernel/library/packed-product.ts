/**
 * What kernels of packed weights by quantised activations share: the product's sizes, and panels as a tile reads them, one
 * unit at a time. A unit is a block of activations: `spans` groups of weights under one scale each.
 */
import type { ElementType } from '../../ir/dtype.ts';
import {
  type GroupField,
  isNumberFormat,
  levelBits,
  type NumberFormat,
  panelBlockBytes,
  SUB_BLOCK,
  sumSize,
} from '../../quant/number-format.ts';
import { add, type BufferParam, type Expr, mul, type Operand, splat, unary } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import type { Machine } from '../machine.ts';
import { loadField, panelIntegers, panelLevels, subBlockBytes } from '../packed-block.ts';
import type { Results } from './results.ts';

/** A packed operand in memory. */
export interface PackedOperand {
  readonly buffer: BufferParam;
  readonly format: NumberFormat;
}

/** Sizes that follow from the two formats and the depth. */
export interface UnitSizes {
  /** Units along the depth. */
  readonly units: number;
  readonly unitsPerBlock: number;
  /** Groups of weights in a unit. */
  readonly spans: number;
  /** Quads of four elements in a unit, and in each of its spans. */
  readonly quads: number;
  readonly quadsPerSpan: number;
}

export function unitSizes(x: NumberFormat, w: NumberFormat, depth: number): UnitSizes {
  return {
    units: depth / x.blockSize,
    unitsPerBlock: w.blockSize / x.blockSize,
    spans: x.blockSize / w.groupSize,
    quads: x.blockSize / 4,
    quadsPerSpan: w.groupSize / 4,
  };
}

/** Whether values have a term besides scale * (code - offset): a minimum or a stored zero point. */
export const hasLeast = ({ min, zeroPoint }: NumberFormat): boolean => min !== null || zeroPoint !== null;

/** The dot product of activations with levels of a format, in one instruction where 7 bits or the machine allow it. */
export const dotOf = (w: NumberFormat): 'dot8u7' | 'dot8u8' => (levelBits(w) < 8 ? 'dot8u7' : 'dot8u8');

/** Whether integer products exist for activations by panels: a panel's row for each lane, and both in units of the same spans. */
export function canMultiply(x: ElementType, w: ElementType, machine: Machine): boolean {
  if (!isNumberFormat(x) || !isNumberFormat(w)) return false;
  return (
    x.codeSum !== null &&
    x.panelRows === 1 &&
    w.codeSum === null &&
    w.panelRows === machine.lanes &&
    sumSize(x) === w.groupSize &&
    w.blockSize % x.blockSize === 0
  );
}

/** A product of many tokens, x [m, depth] by w [n, depth]. */
export interface TiledProduct {
  readonly x: PackedOperand;
  readonly w: PackedOperand;
  readonly m: number;
  readonly n: number;
  readonly sizes: UnitSizes;
  readonly results: Results;
  readonly machine: Machine;
}

/** What a tile reads of its panels in the unit at hand. A value is step * (level - offset) + least. */
export interface UnitReader {
  /** Unsigned levels of a quad, as bytes. */
  levels(panel: number, quad: number): Expr;
  /** Effective scale of a span, f32. */
  step(panel: number, span: number): Expr;
  least(panel: number, span: number): Expr;
  /** Integers of a span's group, i32. */
  integers(of: GroupField, panel: number, span: number): Expr;
}

/**
 * A scalar in memory repeated over the lanes, for `uses` instructions: a register, except where the machine repeats
 * operands by itself and only one instruction wants it.
 */
export const repeated = (k: KernelBuilder, { lanes, repeatsFromMemory }: Machine, scalar: Expr, uses: number): Expr =>
  repeatsFromMemory && uses === 1 ? splat(scalar, lanes) : k.let(splat(scalar, lanes));

/** Bytes of one panel of `depth` elements per row. */
export const panelBytes = (w: NumberFormat, depth: number): number => (depth / w.blockSize) * panelBlockBytes(w);

/** Reads the units of one block of several panels, `bytes` apart, where they lie; `block` is the byte offset of panel 0's block. */
export function blockReader(
  k: KernelBuilder,
  { buffer, format }: PackedOperand,
  sizes: UnitSizes,
  panels: { readonly count: number; readonly bytes: Operand },
  block: Expr,
): (unit: Operand) => UnitReader {
  const all = <T>(make: (panel: number) => T): T[] => Array.from({ length: panels.count }, (_, panel) => make(panel));
  const bases = all((panel) => add(block, mul(panels.bytes, panel)));
  const field = (which: 'scale' | 'min' | 'zeroPoint'): Expr[] =>
    format[which] === null
      ? []
      : bases.map((at) => k.let(loadField(k, format, format[which]!, buffer, at, 0, format.panelRows)));
  const [scales, zeroPoints] = [field('scale'), field('zeroPoint')];
  // A product with group integers is subtracted, a minimum of its own is added.
  const mins = field('min').map((min) => (format.subMin === null ? min : k.let(unary('neg', min))));
  const subBlocks = (sizes.quads * 4) / SUB_BLOCK;
  return (unit) => {
    const at = bases.map((base) => add(base, mul(unit, subBlocks * subBlockBytes(format))));
    const levels = at.map((start) =>
      Array.from({ length: subBlocks }, (_, s) =>
        panelLevels(k, format, buffer, add(start, s * subBlockBytes(format))),
      ),
    );
    const group = (span: number): Operand =>
      typeof unit === 'number' ? unit * sizes.spans + span : add(mul(unit, sizes.spans), span);
    const ofPanel = bases.map((base) => panelIntegers(k, format, buffer, base));
    const integers = (of: GroupField, panel: number, span: number): Expr => ofPanel[panel]!(of, group(span));
    const times = (value: Expr, of: GroupField | null, panel: number, span: number): Expr =>
      of === null ? value : mul(value, unary('to_f32', integers(of, panel, span)));
    const quadsPerSubBlock = SUB_BLOCK / 4;
    return {
      levels: (panel, quad) => levels[panel]![Math.floor(quad / quadsPerSubBlock)]!(quad % quadsPerSubBlock),
      step: (panel, span) => times(scales[panel]!, format.subScale, panel, span),
      least(panel, span) {
        if (zeroPoints.length > 0) return unary('neg', mul(scales[panel]!, zeroPoints[panel]!));
        return times(mins[panel]!, format.subMin, panel, span);
      },
      integers,
    };
  };
}
