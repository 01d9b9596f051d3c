/** A loaded language model: the public face of the engine. */
import { IdleTuning } from '#idle-tuning';
import { platform } from '#platform';
import type { HubOptions } from '../format/hub/index.ts';
import type { LoadProgress } from '../format/index.ts';
import { dtypeName } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { type CausalModel, createModel } from '../model/index.ts';
import { createDevice, type Device, type DeviceName, type Tensor } from '../tensor/index.ts';
import {
  type ChatMessage,
  type DecodeOptions,
  type RenderChat,
  requireVocabularyFit,
  type Tokenizer,
} from '../text/index.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { chooseContext, estimateMemory, requireMemory, slowMapping } from './estimate.ts';
import {
  type GenerateOptions,
  Generation,
  type GenerationChunk,
  type GenerationResult,
  generateTokens,
} from './generation.ts';
import type { KvCacheType } from './kv-cache.ts';
import type { LanguageModel } from './language-model.ts';
import { loadWeights } from './load-weights.ts';
import { RequestQueue } from './request-queue.ts';
import { Sequence } from './sequence.ts';
import type { ModelSource } from './source.ts';
import { throwIfAborted, turnTaker } from './turns.ts';
import { chooseWeightCache } from './weight-cache.ts';

export interface LoadOptions {
  /** Default `auto`: the fastest that runs here. */
  readonly device?: 'auto' | DeviceName | undefined;
  /** Default: the machine's cores. */
  readonly threads?: number | undefined;
  /** The same logits to the bit whatever number of threads runs, at some cost in speed. Default false. */
  readonly isDeterministic?: boolean | undefined;
  /**
   * In pages: whether the engine runs in a worker (default), in the page itself (false), or in a worker that starts
   * from bitloom's file at the address given here. Outside of pages it runs in the calling thread; only false is taken.
   */
  readonly worker?: boolean | string | URL | undefined;
  /** Tokens of prompt and reply together. Default: the model's own, 4096 at most. */
  readonly contextLength?: number | undefined;
  /** How keys and values are cached. Default f16; f32 for exact comparisons; q8_0 takes about half of f16's memory. */
  readonly kvCacheType?: KvCacheType | undefined;
  /**
   * Devices that can use weights where they lie in files: those of local files in place, packed ones from a file that the
   * first load lays out as kernels read them, and keeps in this folder. False copies all weights to memory. Default:
   * BITLOOM_WEIGHT_CACHE (a folder or off), else bitloom/weights under XDG_CACHE_HOME or ~/.cache.
   */
  readonly weightCache?: boolean | string | undefined;
  /** For sources `org/name`: token, endpoint, cache folder, offline. Default: what HF_TOKEN and the like say. */
  readonly hub?: HubOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((event: LoadProgress) => void) | undefined;
  /** Hears of each fallback once, by name. Default: console.warn. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

export interface ModelInfo {
  readonly source: string;
  readonly architecture: string;
  readonly parameterCount: number;
  /** Bytes of weights on the device. */
  readonly weightBytes: number;
  readonly cacheBytes: number;
  /** Element types of the matrices, most frequent first. */
  readonly formats: readonly string[];
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly hasChatTemplate: boolean;
  readonly device: string;
  readonly threads: number;
  /** Why there are not more threads, where there could be: a page that is not cross-origin isolated has one. */
  readonly threadsNote: string | null;
  readonly features: readonly string[];
  readonly loadMs: number;
}

interface ModelParts {
  readonly checkpoint: Checkpoint;
  readonly architecture: CausalModel;
  readonly device: Device;
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly sequence: Sequence;
  readonly loadMs: number;
}

/** Made by `load`. One reply at a time: later requests wait for earlier ones. */
export class Model implements LanguageModel {
  readonly tokenizer: Tokenizer;
  readonly info: ModelInfo;
  readonly #parts: ModelParts;
  readonly #render: RenderChat | null;
  readonly #queue = new RequestQueue();
  readonly #idle: IdleTuning;
  #isDisposed = false;

