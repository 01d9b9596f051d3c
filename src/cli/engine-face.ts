/** What the command line needs of the engine, narrow enough for tests to stand in. */
import type { GenerateOptions, GenerationChunk, GenerationResult, LoadOptions } from '../engine/index.ts';
import type { ChatMessage } from '../text/index.ts';

/** A reply under way: read as it comes, with the account at its end. */
export interface Reply extends AsyncIterable<GenerationChunk> {
  readonly result: Promise<GenerationResult>;
}

export interface TextModel {
  generate(prompt: string | readonly ChatMessage[], options: GenerateOptions): Reply;
  dispose(): Promise<void>;
}

export interface Engine {
  /** Loads the model at `source`; undefined is the embedded one. */
  load(source: string | undefined, options: LoadOptions): Promise<TextModel>;
}
