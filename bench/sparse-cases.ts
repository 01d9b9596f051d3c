/** The cases of sparse weights: what not storing zeros brings a decoding step, from memory and from the last-level cache. */
import { type Case, type Contender, contender, plural, THREADS, UNITS } from './case.ts';

const SIZE = 4096;
/** Per cent of the weights that are zero. */
const ZEROS = [30, 50, 70, 90] as const;
/** Sets of matrices: beyond any cache, and one matrix alone. */
const SETS = [
  ['dram', 'from memory', 512 << 20],
  ['cache', 'in the last-level cache', 1],
] as const;
/** A bit for each weight, 16 for each that is not zero. */
const sparseBytes = (zeros: number): number => SIZE * SIZE * (1 / 8 + 2 * (1 - zeros / 100));

const weights = (zeros: number, threads: number, setBytes: number, isWhole: boolean): Contender => ({
  ...contender(isWhole ? 'all weights stored' : 'sparse', 'ours', 'sparse', {
    device: 'x64',
    size: SIZE,
    zeros,
    threads,
    setBytes,
    isWhole,
  }),
  bytesPerUnit: isWhole ? 2 * SIZE * SIZE : sparseBytes(zeros),
});

export const sparseCases = (): Case[] =>
  SETS.flatMap(([place, where, setBytes]) =>
    ZEROS.flatMap((zeros) =>
      THREADS.map(
        (threads): Case => ({
          name: `x64-sparse-${place}-${zeros}-${threads}t`,
          title: `bf16 matrix-vector product ${SIZE} ${where}, ${zeros} % zeros, in machine code, ${plural(threads)}`,
          unit: UNITS.matrices,
          isQuick: false,
          contenders: [weights(zeros, threads, setBytes, false), weights(zeros, threads, setBytes, true)],
          ...(zeros === 50 && { goals: [{ against: 'all weights stored', atLeast: 1.4 }] }),
        }),
      ),
    ),
  );
