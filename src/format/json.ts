/** JSON of files that others wrote: valid UTF-8, an object at the top, no key twice. */
import { badFile } from './byte-source.ts';

export type JsonRecord = Readonly<Record<string, unknown>>;

export const isRecord = (value: unknown): value is JsonRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Index of the quote that ends the string whose opening quote is at `start`. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i;
}

/** The first key that some object of valid JSON text has twice. JSON.parse would keep the last silently. */
function repeatedKey(text: string): string | undefined {
  const open: (Set<string> | null)[] = []; // keys of each open object; null for arrays
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '{') open.push(new Set());
    else if (c === '[') open.push(null);
    else if (c === '}' || c === ']') open.pop();
    else if (c === '"') {
      const start = i;
      i = stringEnd(text, start);
      let next = i + 1;
      while (/\s/.test(text[next] ?? '')) next++;
      const keys = open.at(-1);
      if (!keys || text[next] !== ':') continue;
      const key = JSON.parse(text.slice(start, i + 1)) as string;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

/** The object in UTF-8 JSON bytes. `what` names them in errors. Throws BAD_FILE. */
export function parseJson(source: { readonly name: string }, bytes: Uint8Array, what: string): JsonRecord {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw badFile(source, `the ${what} is not valid UTF-8 JSON`, { cause: String(cause) });
  }
  if (!isRecord(value)) throw badFile(source, `the ${what} is not a JSON object`);
  const key = repeatedKey(text);
  if (key !== undefined) throw badFile(source, `the ${what} has the key ${JSON.stringify(key)} twice`, { key });
  return value;
}
