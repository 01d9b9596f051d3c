/** Lane patterns of shuffles: those that kernels use, which machines have instructions for, and any other. */
import type { Tape } from './tape.ts';

const GROUP = 4;
type Pattern = number[];

const perLane = (lanes: number, f: (lane: number) => number): Pattern => Array.from({ length: lanes }, (_, i) => f(i));

/** The same four places in each group of four lanes; places from 4 on are those of the second source. */
function inGroups(lanes: number, places: readonly number[]): Pattern {
  return perLane(lanes, (i) => {
    const place = places[i % GROUP]!;
    return (place < GROUP ? place : lanes + place - GROUP) + i - (i % GROUP);
  });
}

/** Places of unpacks, 64-bit unpacks (the second step of a transpose) and a few permutations. */
const PLACES = [
  [0, 4, 1, 5],
  [2, 6, 3, 7],
  [0, 1, 4, 5],
  [2, 3, 6, 7],
  [4, 0, 5, 1],
  [0, 2, 4, 6],
  [1, 3, 5, 7],
  [6, 5, 1, 0],
  [1, 0, 3, 2],
  [2, 3, 0, 1],
  [3, 3, 3, 3],
  [4, 5, 6, 7],
  [0, 1, 2, 3],
  [0, 5, 2, 7],
  [0, 4, 0, 4],
] as const;

/** A pattern for `lanes` lanes of two sources. */
export function randomPattern(tape: Tape, lanes: number): Pattern {
  const shift = tape.below(lanes);
  switch (tape.below(9)) {
    case 0:
      return inGroups(lanes, tape.pick(PLACES));
    case 1:
      return inGroups(
        lanes,
        perLane(GROUP, () => tape.below(2 * GROUP)),
      );
    case 2: {
      const groups = perLane(lanes / GROUP, () => tape.below((2 * lanes) / GROUP));
      return perLane(lanes, (i) => GROUP * groups[Math.floor(i / GROUP)]! + (i % GROUP));
    }
    case 3: // a window of both
      return perLane(lanes, (i) => i + shift);
    case 4: // even or odd lanes of both
      return perLane(lanes, (i) => 2 * i + (shift & 1));
    case 5: // one lane to all, of either
      return perLane(lanes, () => shift + (tape.once(2) ? lanes : 0));
    case 6: // any of one source
      return perLane(lanes, () => tape.below(lanes));
    case 7: // lanes stay where they are
      return perLane(lanes, (i) => i + (tape.once(2) ? lanes : 0));
    default:
      return perLane(lanes, () => tape.below(2 * lanes));
  }
}
