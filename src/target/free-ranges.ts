/** Free ranges of an address space: best fit, neighbours merged. */

export interface FreeRange {
  start: number;
  end: number;
}

export class FreeRanges {
  /** Sorted by address; no two touch. */
  readonly #free: FreeRange[] = [];

  get last(): FreeRange | undefined {
    return this.#free.at(-1);
  }

  /** Takes `size` bytes from the smallest range that holds them; undefined where none does. */
  take(size: number): number | undefined {
    let best: FreeRange | undefined;
    for (const range of this.#free) {
      const room = range.end - range.start;
      if (room >= size && (best === undefined || room < best.end - best.start)) best = range;
    }
    if (best === undefined) return undefined;
    const { start } = best;
    best.start += size;
    if (best.start === best.end) this.#free.splice(this.#free.indexOf(best), 1);
    return start;
  }

  release(start: number, end: number): void {
    const free = this.#free;
    let low = 0;
    let high = free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (free[middle]!.start < start) low = middle + 1;
      else high = middle;
    }
    const [before, after] = [free[low - 1], free[low]];
    const joinsBefore = before?.end === start;
    const joinsAfter = after?.start === end;
    if (joinsBefore && joinsAfter) {
      before.end = after.end;
      free.splice(low, 1);
    } else if (joinsBefore) before.end = end;
    else if (joinsAfter) after.start = start;
    else free.splice(low, 0, { start, end });
  }
}
