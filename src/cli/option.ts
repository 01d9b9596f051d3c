/**
 * Options of the command line as data: each has one name, perhaps a letter, a parser with its range, an
 * environment twin (`--max-tokens` is `BITLOOM_MAX_TOKENS`), and the names other tools use for it.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';

/** Names from llama.cpp's tools that mean the same, and ours. */
const ALIASES: Readonly<Record<string, string>> = {
  '--n-predict': '--max-tokens',
  '--predict': '--max-tokens',
  '--temp': '--temperature',
  '--repeat-penalty': '--repetition-penalty',
  '-ctk': '--cache-type-k',
  '-ctv': '--cache-type-v',
  '--ctx-size': '--context',
  '--system-prompt': '--system',
  '-hf': '--model',
  '--hf-repo': '--model',
};

/** Replaces the names other tools use by ours; what follows `--` stays as it is. */
export function resolveAliases(args: readonly string[]): string[] {
  const end = args.indexOf('--');
  return args.map((arg, i) => {
    if (end >= 0 && i >= end) return arg;
    const equals = arg.indexOf('=');
    const name = equals < 0 ? arg : arg.slice(0, equals);
    return Object.hasOwn(ALIASES, name) ? ALIASES[name] + arg.slice(name.length) : arg;
  });
}

/** A parser for whole numbers from `least` to `most`. */
export const integer =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < least || value > most) {
      throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
    }
    return value;
  };

/** A parser for numbers from `least` to `most`. */
export const number =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || Number.isNaN(value) || value < least || value > most) {
      throw new InvalidArgumentError(`Give a number from ${least} to ${most}.`);
    }
    return value;
  };

/** A parser that collects a repeated option. */
export const list = (text: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  text,
];

/** A parser for `id=bias`, as llama.cpp writes it (`42+1.5`, `42-1`) too; several with commas or repeated. `-inf` bans. */
export function logitBias(
  text: string,
  before: Readonly<Record<number, number>> | undefined,
): Readonly<Record<number, number>> {
  const entries = text.split(',').map((entry) => {
    const [, id, value] = /^\s*(\d+)\s*(?:=\s*|(?=[+-]))(\S+)\s*$/.exec(entry) ?? [];
    const bias = /^-inf(inity)?$/i.test(value ?? '') ? -Infinity : Number(value);
    if (id === undefined || Number.isNaN(bias) || bias === Infinity)
      throw new InvalidArgumentError('Give token ids with numbers, such as 42=-1.5 or 42=-inf.');
    return [Number(id), bias] as const;
  });
  return { ...before, ...Object.fromEntries(entries) };
}

/** Makes an option with a parser. */
export function option<T>(flags: string, description: string, parse?: (text: string, before: T) => T): Option {
  const made = new Option(flags, description);
  return parse ? made.argParser(parse) : made;
}

const OFF = new Set(['', '0', 'false', 'no', 'off']);
const ON = new Set(['1', 'true', 'yes', 'on']);

/** A parser for a folder, or whether there is one. */
export const weightCacheOf = (text: string): boolean | string => {
  const word = text.toLowerCase();
  return OFF.has(word) ? false : ON.has(word) ? true : text;
};

/** Sets what the environment gives; arguments that are parsed later win. Throws commander's usage errors. */
export function applyEnvironment(command: Command, environment: Readonly<Record<string, string | undefined>>): void {
  for (const entry of command.options) {
    const name = `BITLOOM_${entry.name().toUpperCase().replaceAll('-', '_')}`;
    const text = environment[name];
    if (text === undefined) continue;
    const key = entry.attributeName();
    if (entry.isBoolean()) {
      if (!OFF.has(text.toLowerCase())) command.setOptionValueWithSource(key, true, 'env');
      continue;
    }
    try {
      const value: unknown = entry.parseArg ? entry.parseArg<unknown>(text, undefined) : text;
      command.setOptionValueWithSource(key, value, 'env');
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      command.error(`error: environment variable ${name} is '${text}'. ${error.message}`, { exitCode: 2 });
    }
  }
}
