/** A library of tests: it records what is called, and answers from a table. */
import type { ForeignLibrary } from './foreign-library.ts';

/** Results by name of the function; 0 for the others. */
export type Answers = Readonly<Record<string, number | ((...args: number[]) => number)>>;

export interface RecordingLibrary extends ForeignLibrary {
  /** `VirtualFree(4096, 0, 32768)`, in the order of the calls. */
  readonly calls: string[];
  /** `kernel32.dll!VirtualFree(int64, int64, uint32): int32`. */
  readonly bound: string[];
  /** What was viewed, by address: the same array for the same address. */
  readonly memory: Map<number, Uint8Array<ArrayBuffer>>;
}

export function recordingLibrary(answers: Answers = {}, absent: readonly string[] = []): RecordingLibrary {
  const [calls, bound, memory] = [[] as string[], [] as string[], new Map<number, Uint8Array<ArrayBuffer>>()];
  const check = (symbol: string): void => {
    if (absent.includes(symbol)) throw new Error(`no ${symbol}`);
  };
  return {
    name: 'koffi',
    calls,
    bound,
    memory,
    bind(file, symbol, result, args) {
      check(symbol);
      bound.push(`${file ?? ''}!${symbol}(${args.join(', ')}): ${result}`);
      return (...values) => {
        if (values.length !== args.length) throw new Error(`${symbol} takes ${args.length} arguments`);
        calls.push(`${symbol}(${values.join(', ')})`);
        const answer = answers[symbol] ?? 0;
        return typeof answer === 'number' ? answer : answer(...values);
      };
    },
    addressOf(file, symbol) {
      check(symbol);
      return `${file ?? ''}!${symbol}`.length;
    },
    functionAt: (address) => () => address,
    view(address, byteLength) {
      const bytes = memory.get(address) ?? new Uint8Array(byteLength);
      memory.set(address, bytes);
      return bytes.buffer;
    },
    lastError: () => 12,
  };
}
