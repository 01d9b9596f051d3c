/** What a model is made of, whichever way its files are laid out: safetensors with JSON beside them, or GGUF. */
import {
  type ByteSource,
  chooseWeights,
  configOfGguf,
  type FileSet,
  familyOfGguf,
  type GenerationDefaults,
  type GgufFile,
  generationDefaults,
  ggufTensor,
  openWeights,
  readJson,
  readText,
  stackedTensor,
  type TensorEntry,
  type TensorFile,
  tensorEntry,
  transposedTensor,
  withInt4Weights,
} from '../format/index.ts';
import type { ConfigRecord, TensorSpec } from '../model/index.ts';
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
  /** Path, address or name of the weights. */
  readonly name: string;
  readonly format: 'safetensors' | 'gguf';
  /** A `config.json` record; from metadata where the file has no config.json. */
  readonly config: ConfigRecord;
  readonly weights: TensorFile;
  /** The files that the weights lie in. */
  readonly files: readonly ByteSource[];
  /** A tensor of the architecture as the model uses it, however it lies in the files. Throws MISSING_TENSOR, BAD_WEIGHTS. */
  tensor(spec: TensorSpec): TensorEntry;
  /** How the model's makers suggest to sample. */
  readonly generationDefaults: GenerationDefaults;
  readonly tokenizer: Tokenizer;
  /** Null where the model has no chat template. */
  readonly chatTemplate: RenderChat | null;
  close(): Promise<void>;
}

const templateOf = (source: string | null, tokenizer: Tokenizer): RenderChat | null =>
  source === null ? null : chatTemplate(source, { bosToken: tokenizer.bosToken, eosToken: tokenizer.eosToken });

type Opened = Omit<Checkpoint, 'name' | 'files' | 'close'>;

/** The first of a tensor's names that the file has; names may lack the part of the model that saved them. */
function namedEntry(file: TensorFile, { name, otherNames = [] }: TensorSpec): TensorEntry | undefined {
  const names = [name, ...otherNames];
  const bare = names.map((known) => known.replace(/^(model|transformer)\./, ''));
  return [...names, ...bare].map((known) => file.tensors.get(known)).find((entry) => entry !== undefined);
}

/** A tensor of safetensors: under one of its names, put together from its parts, turned where it lies the other way. */
function safetensorsTensor(file: TensorFile, spec: TensorSpec): TensorEntry {
  const entry =
    namedEntry(file, spec) ??
    (spec.stackOf === undefined
      ? tensorEntry(file, spec.name)
      : stackedTensor(
          spec.name,
          spec.stackOf.map((name) => namedEntry(file, { ...spec, name }) ?? tensorEntry(file, name)),
        ));
  return spec.isTransposed ? transposedTensor(entry) : entry;
}

async function safetensorsCheckpoint(files: FileSet, file: TensorFile, signal?: AbortSignal): Promise<Opened> {
  const optional = async (name: string) => ((await files.has(name, signal)) ? readJson(files, name, signal) : {});
  const config = await readJson(files, 'config.json', signal);
  const weights = withInt4Weights(file, config);
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
    format: 'safetensors',
    config,
    weights,
    tensor: (spec) => safetensorsTensor(weights, spec),
    generationDefaults: generationDefaults(generationConfig),
    tokenizer,
    chatTemplate: templateOf(template, tokenizer),
  };
}

async function ggufCheckpoint(weights: GgufFile): Promise<Opened> {
  const family = familyOfGguf(weights);
  const tokenizer = tokenizerFromGguf(weights.metadata);
  return {
    format: 'gguf',
    config: await configOfGguf(weights),
    weights,
    tensor: (spec) => ggufTensor(weights, family, spec),
    generationDefaults: {},
    tokenizer,
    chatTemplate: templateOf(chatTemplateOfGguf(weights.metadata), tokenizer),
  };
}

/**
 * Opens a model folder (config.json, tokenizer.json and .safetensors, or .gguf files) or such a weights file.
 * Throws MISSING_FILE, BAD_FILE, BAD_TOKENIZER, BAD_TEMPLATE, UNSUPPORTED_ARCHITECTURE.
 */
export async function openCheckpoint(source: ModelSource, options: SourceOptions = {}): Promise<Checkpoint> {
  const { signal } = options;
  const { files, weights: named } = await openSource(source, options);
  const weights = await openWeights(files, named ?? (await chooseWeights(files, signal)), signal);
  const { files: opened, close } = weights;
  try {
    const content =
      weights.format === 'gguf'
        ? await ggufCheckpoint(weights.file)
        : await safetensorsCheckpoint(files, weights.file, signal);
    return { ...content, name: weights.file.name, files: opened, close };
  } catch (error) {
    await close();
    throw error;
  }
}
