/** Numbers and tables as people read them. */

/** Bytes in decimal units, e.g. `13.9 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** Rows with aligned columns; columns whose cells are all numbers lean to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) => Math.max(...rows.map((row) => row[c]?.length ?? 0)));
  const isNumeric = widths.map((_, c) => rows.slice(1).every((row) => /^[\d.,]+( \w+)?$/.test(row[c] ?? '')));
  return rows
    .map((row) =>
      row
        .map((cell, c) => (isNumeric[c] && rows.length > 1 ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
