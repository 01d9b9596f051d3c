/** The weights among a model's files: which file has them, and how it is opened with those that belong to it. */
import { BitloomError } from '../ir/error.ts';
import type { FileSet, OpenFile } from './file-set.ts';
import type { GgufFile } from './gguf.ts';
import { openSafetensors } from './safetensors.ts';
import { openShardedSafetensors } from './sharded-safetensors.ts';
import { openGgufSet, splitNames } from './split-gguf.ts';
import type { TensorFile } from './tensor-file.ts';

export const SAFETENSORS_NAME = 'model.safetensors';
export const SAFETENSORS_INDEX_NAME = 'model.safetensors.index.json';

/** Opened weights. `close` closes every file of them. */
export type ModelWeights = { readonly files: readonly OpenFile[]; close(): Promise<void> } & (
  | { readonly format: 'safetensors'; readonly file: TensorFile }
  | { readonly format: 'gguf'; readonly file: GgufFile }
);

/** A shard of safetensors, which its index alone can put in its place. */
const isShard = (name: string): boolean => /-\d{5}-of-\d{5}\.safetensors$/.test(name);

/** The parts of one split model count as one weights file, the first. */
const isLaterPart = (name: string): boolean => {
  const parts = splitNames(name);
  return parts !== undefined && parts[0] !== name;
};

/**
 * Name of the weights file of a set that names none: Hugging Face's usual ones, or the only one there is.
 * Throws MISSING_FILE, naming the choices.
 */
export async function chooseWeights(files: FileSet, signal?: AbortSignal): Promise<string> {
  const usual = [SAFETENSORS_NAME, SAFETENSORS_INDEX_NAME];
  const names = await files.list(signal);
  for (const name of usual) if (names?.includes(name) ?? (await files.has(name, signal))) return name;
  const weights = (names ?? []).filter((name) => /\.(gguf|safetensors)$/i.test(name) && !isLaterPart(name));
  const choices = weights.some((name) => /gguf$/i.test(name)) ? weights.filter((name) => /gguf$/i.test(name)) : weights;
  if (choices.length === 1) return choices[0]!;
  if (choices.length > 0 && choices.every(isShard)) throw missingIndex(files, choices[0]!);
  const found =
    names === undefined
      ? `neither ${usual.join(' nor ')} there, and other names cannot be listed`
      : weights.length > 1
        ? `several weights files: ${weights.join(', ')}`
        : 'no .safetensors or .gguf file in it';
  throw new BitloomError(
    'MISSING_FILE',
    `${files.name}: ${found}; name a model folder, a .safetensors or a .gguf file`,
    {
      source: files.name,
      weights,
    },
  );
}

const missingIndex = (files: FileSet, shard: string): BitloomError =>
  new BitloomError(
    'MISSING_FILE',
    `${files.name}: ${shard} is one of several files, which ${SAFETENSORS_INDEX_NAME} puts together; fetch that too`,
    { file: SAFETENSORS_INDEX_NAME },
  );

/** Shards are opened by their index. */
async function openSafetensorsSet(
  files: FileSet,
  name: string,
  opened: OpenFile[],
  signal?: AbortSignal,
): Promise<TensorFile> {
  const index = isShard(name) ? SAFETENSORS_INDEX_NAME : name;
  if (isShard(name) && !(await files.has(index, signal))) throw missingIndex(files, name);
  if (index.endsWith('.json')) return openShardedSafetensors(files, index, opened, signal);
  opened.push(await files.open(name, signal));
  return openSafetensors(opened[0]!, signal);
}

/**
 * Opens the weights in the file called `name`, or in the set of files that it begins: shards by their index, the parts
 * of a split GGUF model. Throws MISSING_FILE, BAD_FILE, UNSUPPORTED_DTYPE, UNSUPPORTED_FEATURE, ABORTED.
 */
export async function openWeights(files: FileSet, name: string, signal?: AbortSignal): Promise<ModelWeights> {
  const opened: OpenFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of opened) await file.close();
  };
  try {
    if (/\.(safetensors|json)$/i.test(name))
      return {
        format: 'safetensors',
        file: await openSafetensorsSet(files, name, opened, signal),
        files: opened,
        close,
      };
    return { format: 'gguf', file: await openGgufSet(files, name, opened, signal), files: opened, close };
  } catch (error) {
    await close();
    throw error;
  }
}
