/** Whether two runs of a kernel left the same in memory. */

/** Words with every NaN replaced by one, so that their bits do not matter. */
export function canonical(bytes: Uint8Array, isFloat: boolean): Uint32Array {
  const words = new Uint32Array(bytes.slice().buffer);
  if (isFloat) for (const [i, word] of words.entries()) if ((word & 0x7fffffff) > 0x7f800000) words[i] = 0x7fc00000;
  return words;
}

/** The first word in which buffers differ, in words; undefined where there is none. `isFloat` tells whose NaN are all alike. */
export function difference(
  found: readonly Uint8Array[],
  wanted: readonly Uint8Array[],
  isFloat: (buffer: number) => boolean,
): string | undefined {
  for (const [buffer, bytes] of wanted.entries()) {
    const [a, b] = [canonical(found[buffer]!, isFloat(buffer)), canonical(bytes, isFloat(buffer))];
    for (let i = 0; i < b.length; i++) {
      if (a[i] === b[i]) continue;
      const [x, y] = [a[i]!, b[i]!].map((word) => word.toString(16).padStart(8, '0'));
      return `word ${i} of buffer ${buffer} is ${x}, not ${y}`;
    }
  }
  return undefined;
}
