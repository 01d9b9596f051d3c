/** What the command line needs of the engine. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}
export interface LoadOptions {
  device?: 'auto' | 'wasm' | 'interpreter';
  threads?: number;
  contextLength?: number;
  kvCacheType?: 'f32' | 'f16';
  signal?: AbortSignal;
  onProgress?(event: { phase: string; loadedBytes: number; totalBytes: number }): void;
  onWarning?(message: string): void;
}
export interface GenerateOptions {
  maxTokens?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  seed?: number;
  stop?: readonly string[];
  ignoreEos?: boolean;
  raw?: boolean;
  signal?: AbortSignal;
}
export interface GenerationResult {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  readonly finishReason: 'stop' | 'length';
  readonly timings: {
    readonly loadMs: number;
    readonly firstTokenMs: number;
    readonly prefillTokensPerSecond: number;
    readonly decodeTokensPerSecond: number;
  };
}
export interface Generation extends AsyncIterable<{ readonly text: string; readonly tokenId: number }> {
  readonly result: Promise<GenerationResult>;
}
export interface Model {
  generate(prompt: string | readonly ChatMessage[], options?: GenerateOptions): Generation;
  dispose(): void;
}
export interface Engine {
  load(source: string, options?: LoadOptions): Promise<Model>;
}
