/**
 * The sizes of one convolution as its kernels need them: two axes of space (that of 1-D has a first one of size 1), and
 * where a tap of the window reads. Along each axis an output place o reads, for tap t, the place o * stride + t * dilation
 * of the padded input. Sorted by its remainder by the stride, its phase, that place is o + shift within the tap's phase:
 * neighbouring outputs read neighbours, whatever the stride.
 */
import { type FloatType, isFloatType } from '../decode.ts';
import { add, divU, type Expr, mul, remU } from '../expression.ts';
import type { KernelRequest } from '../template.ts';
import { writesFloats } from './results.ts';

export interface ConvAxis {
  /** Elements of the input. */
  readonly size: number;
  readonly taps: number;
  /** Elements of the output. */
  readonly places: number;
  readonly stride: number;
  /** Zeros in front of the input. */
  readonly low: number;
  /** Distance of the input's elements, zeros between them. */
  readonly spread: number;
  readonly dilation: number;
  /** Phases that there are, and how far the last tap reads beyond an output's own place in its phase. */
  readonly phases: number;
  readonly reach: number;
}

export interface ConvShape {
  readonly images: number;
  readonly groups: number;
  /** Of one group. */
  readonly channels: number;
  readonly outputs: number;
  readonly x: FloatType;
  readonly w: FloatType;
  readonly y: ConvAxis;
  readonly across: ConvAxis;
  /** Elements of one channel of the input and of the output, and taps of the window. */
  readonly plane: number;
  readonly places: number;
  readonly taps: number;
}

const TRIVIAL = { size: 1, taps: 1, places: 1, stride: 1, low: 0, spread: 1, dilation: 1, phases: 1, reach: 0 };

function axisOf({ inputs: [x, w], output, attrs }: KernelRequest, axis: number): ConvAxis {
  const of = (key: string): number => (attrs[key] as readonly number[])[axis]!;
  const [size, taps, places] = [x!, w!, output].map(({ shape }) => shape[axis + 2]!) as [number, number, number];
  const [stride, dilation] = [of('strides'), of('rhsDilation')];
  const last = (taps - 1) * dilation;
  return {
    ...{ size, taps, places, stride, dilation, low: of('padLow'), spread: of('lhsDilation') },
    phases: Math.min(stride, last + 1),
    reach: Math.floor(last / stride),
  };
}

export function convShape(request: KernelRequest): ConvShape {
  const [x, w] = request.inputs.map((t) => t.shape) as [readonly number[], readonly number[]];
  const groups = request.attrs.groups as number;
  const axes = x.slice(2).map((_, axis) => axisOf(request, axis));
  const across = axes.at(-1)!;
  const y = axes.length > 1 ? axes[0]! : TRIVIAL;
  return {
    ...{ images: x[0]!, groups, channels: w[1]!, outputs: w[0]! / groups, y, across },
    ...{ x: request.inputs[0]!.dtype as FloatType, w: request.inputs[1]!.dtype as FloatType },
    ...{ plane: y.size * across.size, places: y.places * across.places, taps: y.taps * across.taps },
  };
}

/** 1-D and 2-D convolutions of floats with anything to sum. */
export const isConv = (request: KernelRequest): boolean =>
  request.inputs.every((t) => isFloatType(t.dtype)) &&
  request.output.dtype === 'f32' &&
  // A row repeats along the last axis: the columns of a product are that only where there is no other.
  writesFloats(request, request.output.shape.length === 3 ? ['like', 'row', 'channel'] : ['like', 'channel']) &&
  (request.output.shape.length === 3 || request.output.shape.length === 4) &&
  request.inputs[1]!.shape.slice(1).every((size) => size > 0);

/** Where a tap reads: its phase, and its place in the phase relative to an output's. */
export const tapPlace = ({ stride, dilation }: ConvAxis, tap: number): { phase: number; shift: number } => ({
  phase: (tap * dilation) % stride,
  shift: Math.floor((tap * dilation) / stride),
});

/** The same for a tap that a loop counts: elements from an output's place, phases lying `apart`. */
export const tapOffset = ({ stride, dilation }: ConvAxis, tap: Expr, apart: number, step: number): Expr =>
  add(mul(remU(mul(tap, dilation), stride), apart), mul(divU(mul(tap, dilation), stride), step));

/** Whether some tap reads a phase. */
export const readsPhase = (axis: ConvAxis, phase: number): boolean =>
  Array.from({ length: axis.taps }, (_, tap) => tapPlace(axis, tap).phase).includes(phase);
