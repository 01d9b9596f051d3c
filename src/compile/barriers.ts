/**
 * Where threads must wait for each other: after a step whose results (or scratch) a later step touches
 * before the next barrier, unless both steps give every thread the same elements of it.
 */

/** Bytes of one memory that a step touches. */
export interface Touch {
  /** An argument number, or -1 for the arena, -2 for shared scratch. */
  readonly memory: number;
  readonly begin: number;
  readonly end: number;
  readonly isWrite: boolean;
  /** Not empty: each thread touches only its part of these bytes, divided in this way. */
  readonly partition: string;
}

const overlaps = (a: Touch, b: Touch): boolean => a.memory === b.memory && a.begin < b.end && b.begin < a.end;

/** Whether two steps without a barrier in between could race on these bytes. */
function conflicts(a: Touch, b: Touch): boolean {
  if (!(a.isWrite || b.isWrite) || !overlaps(a, b)) return false;
  const isSamePart = a.partition !== '' && a.partition === b.partition && a.begin === b.begin && a.end === b.end;
  return !isSamePart && !(a.partition === ONE_THREAD && b.partition === ONE_THREAD);
}

/** The partition of steps that run on one thread, the last: they need no barrier among themselves. */
export const ONE_THREAD = 'one thread';

/** For each step, whether threads wait after it. The end of the program is a barrier of its own. */
export function placeBarriers(steps: readonly (readonly Touch[])[]): boolean[] {
  const barriers = steps.map(() => false);
  let open: Touch[] = [];
  steps.forEach((touches, i) => {
    if (touches.some((touch) => open.some((earlier) => conflicts(earlier, touch)))) {
      barriers[i - 1] = true;
      open = [];
    }
    open.push(...touches);
  });
  return barriers;
}
