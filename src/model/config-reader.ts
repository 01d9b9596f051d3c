/** Reads fields of a `config.json` record with their types and ranges checked. */
import { BitloomError } from '../ir/error.ts';

export type ConfigRecord = Readonly<Record<string, unknown>>;

const wrong = (key: string, wanted: string, value: unknown): BitloomError =>
  new BitloomError('BAD_FILE', `config: '${key}' must be ${wanted}, not ${JSON.stringify(value) ?? 'absent'}`, {
    key,
    value,
  });

/** A whole number from `least` to `most`; `fallback` where the key is absent or null. */
export function countField(config: ConfigRecord, key: string, fallback?: number, most = 2 ** 31, least = 0): number {
  const value = config[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw wrong(key, `a whole number from ${least} to ${most}`, value);
  }
  return value;
}

/** A whole number from 1 to `most`. */
export const sizeField = (config: ConfigRecord, key: string, fallback?: number, most?: number): number =>
  countField(config, key, fallback, most, 1);

/** A finite number above 0. */
export function positiveField(config: ConfigRecord, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) throw wrong(key, 'a number above 0', value);
  return value;
}

export function booleanField(config: ConfigRecord, key: string, fallback: boolean): boolean {
  const value = config[key] ?? fallback;
  if (typeof value !== 'boolean') throw wrong(key, 'true or false', value);
  return value;
}

/** One of the listed texts. Throws UNSUPPORTED_FEATURE naming them, since others exist. */
export function choiceField<T extends string>(
  config: ConfigRecord,
  key: string,
  choices: readonly T[],
  fallback: T,
): T {
  const value = config[key] ?? fallback;
  if (!choices.includes(value as T)) {
    throw new BitloomError(
      'UNSUPPORTED_FEATURE',
      `config: '${key}' is ${JSON.stringify(value)}; supported: ${choices.join(', ')}`,
      { key, value },
    );
  }
  return value as T;
}

/** A nested record, or null where the key is absent or null. */
export function recordField(config: ConfigRecord, key: string): ConfigRecord | null {
  const value = config[key] ?? null;
  if (value === null) return null;
  if (typeof value !== 'object' || Array.isArray(value)) throw wrong(key, 'an object', value);
  return value as ConfigRecord;
}

/** A list of `count` finite numbers above 0. */
export function numbersField(config: ConfigRecord, key: string, count: number): readonly number[] {
  const value = config[key];
  const isList = Array.isArray(value) && value.every((n) => typeof n === 'number' && Number.isFinite(n) && n > 0);
  if (!isList || value.length !== count) throw wrong(key, `a list of ${count} numbers above 0`, value);
  return value as number[];
}

/** A list of `count` of the listed texts, or null where the key is absent or null. Throws UNSUPPORTED_FEATURE, BAD_FILE. */
export function choicesField<T extends string>(
  config: ConfigRecord,
  key: string,
  choices: readonly T[],
  count: number,
): readonly T[] | null {
  const value = config[key] ?? null;
  if (value === null) return null;
  if (!Array.isArray(value) || value.length !== count) throw wrong(key, `a list of ${count} names`, value);
  return value.map((entry) => choiceField({ [key]: entry }, key, choices, choices[0]!));
}

/** A number above 0, or null where the key is absent or null. */
export const nullableField = (config: ConfigRecord, key: string): number | null =>
  (config[key] ?? null) === null ? null : positiveField(config, key);

/** A list of whole numbers from 0, empty where the key is absent or null. */
export function indicesField(config: ConfigRecord, key: string): readonly number[] {
  const value = config[key] ?? [];
  const isList = Array.isArray(value) && value.every((n) => Number.isInteger(n) && n >= 0);
  if (!isList) throw wrong(key, 'a list of whole numbers from 0', value);
  return value as number[];
}

/** A list of `count` zeros and ones (or false and true), or null where the key is absent or null. */
export function flagsField(config: ConfigRecord, key: string, count: number): readonly boolean[] | null {
  const value = config[key] ?? null;
  if (value === null) return null;
  const isFlag = (entry: unknown): boolean => [0, 1, false, true].includes(entry as number);
  if (!Array.isArray(value) || value.length !== count || !value.every(isFlag))
    throw wrong(key, `a list of ${count} zeros and ones`, value);
  return value.map(Boolean);
}
