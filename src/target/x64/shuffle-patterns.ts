/** Recognises shuffles that one instruction does: the same pattern in each group of four lanes, or whole groups moved. */

/** A pattern within groups of four lanes. `first`, `second`: which source (0 or 1) the two operands are. */
export interface InLane {
  readonly kind: 'same' | 'permute' | 'shuffle' | 'low' | 'high';
  readonly first: 0 | 1;
  readonly second: 0 | 1;
  readonly selector: number;
}

const GROUP = 4;
const selectorOf = (lanes: readonly number[]): number =>
  lanes.reduce((bits, lane, i) => bits | ((lane & 3) << (2 * i)), 0);

/** How a pattern is done within groups, undefined where it moves lanes between them or takes more than one instruction. */
export function inLanePattern(pattern: readonly number[], lanes: number): InLane | undefined {
  const head = pattern.slice(0, GROUP).map((lane) => ({ source: lane < lanes ? 0 : 1, place: lane % lanes }));
  if (head.some(({ place }) => place >= GROUP)) return undefined;
  const repeats = pattern.every((lane, i) => {
    const { source, place } = head[i % GROUP]!;
    return lane === source * lanes + place + (i - (i % GROUP));
  });
  if (!repeats) return undefined;
  const [s0, s1, s2, s3] = head.map(({ source }) => source as 0 | 1) as [0 | 1, 0 | 1, 0 | 1, 0 | 1];
  const places = head.map(({ place }) => place);
  const selector = selectorOf(places);
  const isPlaces = (...wanted: number[]): boolean => wanted.every((place, i) => places[i] === place);
  if (s0 === s1 && s1 === s2 && s2 === s3) {
    return { kind: isPlaces(0, 1, 2, 3) ? 'same' : 'permute', first: s0, second: s0, selector };
  }
  if (s0 === s1 && s2 === s3) return { kind: 'shuffle', first: s0, second: s2, selector };
  if (s0 === s2 && s1 === s3) {
    if (isPlaces(0, 0, 1, 1)) return { kind: 'low', first: s0, second: s1, selector };
    if (isPlaces(2, 2, 3, 3)) return { kind: 'high', first: s0, second: s1, selector };
  }
  return undefined;
}

/** The groups of four lanes that a pattern moves as wholes, where one instruction does it. */
export function wholeGroups(pattern: readonly number[], lanes: number): readonly number[] | undefined {
  const count = lanes / GROUP;
  if (count < 2 || !pattern.every((lane, i) => lane % GROUP === i % GROUP)) return undefined;
  const groups = Array.from({ length: count }, (_, g) => pattern[GROUP * g]! / GROUP);
  if (
    !groups.every((group, g) =>
      pattern.slice(GROUP * g, GROUP * (g + 1)).every((lane, i) => lane === GROUP * group + i),
    )
  )
    return undefined;
  if (count === 2) return groups;
  // Of four groups the lower two come from one source, the upper two from one.
  const source = (group: number): boolean => group < count;
  const [a, b, c, d] = groups as [number, number, number, number];
  return source(a) === source(b) && source(c) === source(d) ? groups : undefined;
}
