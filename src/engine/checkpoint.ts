/** What a model is made of, whichever way its files are laid out: safetensors with JSON beside them, or GGUF. */
import {
  type FileSet,
  type GenerationDefaults,
  generationDefaults,
  ggufTensorName,
  llamaConfigOfGguf,
  type OpenFile,
  openGguf,
  openSafetensors,
  readJson,
  readText,
  type TensorFile,
} from '../format/index.ts';
import { BitloomError } from '../ir/error.ts';
import type { ConfigRecord } from '../model/index.ts';
import {
  chatTemplate,
  chatTemplateOfConfig,
  chatTemplateOfGguf,
  type RenderChat,
  type Tokenizer,
  tokenizerFromGguf,
  tokenizerFromJson,
} from '../text/index.ts';
import { type ModelSource, openSource, type SourceOptions } from './source.ts';

export interface Checkpoint {
  /** Path, address or name of the weights file. */
  readonly name: string;
  readonly format: 'safetensors' | 'gguf';
  /** A `config.json` record; from metadata where the file has no config.json. */
  readonly config: ConfigRecord;
  readonly weights: TensorFile;
  /** The file's name for a tensor of the architecture. */
  fileName(name: string): string;
  /** How the model's makers suggest to sample. */
  readonly generationDefaults: GenerationDefaults;
  readonly tokenizer: Tokenizer;
  /** Null where the model has no chat template. */
  readonly chatTemplate: RenderChat | null;
  close(): Promise<void>;
}

const templateOf = (source: string | null, tokenizer: Tokenizer): RenderChat | null =>
  source === null ? null : chatTemplate(source, { bosToken: tokenizer.bosToken, eosToken: tokenizer.eosToken });

async function safetensorsCheckpoint(files: FileSet, file: OpenFile, signal?: AbortSignal): Promise<Checkpoint> {
  const optional = async (name: string) => ((await files.has(name, signal)) ? readJson(files, name, signal) : {});
  const config = await readJson(files, 'config.json', signal);
  const tokenizerConfig = await optional('tokenizer_config.json');
  const generationConfig = await optional('generation_config.json');
  const tokenizer = tokenizerFromJson(await readJson(files, 'tokenizer.json', signal), tokenizerConfig, {
    ...config,
    ...generationConfig,
  });
  const template = (await files.has('chat_template.jinja', signal))
    ? await readText(files, 'chat_template.jinja', signal)
    : chatTemplateOfConfig(tokenizerConfig);
  return {
    name: file.name,
    format: 'safetensors',
    config,
    weights: await openSafetensors(file, signal),
    fileName: (name) => name,
    generationDefaults: generationDefaults(generationConfig),
    tokenizer,
    chatTemplate: templateOf(template, tokenizer),
    close: () => file.close(),
  };
}

async function ggufCheckpoint(file: OpenFile, signal?: AbortSignal): Promise<Checkpoint> {
  const weights = await openGguf(file, signal);
  const tokenizer = tokenizerFromGguf(weights.metadata);
  return {
    name: file.name,
    format: 'gguf',
    config: await llamaConfigOfGguf(weights),
    weights,
    fileName: (name) => ggufTensorName(name) ?? name,
    generationDefaults: {},
    tokenizer,
    chatTemplate: templateOf(chatTemplateOfGguf(weights.metadata), tokenizer),
    close: () => file.close(),
  };
}

/** The weights file of a set that names none: the usual one, or the only one. Throws MISSING_FILE. */
async function chooseWeights(files: FileSet, signal?: AbortSignal): Promise<string> {
  const usual = 'model.safetensors';
  const names = (await files.list(signal)) ?? ((await files.has(usual, signal)) ? [usual] : []);
  const weights = names.filter((name) => name.endsWith('.safetensors') || name.endsWith('.gguf'));
  const chosen = weights.includes(usual) ? usual : weights.length === 1 ? weights[0] : undefined;
  if (chosen !== undefined) return chosen;
  const found =
    weights.length > 1 ? `several weights files: ${weights.join(', ')}` : 'no .safetensors or .gguf file in it';
  throw new BitloomError(
    'MISSING_FILE',
    `${files.name}: ${found}; name a model folder, a .safetensors or a .gguf file`,
    {
      source: files.name,
      weights,
    },
  );
}

/**
 * Opens a model folder (config.json, tokenizer.json and .safetensors, or a .gguf file) or such a weights file.
 * Throws MISSING_FILE, BAD_FILE, BAD_TOKENIZER, BAD_TEMPLATE, UNSUPPORTED_ARCHITECTURE.
 */
export async function openCheckpoint(source: ModelSource, options: SourceOptions = {}): Promise<Checkpoint> {
  const { signal } = options;
  const { files, weights } = await openSource(source, options);
  const name = weights ?? (await chooseWeights(files, signal));
  const file = await files.open(name, signal);
  try {
    return await (name.endsWith('.safetensors')
      ? safetensorsCheckpoint(files, file, signal)
      : ggufCheckpoint(file, signal));
  } catch (error) {
    await file.close();
    throw error;
  }
}
