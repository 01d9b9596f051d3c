/**
 * What a model is made of on disk, whichever way it is laid out: a Hugging Face folder, a
 * safetensors file in one, or a GGUF file.
 */
import { platform } from '#platform';
import {
  type GenerationDefaults,
  generationDefaults,
  ggufTensorName,
  llamaConfigOfGguf,
  openGguf,
  openSafetensors,
  parseJson,
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

export interface Checkpoint {
  /** Path of the weights file. */
  readonly path: string;
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

async function readJson(folder: string, name: string): Promise<ConfigRecord> {
  const path = platform.joinPath(folder, name);
  return parseJson({ name: path }, new TextEncoder().encode(await platform.readText(path)), name);
}

async function openFolder(folder: string, weightsPath: string, signal?: AbortSignal): Promise<Checkpoint> {
  const has = (name: string): Promise<boolean> => platform.exists(platform.joinPath(folder, name));
  const optional = async (name: string) => ((await has(name)) ? readJson(folder, name) : {});
  const config = await readJson(folder, 'config.json');
  const [tokenizerConfig, generationConfig] = [
    await optional('tokenizer_config.json'),
    await optional('generation_config.json'),
  ];
  const tokenizer = tokenizerFromJson(await readJson(folder, 'tokenizer.json'), tokenizerConfig, {
    ...config,
    ...generationConfig,
  });
  const templatePath = platform.joinPath(folder, 'chat_template.jinja');
  const source = (await has('chat_template.jinja'))
    ? await platform.readText(templatePath)
    : chatTemplateOfConfig(tokenizerConfig);
  const file = await platform.openFile(weightsPath, signal);
  return {
    path: weightsPath,
    format: 'safetensors',
    config,
    weights: await openSafetensors(file, signal),
    fileName: (name) => name,
    generationDefaults: generationDefaults(generationConfig),
    tokenizer,
    chatTemplate: templateOf(source, tokenizer),
    close: () => file.close(),
  };
}

async function openGgufFile(path: string, signal?: AbortSignal): Promise<Checkpoint> {
  const file = await platform.openFile(path, signal);
  const weights = await openGguf(file, signal);
  const tokenizer = tokenizerFromGguf(weights.metadata);
  return {
    path,
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

/**
 * Opens a folder with config.json, tokenizer.json and one .safetensors or .gguf file, or such a file itself.
 * Throws MISSING_FILE, BAD_FILE, BAD_TOKENIZER, BAD_TEMPLATE, UNSUPPORTED_ARCHITECTURE.
 */
export async function openCheckpoint(source: string, signal?: AbortSignal): Promise<Checkpoint> {
  if (source.endsWith('.gguf')) return openGgufFile(source, signal);
  if (source.endsWith('.safetensors')) return openFolder(parentFolder(source), source, signal);
  const names = (await platform.listFolder(source)) ?? (await namesAtAddress(source));
  const weights = (names ?? []).filter((name) => name.endsWith('.safetensors') || name.endsWith('.gguf'));
  const chosen =
    weights.find((name) => name === 'model.safetensors') ?? (weights.length === 1 ? weights[0]! : undefined);
  if (chosen === undefined) {
    const found =
      names === undefined
        ? 'no such folder or file'
        : weights.length > 1
          ? `several weights files: ${weights.join(', ')}`
          : 'no .safetensors or .gguf file in it';
    throw new BitloomError('MISSING_FILE', `${source}: ${found}; name a model folder, a .safetensors or a .gguf file`, {
      source,
    });
  }
  const path = platform.joinPath(source, chosen);
  return chosen.endsWith('.gguf') ? openGgufFile(path, signal) : openFolder(source, path, signal);
}

/** An address cannot be listed; it is a model folder where the usual weights file is. */
async function namesAtAddress(address: string): Promise<readonly string[] | undefined> {
  const name = 'model.safetensors';
  return (await platform.exists(platform.joinPath(address, name))) ? [name] : undefined;
}

const parentFolder = (path: string): string => path.replace(/[^/\\]*$/, '').replace(/(?<=.)[/\\]$/, '') || '.';
