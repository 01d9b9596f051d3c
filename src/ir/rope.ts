/**
 * Rotary position embedding ("RoFormer", Su et al. 2021) as a composite, and the frequencies that
 * checkpoints ask for, context extensions included (linear; Llama 3.1's by wavelength; YaRN).
 */
import { add, broadcast, cast, concat, constant, cos, mul, reshape, sin, sliceAxis, sub } from './build.ts';
import { BitloomError } from './error.ts';
import { apply, type Op, type Value } from './graph.ts';
import { defineOp, listAttr, numberAttr, requireDType, requireShape, stringAttr } from './op/rule.ts';

/** Which elements of a head turn together: i and i + rotaryDim / 2 (Hugging Face), or 2i and 2i + 1. */
export const ROPE_STYLES = ['half', 'interleaved'] as const;
export type RopeStyle = (typeof ROPE_STYLES)[number];

/** How frequencies are stretched to contexts longer than the trained one. */
export type RopeScaling =
  | { readonly kind: 'none' }
  | { readonly kind: 'linear'; readonly factor: number }
  /** Each pair's frequency divided by its own factor, as GGUF files store them. */
  | { readonly kind: 'factors'; readonly factors: readonly number[] }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    }
  /** By pair: kept up to the one that makes `fastTurns` within the trained context, divided from that of `slowTurns` on. */
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly fastTurns: number;
      readonly slowTurns: number;
      readonly originalContext: number;
      /** Whether the two pairs are whole numbers. */
      readonly isTruncated: boolean;
    };

const between01 = (x: number): number => Math.min(1, Math.max(0, x));

/** The share of each pair's frequency that stays as it was trained; the rest is divided. Source: Peng et al. 2023 (YaRN), 3.2. */
function yarnShares(rotaryDim: number, theta: number, scaling: RopeScaling & { kind: 'yarn' }): number[] {
  const { fastTurns, slowTurns, originalContext, isTruncated } = scaling;
  const pairWith = (turns: number): number =>
    (rotaryDim * Math.log(originalContext / (2 * Math.PI * turns))) / (2 * Math.log(theta));
  const [fast, slow] = [pairWith(fastTurns), pairWith(slowTurns)];
  const first = Math.max(0, isTruncated ? Math.floor(fast) : fast);
  const last = Math.min(rotaryDim - 1, isTruncated ? Math.ceil(slow) : slow);
  const width = last === first ? 0.001 : last - first;
  return Array.from({ length: rotaryDim / 2 }, (_, i) => 1 - between01((i - first) / width));
}

