/** The work on language models that the contenders in pages share: what is asked of them, and how it is counted. */
import { numberOption, type Options, type Workload } from '../adapter.ts';

/** Context that every contender is loaded with. */
export const CONTEXT = 1024;

/** A contender's model, loaded. Times are of its own clock where it has one. */
export interface PageModel {
  readonly note: string;
  /** Evaluates a prompt of `tokens` tokens, none of them known from before; gives tokens per second. */
  prefill(prompt: string, tokens: number): Promise<number>;
  /** Writes `tokens` tokens greedily after a short prompt; gives tokens per second without the prompt. */
  decode(prompt: string, tokens: number): Promise<number>;
  /** Evaluates a prompt and writes one token. */
  reply(prompt: string): Promise<unknown>;
  close(): Promise<void>;
}

/** Loads a model from memory. */
export type OpenModel = (file: Blob, threads: number) => Promise<PageModel>;

const PROMPT = 'Once upon a time';
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** A text of `tokens` tokens, BOS counted: in the bench's vocabulary each letter after a space is one. It differs by `round` from its start on. */
export const promptOf = (tokens: number, round: number): string =>
  Array.from({ length: tokens - 1 }, (_, i) => ` ${LETTERS[(i * 7 + round + (i >> 3)) % LETTERS.length]}`).join('');

async function download(model: string): Promise<Blob> {
  const response = await fetch(`/models/${model}.gguf`);
  if (!response.ok) throw new Error(`bench/models/${model}.gguf is missing`);
  return response.blob(); // a Blob of one large array cannot be read in Chromium
}

/** Options: work (`prefill`, `decode`, or `first-token` from memory), model, tokens, threads. */
export async function modelWork(open: OpenModel, options: Options): Promise<Workload> {
  const threads = numberOption(options, 'threads');
  const file = await download(String(options.model));
  if (options.work === 'first-token') return firstToken(open, file, threads);
  const tokens = numberOption(options, 'tokens');
  const model = await open(file, threads);
  let round = 0;
  const once = (): Promise<number> =>
    options.work === 'prefill' ? model.prefill(promptOf(tokens, round++), tokens) : model.decode(PROMPT, tokens);
  return {
    workPerIteration: tokens,
    note: model.note,
    async run(iterations) {
      let seconds = 0;
      for (let i = 0; i < iterations; i++) seconds += tokens / (await once());
      return (tokens * iterations) / seconds;
    },
  };
}

/** Milliseconds from a file in memory to the first token, compiling included; closing is outside the measured time. */
async function firstToken(open: OpenModel, file: Blob, threads: number): Promise<Workload> {
  let note = '';
  const once = async (): Promise<number> => {
    const start = performance.now();
    const model = await open(file, threads);
    await model.reply(PROMPT);
    const elapsed = performance.now() - start;
    note = model.note;
    await model.close();
    return elapsed;
  };
  await once();
  return {
    workPerIteration: 1,
    note: `${note}, from memory`,
    async run(iterations) {
      let elapsed = 0;
      for (let i = 0; i < iterations; i++) elapsed += await once();
      return elapsed / iterations;
    },
  };
}
