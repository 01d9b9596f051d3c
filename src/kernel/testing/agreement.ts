/** Whether two runs of a kernel left the same in memory. */

const isNotANumber = (word: number): boolean => (word & 0x7fffffff) > 0x7f800000;

/** The first word in which buffers differ, in words; undefined where there is none. `isFloat` tells whose NaN are all alike. */
export function difference(
  found: readonly Uint8Array[],
  wanted: readonly Uint8Array[],
  isFloat: (buffer: number) => boolean,
): string | undefined {
  for (const [buffer, bytes] of wanted.entries()) {
    const [a, b] = [found[buffer]!, bytes].map((x) => new DataView(x.buffer, x.byteOffset, x.byteLength)) as [
      DataView,
      DataView,
    ];
    const hasNaN = isFloat(buffer);
    for (let at = 0; at < bytes.length; at += 4) {
      const [x, y] = [a.getUint32(at, true), b.getUint32(at, true)];
      if (x === y || (hasNaN && isNotANumber(x) && isNotANumber(y))) continue;
      const [is, not] = [x, y].map((word) => word.toString(16).padStart(8, '0'));
      return `word ${at / 4} of buffer ${buffer} is ${is}, not ${not}`;
    }
  }
  return undefined;
}