/** The same by the number of full turns within the trained context. */
function llama3Shares(frequencies: readonly number[], scaling: RopeScaling & { kind: 'llama3' }): number[] {
  const { lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  return frequencies.map((f) => between01(((originalContext * f) / (2 * Math.PI) - low) / (high - low)));
}

function scaled(frequencies: readonly number[], theta: number, scaling: RopeScaling): readonly number[] {
  if (scaling.kind === 'none') return frequencies;
  if (scaling.kind === 'factors') return frequencies.map((f, i) => f / scaling.factors[i]!);
  const { factor } = scaling;
  if (scaling.kind === 'linear') return frequencies.map((f) => f / factor);
  const kept =
    scaling.kind === 'yarn' ? yarnShares(2 * frequencies.length, theta, scaling) : llama3Shares(frequencies, scaling);
  return frequencies.map((f, i) => kept[i]! * f + (1 - kept[i]!) * (f / factor));
}

/** Angle per position of each of the rotaryDim / 2 pairs: theta^(-2i / rotaryDim), scaled. */
export function ropeFrequencies(
  rotaryDim: number,
  theta: number,
  scaling: RopeScaling = { kind: 'none' },
): readonly number[] {
  if (rotaryDim <= 0 || rotaryDim % 2 !== 0 || !(theta > 0)) {
    throw new BitloomError(
      'INVALID_ARGUMENT',
      `rope needs an even rotaryDim and theta > 0, not ${rotaryDim} and ${theta}`,
    );
  }
  if (scaling.kind === 'factors' && scaling.factors.length !== rotaryDim / 2) {
    throw new BitloomError(
      'INVALID_ARGUMENT',
      `rope has ${scaling.factors.length} frequency factors for ${rotaryDim / 2} pairs`,
    );
  }
  const plain = Array.from({ length: rotaryDim / 2 }, (_, i) => theta ** ((-2 * i) / rotaryDim));
  return scaled(plain, theta, scaling);
}

/** The rotated pair (a cos - b sin, b cos + a sin) of two halves. */
function rotate(a: Value, b: Value, cosine: Value, sine: Value): [Value, Value] {
  return [sub(mul(a, cosine), mul(b, sine)), add(mul(b, cosine), mul(a, sine))];
}

/** Cosine and sine of position * frequency, repeated over heads: [seqLen, nHeads, pairs] f32 each. */
function angles(positions: Value, frequencies: readonly number[], nHeads: number): [Value, Value] {
  const seqLen = positions.type.shape[0]!;
  const shape = [seqLen, frequencies.length];
  const each = broadcast(cast(positions, 'f32'), shape, [0]);
  const angle = mul(each, broadcast(constant('f32', [frequencies.length], frequencies), shape, [1]));
  const overHeads = (x: Value) => broadcast(x, [seqLen, nHeads, frequencies.length], [0, 2]);
  return [overHeads(cos(angle)), overHeads(sin(angle))];
}

export const ropeOp: Op = defineOp(
  'rope',
  {
    arity: 2,
    groups: ['composite'],
    meaning:
      'x [seqLen, nHeads, headDim] f32 with the pairs of its first 2 * |inverseFrequencies| elements turned by ' +
      'positions [seqLen] i32 * inverseFrequencies; pairs as in `style`',
    infer(inputs, attrs, name) {
      const [x, positions] = inputs;
      stringAttr(attrs, 'style', ROPE_STYLES);
      const rotaryDim = 2 * listAttr(attrs, 'inverseFrequencies').length;
      numberAttr(attrs, 'rotaryDim');
      const fits = x!.shape.length === 3 && positions!.shape.length === 1 && positions!.shape[0] === x!.shape[0];
      requireShape(fits, name, 'needs x [seqLen, nHeads, headDim] and positions [seqLen]', inputs);
      const within = rotaryDim === attrs.rotaryDim && rotaryDim <= x!.shape[2]!;
      requireShape(within, name, `${rotaryDim / 2} frequencies do not fit rotaryDim and headDim`, inputs);
      requireDType(name, x!, 'float');
      requireDType(name, positions!, 'integer');
      return { dtype: 'f32', shape: x!.shape };
    },
  },
  ([x, positions], attrs) => {
    const wide = cast(x!, 'f32');
    const frequencies = listAttr(attrs, 'inverseFrequencies');
    const [seqLen, nHeads, headDim] = x!.type.shape as readonly [number, number, number];
    const pairs = frequencies.length;
    const [cosine, sine] = angles(positions!, frequencies, nHeads);
    const rest = 2 * pairs < headDim ? [sliceAxis(wide, 2, 2 * pairs, headDim)] : [];
    if (attrs.style === 'half') {
      const turned = rotate(sliceAxis(wide, 2, 0, pairs), sliceAxis(wide, 2, pairs, 2 * pairs), cosine, sine);
      return concat([...turned, ...rest], 2);
    }
    const pairShape = [seqLen, nHeads, pairs, 2];
    const both = reshape(sliceAxis(wide, 2, 0, 2 * pairs), pairShape);
    const part = (i: number) => reshape(sliceAxis(both, 3, i, i + 1), pairShape.slice(0, 3));
    const turned = rotate(part(0), part(1), cosine, sine).map((half) => reshape(half, pairShape.with(3, 1)));
    return concat([reshape(concat(turned, 3), [seqLen, nHeads, 2 * pairs]), ...rest], 2);
  },
);

/** Turns x [seqLen, nHeads, headDim] f32 by positions [seqLen] i32. Source: Su et al. 2021, 3.2. */
export const rope = (x: Value, positions: Value, style: RopeStyle, inverseFrequencies: readonly number[]): Value =>
  apply(ropeOp, [x, positions], { style, rotaryDim: 2 * inverseFrequencies.length, inverseFrequencies });
