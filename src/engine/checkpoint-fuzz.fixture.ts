/**
 * For tests: opens thousands of mutated and random checkpoints. Each must open or be refused with a BitloomError, and
 * must not ask for more memory than files of its size can need.
 */
import { memoryFiles } from '../format/index.ts';
import { BitloomError } from '../ir/error.ts';
import { createModel } from '../model/index.ts';
import { requireVocabularyFit } from '../text/index.ts';
import { openCheckpoint } from './checkpoint.ts';
import { fuzzSubjects, type Subject } from './fuzz-subjects.fixture.ts';
import { findWeight } from './load-weights.ts';

export interface FuzzReport {
  readonly opened: number;
  readonly refused: Readonly<Record<string, number>>;
  /** What must not be, each with the seed that shows it. */
  readonly failures: readonly string[];
  /** The most bytes that one file's opening asked for. */
  readonly mostBytes: number;
}

/** Numbers from 0 to 1 by Mulberry32. */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
type Random = () => number;

const whole = (random: Random, below: number): number => Math.floor(random() * below);
const pick = <T>(random: Random, list: readonly T[]): T => list[whole(random, list.length)]!;

const EXTREMES = [
  0n,
  1n,
  2n,
  0x7fn,
  0xffn,
  0xffffn,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const JSON_VALUES = [
  '0',
  '1',
  '-1',
  '2',
  '3',
  '65536',
  '2147483647',
  '1e9',
  '1e308',
  '-1e-9',
  '0.5',
  '9007199254740993',
  'null',
  'true',
  '""',
  '"x"',
  '[]',
  '[[]]',
  '{}',
  '[1,2]',
  '{"a":1}',
];

/** Mostly near the start, where headers are. */
const place = (random: Random, length: number): number =>
  random() < 0.8 ? whole(random, Math.min(length, 6000)) : whole(random, length);

type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array;

const spliced = (bytes: Uint8Array, from: number, to: number, middle: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.concat([bytes.subarray(0, from), middle, bytes.subarray(to)]));

const byteMutations: readonly Mutation[] = [
  (bytes, random) => {
    const copy = bytes.slice();
    for (let i = 0; i <= whole(random, 4); i++) copy[place(random, copy.length)]! ^= 1 << whole(random, 8);
    return copy;
  },
  (bytes, random) => {
    const copy = bytes.slice();
    copy[place(random, copy.length)] = whole(random, 256);
    return copy;
  },
  (bytes, random) => {
    const copy = bytes.slice();
    const at = place(random, Math.max(1, copy.length - 8));
    const value = pick(random, EXTREMES);
    const view = new DataView(copy.buffer);
    if (at + 8 <= copy.length && random() < 0.5) view.setBigUint64(at, value, true);
    else if (at + 4 <= copy.length) view.setUint32(at, Number(value & 0xffffffffn), true);
    return copy;
  },
  (bytes, random) => bytes.slice(0, place(random, bytes.length)),
  (bytes, random) => {
    const at = place(random, bytes.length);
    return spliced(bytes, at, Math.min(bytes.length, at + whole(random, 40)), new Uint8Array(0));
  },
  (bytes, random) => {
    const at = place(random, bytes.length);
    return spliced(
      bytes,
      at,
      at,
      Uint8Array.from({ length: whole(random, 20) }, () => whole(random, 256)),
    );
  },
  (bytes, random) => {
    const [at, from] = [place(random, bytes.length), place(random, bytes.length)];
    return spliced(bytes, at, at, bytes.slice(from, from + whole(random, 200)));
  },
];

/** Changes one of the values, keys or signs of JSON. */
const textMutations: readonly Mutation[] = [
  (bytes, random) => {
    const text = new TextDecoder().decode(bytes);
    const values = [...text.matchAll(/(?<=[:,[])\s*(-?[\d.e+]+|"[^"]*"|true|false|null|\[[^[\]]*\]|\{[^{}]*\})/g)];
    if (values.length === 0) return bytes;
    const { index, 0: found } = pick(random, values);
    return new TextEncoder().encode(
      text.slice(0, index) + pick(random, JSON_VALUES) + text.slice(index + found.length),
    );
  },
  (bytes, random) => {
    const text = new TextDecoder().decode(bytes);
    const keys = [...text.matchAll(/"[^"]*"(?=:)/g)];
    if (keys.length === 0) return bytes;
    const [one, other] = [pick(random, keys), pick(random, keys)];
    return new TextEncoder().encode(text.slice(0, one.index) + other[0] + text.slice(one.index + one[0].length));
  },
  (bytes, random) => {
    const at = place(random, bytes.length);
    return spliced(
      bytes,
      at,
      at,
      new TextEncoder().encode(pick(random, ['{', '}', '[', ']', ',', '"', '\\', '[[[[[[[['])),
    );
  },
];

/** Several numbers of JSON at their extremes at once. */
const extremes: Mutation = (bytes, random) => {
  const text = new TextDecoder().decode(bytes);
  const share = random();
  const changed = text.replace(/(?<=:\s*)\d+(?=[,}])/g, (number) =>
    random() < share ? pick(random, ['1', '16', '1024', '4096', '65536', '2147483647']) : number,
  );
  return new TextEncoder().encode(changed);
};

/** The header of safetensors is JSON behind its length, which is kept true. */
const headerMutation: Mutation = (bytes, random) => {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = pick(random, textMutations)(bytes.slice(8, 8 + length), random);
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, BigInt(header.length), true);
  return new Uint8Array(Buffer.concat([start, header, bytes.subarray(8 + length)]));
};

function mutationsOf(name: string): readonly Mutation[] {
  if (name === 'config.json') return [extremes, ...textMutations, ...textMutations, ...byteMutations];
  if (name.endsWith('.json')) return [...textMutations, ...textMutations, ...byteMutations];
  return name.endsWith('.safetensors')
    ? [headerMutation, headerMutation, headerMutation, ...byteMutations]
    : byteMutations;
}

/** A subject with some of its files changed, or random bytes behind a true beginning. */
function mutated({ files }: Subject, random: Random): Record<string, Uint8Array> {
  const changed: Record<string, Uint8Array> = { ...files };
  const names = Object.keys(files);
  for (let i = 0; i <= whole(random, 2); i++) {
    const name = pick(random, names);
    const bytes = changed[name];
    if (bytes === undefined) continue;
    const chance = random();
    if (chance < 0.02) delete changed[name];
    else if (chance < 0.05) changed[name] = changed[pick(random, names)] ?? bytes;
    else if (chance < 0.1) {
      const noise = Uint8Array.from({ length: whole(random, 300) }, () => whole(random, 256));
      changed[name] = spliced(bytes, 0, bytes.length, Buffer.concat([bytes.subarray(0, whole(random, 64)), noise]));
    } else if (bytes.length > 8) changed[name] = pick(random, mutationsOf(name))(bytes, random);
  }
  return changed;
}

const COUNTED = [
  'ArrayBuffer',
  'Uint8Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'Array',
] as const;

/** Counts the bytes that constructors with a length are asked for while `act` runs. */
async function countedBytes(act: () => Promise<void>): Promise<number> {
  let bytes = 0;
  const globals = globalThis as unknown as Record<string, new (...args: unknown[]) => object>;
  const originals = COUNTED.map((name) => [name, globals[name]!] as const);
  for (const [name, Original] of originals) {
    const size =
      (Original as unknown as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? (name === 'Array' ? 8 : 1);
    globals[name] = new Proxy(Original, {
      construct(target, args, caller) {
        if (typeof args[0] === 'number' && args.length === 1) bytes += args[0] * size;
        return Reflect.construct(target, args, caller === globals[name] ? target : caller);
      },
    });
  }
  try {
    await act();
  } finally {
    for (const [name, Original] of originals) globals[name] = Original;
  }
  return bytes;
}

/** Everything that loading does before the device comes in, and the first row of each tensor. */
async function open(files: Readonly<Record<string, Uint8Array>>): Promise<void> {
  const checkpoint = await openCheckpoint(memoryFiles(files));
  try {
    const model = createModel(checkpoint.config);
    requireVocabularyFit(checkpoint.tokenizer, model.vocabSize);
    for (const spec of model.tensors) {
      const { shape, byteLength, readRows } = findWeight(checkpoint, spec);
      const rows = shape.slice(0, -1).reduce((n, d) => n * d, 1);
      if (rows > 0) await readRows(0, 1, new Uint8Array(byteLength / rows));
    }
    checkpoint.tokenizer.decode(checkpoint.tokenizer.encode('a b'));
  } finally {
    await checkpoint.close();
  }
}

/** Opens `runs` mutations of every kind; the same for the same seed. */
export async function fuzzCheckpoints(runs: number, seed: number): Promise<FuzzReport> {
  const subjects = await fuzzSubjects();
  for (const { files } of subjects) await open(files); // sound as they are
  const refused: Record<string, number> = {};
  const failures: string[] = [];
  let opened = 0;
  let mostBytes = 0;
  for (let run = 0; run < runs && failures.length < 5; run++) {
    const random = generator(seed + run);
    const subject = pick(random, subjects);
    const files = mutated(subject, random);
    const where = `${subject.name}, seed ${seed + run}`;
    const bytes = await countedBytes(async () => {
      try {
        await open(files);
        opened++;
      } catch (error) {
        if (error instanceof BitloomError) refused[error.code] = (refused[error.code] ?? 0) + 1;
        else failures.push(`${where}: ${error instanceof Error ? error.stack : String(error)}`);
      }
    });
    mostBytes = Math.max(mostBytes, bytes);
    if (bytes > MOST_BYTES) failures.push(`${where}: asks for ${bytes} bytes`);
  }
  return { opened, refused, failures, mostBytes };
}

/** The subjects have at most 150 kB; a first look at a GGUF file reads 4 MB where there are as many. */
export const MOST_BYTES = 2 ** 24;
