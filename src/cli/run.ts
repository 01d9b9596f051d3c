/** `bitloom run`: loads a model and continues a prompt, or talks with a person at a terminal. */

import type { GenerateOptions, GenerationResult, KvCacheType, LoadOptions } from '../engine/index.ts';
import { BitloomError } from '../ir/error.ts';
import { chat } from './chat.ts';
import type { Engine, TextModel } from './engine-face.ts';
import { EXIT } from './exit-code.ts';
import { type HubFlags, hubOptions } from './hub-flags.ts';
import { showProgress } from './progress.ts';
import { stream } from './stream.ts';
import type { Terminal } from './terminal.ts';

/** Parsed options of `bitloom run`; what is absent is the model's or the engine's to choose. */
export interface RunOptions extends HubFlags {
  readonly prompt?: string;
  readonly system?: string;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly logitBias?: Readonly<Record<number, number>>;
  readonly logprobs?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly device?: 'auto' | 'x64' | 'wasm' | 'interpreter';
  readonly threads?: number;
  readonly deterministic?: boolean;
  readonly context?: number;
  readonly kvCache?: KvCacheType;
  /** llama.cpp's names for `kvCache`, which must agree. */
  readonly cacheTypeK?: KvCacheType;
  readonly cacheTypeV?: KvCacheType;
  readonly weightCache?: boolean | string;
  readonly ignoreEos?: boolean;
  readonly raw?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** What the embedded model is asked for when nobody says anything. */
const STORY = 'Write a short bedtime story called `The Fox and the Moon`.';

/** Runs the command; `source` undefined means the embedded model. Returns the exit code. */
export async function run(
  source: string | undefined,
  options: RunOptions,
  terminal: Terminal,
  engine: Engine,
): Promise<number> {
  const sampling = samplingOptions(options);
  const prompt = await findPrompt(source, options, terminal);
  const abort = new AbortController();
  const stopListening = terminal.onInterrupt(() => abort.abort());
  let model: TextModel | undefined;
  try {
    model = await engine.load(source, loadOptions(options, terminal, abort.signal));
    terminal.status('');
    if (prompt === undefined) {
      stopListening();
      await chat(model, sampling, options, terminal);
    } else {
      const signal = AbortSignal.any([abort.signal, terminal.closed]);
      await answer(model, prompt, { ...sampling, signal }, options, terminal);
    }
    return EXIT.done;
  } finally {
    stopListening();
    terminal.status('');
    await model?.dispose();
  }
}

/** The prompt to answer, or undefined for a chat. Throws INVALID_ARGUMENT where there is neither. */
async function findPrompt(
  source: string | undefined,
  options: RunOptions,
  terminal: Terminal,
): Promise<string | undefined> {
  if (options.prompt === '-') return (await terminal.readAll()).replace(/\r?\n$/, '');
  if (options.prompt !== undefined) return options.prompt;
  if (terminal.isInteractive && !options.json) return undefined;
  if (source === undefined) return STORY;
  throw new BitloomError(
    'INVALID_ARGUMENT',
    'There is nothing to answer: no --prompt, and no terminal to chat on. Give --prompt TEXT, or --prompt - to read stdin.',
  );
}

function loadOptions(options: RunOptions, terminal: Terminal, signal: AbortSignal): LoadOptions {
  const { device, threads, deterministic: isDeterministic, context: contextLength, weightCache } = options;
  return {
    device,
    threads,
    isDeterministic,
    contextLength,
    kvCacheType: cacheType(options),
    weightCache,
    signal,
    hub: hubOptions(options),
    onProgress: options.quiet ? () => {} : showProgress(terminal),
    onWarning: (message) => terminal.note(`warning: ${message}`),
  };
}

/** The one cache type that is asked for. Throws INVALID_ARGUMENT where there are several. */
function cacheType({ kvCache, cacheTypeK, cacheTypeV }: RunOptions): KvCacheType | undefined {
  const [type, ...others] = new Set([kvCache, cacheTypeK, cacheTypeV].filter((each) => each !== undefined));
  if (others.length === 0) return type;
  throw new BitloomError(
    'INVALID_ARGUMENT',
    `Keys and values are cached alike, not as ${[type, ...others].join(' and ')}. Give one type: --kv-cache ${type}.`,
  );
}

/** Sampling as asked for. A seed is drawn when none is given, so that it can be told. */
function samplingOptions(options: RunOptions): GenerateOptions & { readonly seed: number } {
  const { maxTokens, temperature, topK, topP, minP, stop, ignoreEos, raw, logprobs } = options;
  const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = options;
  const penalties = { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty };
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
  if (logprobs !== undefined && !options.json)
    throw new BitloomError('INVALID_ARGUMENT', '--logprobs are told with --json; give both.');
  return { maxTokens, temperature, topK, topP, minP, ...penalties, stop, ignoreEos, raw, logprobs, seed };
}

async function answer(
  model: TextModel,
  prompt: string,
  generate: GenerateOptions & { readonly seed: number },
  options: RunOptions,
  terminal: Terminal,
): Promise<void> {
  const input =
    options.system === undefined || options.raw
      ? prompt
      : [
          { role: 'system' as const, content: options.system },
          { role: 'user' as const, content: prompt },
        ];
  const generation = model.generate(input, generate);
  const result = await stream(generation, options.json ? () => {} : terminal.write);
  if (options.json) {
    const { text, tokens, promptTokens, cachedTokens, finishReason, logprobs, timings } = result;
    const { loadMs, firstTokenMs, prefillTokensPerSecond, decodeTokensPerSecond } = timings;
    terminal.write(
      `${JSON.stringify({
        text,
        tokens: [...tokens],
        promptTokens,
        cachedTokens,
        finishReason,
        logprobs,
        timings: { loadMs, firstTokenMs, prefillTokensPerSecond, decodeTokensPerSecond },
      })}\n`,
    );
  } else if (!options.quiet) {
    terminal.note(summary(result, generate.seed));
  }
}

/** One line of what happened, for stderr. */
function summary({ tokens, promptTokens, finishReason, timings }: GenerationResult, seed: number): string {
  const rate = (perSecond: number): string => `${perSecond.toFixed(perSecond < 10 ? 1 : 0)} tokens/s`;
  return [
    `${promptTokens} + ${tokens.length} tokens (${finishReason})`,
    `loaded in ${timings.loadMs.toFixed(0)} ms`,
    `first token after ${timings.firstTokenMs.toFixed(0)} ms`,
    `prefill ${rate(timings.prefillTokensPerSecond)}`,
    `decode ${rate(timings.decodeTokensPerSecond)}`,
    `seed ${seed}`,
  ].join(', ');
}