  /** @internal */
  constructor(parts: ModelParts) {
    this.#parts = parts;
    this.tokenizer = parts.checkpoint.tokenizer;
    this.#render = parts.checkpoint.chatTemplate;
    this.info = describe(parts);
    this.#idle = new IdleTuning(parts.device, parts.sequence, this.#queue);
  }

  /** Waits for a request's turn; what its end calls lets the next one go. */
  async #enter(signal?: AbortSignal): Promise<() => void> {
    this.#idle.stop();
    const leave = await this.#queue.enter(signal);
    return () => {
      leave();
      this.#idle.start();
    };
  }

  /** Whether prompts go through the chat template, so that what is generated is a text of its own. */
  #isRendered(raw: boolean | undefined): boolean {
    return this.#render !== null && raw !== true;
  }

  /** The prompt's token ids: through the chat template, or as it stands with `raw`. Throws EMPTY_PROMPT, BAD_TEMPLATE. */
  tokenize(prompt: string | readonly ChatMessage[], { raw = false }: { raw?: boolean | undefined } = {}): number[] {
    if (prompt.length === 0)
      throw new BitloomError('EMPTY_PROMPT', 'the prompt is empty: there is nothing to continue; give a text');
    if (this.#render === null || !this.#isRendered(raw)) {
      if (typeof prompt !== 'string')
        throw new BitloomError(
          'INVALID_ARGUMENT',
          'messages need a chat template, which this model lacks or `raw` turns off; give a text',
        );
      return this.tokenizer.encode(prompt, { addEos: false });
    }
    const messages = typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
    return this.tokenizer.encode(this.#render(messages), { addBos: false, addEos: false });
  }

  /** The text of token ids. Inverse of `tokenize` with `raw`, where the vocabulary is made of bytes. */
  detokenize(tokens: readonly number[], options: DecodeOptions = {}): string {
    return this.tokenizer.decode(tokens, options);
  }

  /**
   * Continues a prompt. Iterate the result for text as it comes, or await its `result`. Sampling that
   * is not named is as the model's generation_config.json suggests.
   * Throws (from the iterator) EMPTY_PROMPT, CONTEXT_OVERFLOW, BAD_TEMPLATE, BAD_WEIGHTS, ABORTED, DISPOSED.
   *
   * @example
   * for await (const { text } of model.generate('Tell me a story.')) process.stdout.write(text);
   */
  generate(prompt: string | readonly ChatMessage[], options: GenerateOptions = {}): Generation {
    return new Generation(this.#inTurn(prompt, options));
  }

  async *#inTurn(
    prompt: string | readonly ChatMessage[],
    options: GenerateOptions,
  ): AsyncGenerator<GenerationChunk, GenerationResult> {
    const { sequence, loadMs, checkpoint } = this.#parts;
    const release = await this.#enter(options.signal);
    try {
      const ids = this.tokenize(prompt, { raw: options.raw });
      const { temperature, topK, topP, minP, repetitionPenalty } = checkpoint.generationDefaults;
      const sampling = { temperature, topK, topP, minP, repetitionPenalty };
      return yield* generateTokens(
        { sequence, tokenizer: this.tokenizer, loadMs, isReply: this.#isRendered(options.raw) },
        ids,
        withDefaults(options, sampling),
      );
    } finally {
      release();
    }
  }

  /** Loss in nats of each token but the first, given those before it. Throws CONTEXT_OVERFLOW, ABORTED. */
  async score(tokens: readonly number[], { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    const release = await this.#enter(signal);
    try {
      return await this.#parts.sequence.score(tokens, turnTaker(signal));
    } finally {
      release();
    }
  }

  /** Logits [vocabSize] f32 after the last of `tokens`, from an empty cache. */
  async logits(tokens: readonly number[]): Promise<Float32Array> {
    const release = await this.#enter();
    try {
      this.#parts.sequence.reset();
      return (await this.#parts.sequence.append(tokens, turnTaker(undefined))).slice();
    } finally {
      release();
    }
  }

  /** Ends what runs, with DISPOSED, and frees the weights, the cache and the device's threads. May be called twice. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#idle.end();
    this.#queue.close();
    await this.#parts.sequence.dispose();
    for (const tensor of this.#parts.weights.values()) tensor.dispose();
    this.#parts.device.dispose();
    await this.#parts.checkpoint.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** Options over defaults; an option that is undefined does not count. */
function withDefaults(options: GenerateOptions, defaults: GenerateOptions): GenerateOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) };
}

function describe({ checkpoint, architecture, device, weights, sequence, loadMs }: ModelParts): ModelInfo {
  const matrices = [...weights.values()].filter((tensor) => tensor.ndim > 1).map((tensor) => dtypeName(tensor.dtype));
  const counts = new Map<string, number>();
  for (const name of matrices) counts.set(name, (counts.get(name) ?? 0) + 1);
  return {
    source: checkpoint.name,
    architecture: String((checkpoint.config.architectures as unknown[])[0]),
    parameterCount: [...weights.values()].reduce((sum, tensor) => sum + tensor.size, 0),
    weightBytes: [...weights.values()].reduce((sum, tensor) => sum + tensor.sizeBytes, 0),
    cacheBytes: sequence.cache.sizeBytes,
    formats: [...counts].sort((a, b) => b[1] - a[1]).map(([name]) => name),
    vocabSize: architecture.vocabSize,
    contextLength: sequence.contextLength,
    hasChatTemplate: checkpoint.chatTemplate !== null,
    device: device.name,
    threads: device.threads,
    threadsNote: device.threadsNote ?? null,
    features: device.features,
    loadMs,
  };
}

/**
 * Loads a model: a folder with config.json, tokenizer.json and model.safetensors, or a GGUF file, from a path,
 * an address or memory; without a source the embedded story model.
 * Throws MISSING_FILE, BAD_FILE, BAD_TOKENIZER, UNSUPPORTED_ARCHITECTURE, MISSING_TENSOR, BAD_WEIGHTS, OUT_OF_MEMORY, ABORTED.
 *
 * @example
 * const model = await load('models/smollm');
 * console.log((await model.generate('Hello!', { maxTokens: 50 }).result).text);
 */
export async function load(
  source: ModelSource = platform.assetPath('tiny'),
  options: LoadOptions = {},
): Promise<Model> {
  const began = performance.now();
  const { signal, onProgress, threads, onWarning } = options;
  throwIfAborted(signal);
  if (options.worker) {
    const message = `worker: ${String(options.worker)}: here the engine runs in the calling thread; leave the option out`;
    throw new BitloomError('UNSUPPORTED_FEATURE', message, { worker: String(options.worker) });
  }
  const checkpoint = await openCheckpoint(source, { signal, onProgress, onWarning, hub: options.hub });
  let device: Device | undefined;
  try {
    const architecture = createModel(checkpoint.config);
    requireVocabularyFit(checkpoint.tokenizer, architecture.vocabSize);
    const contextLength = chooseContext(architecture, options.contextLength);
    const kvCacheType = options.kvCacheType ?? 'f16';
    const cache = chooseWeightCache(options.weightCache);
    device = await createDevice(options.device ?? 'auto', {
      ...(threads === undefined ? {} : { threads }),
      ...(onWarning === undefined ? {} : { onWarning }),
      isDeterministic: options.isDeterministic ?? false,
    });
    if (device.name !== 'interpreter') {
      const { panelRows, limitBytes, mapFile } = device;
      const traits = { panelRows, limitBytes, isMapping: mapFile !== undefined && cache !== false };
      const estimated = estimateMemory(checkpoint, architecture, contextLength, kvCacheType, traits);
      requireMemory(estimated);
      const slow = slowMapping(estimated);
      if (slow !== undefined) (onWarning ?? console.warn)(slow);
    }
    const weights = await loadWeights(device, checkpoint, architecture.tensors, {
      cache,
      signal,
      onProgress,
      onWarning,
    });
    const byName = (name: string): Tensor => weights.get(name)!;
    const sequence = new Sequence(device, architecture, byName, contextLength, kvCacheType);
    return new Model({ checkpoint, architecture, device, weights, sequence, loadMs: performance.now() - began });
  } catch (error) {
    device?.dispose();
    await checkpoint.close();
    throw error;
  }
}
