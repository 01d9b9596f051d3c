/** What `load` is given becomes a set of files: a folder, an address, a file, a Blob, bytes, or such a set itself. */
import { openBlob, platform } from '#platform';
import { type FetchOptions, type HubOptions, hubFiles, isHubId } from '../format/hub/index.ts';
import { type FileSet, folderFiles, memoryFiles, memorySource } from '../format/index.ts';
import { BitloomError } from '../ir/error.ts';

/**
 * Where a model comes from. A text is a local folder or weights file, or the http(s) address of either, or a
 * hub's `org/name[@revision][:file-or-quant]`. A Blob or bytes are a GGUF file; several files in memory make a FileSet with `memoryFiles` or `pickedFiles`.
 */
export type ModelSource = string | FileSet | Blob | Uint8Array;

/** Progress and warnings are those of downloads. */
export interface SourceOptions extends Pick<FetchOptions, 'signal' | 'onProgress' | 'onWarning' | 'download'> {
  /** How the hub is asked, and where its files are kept. */
  readonly hub?: HubOptions | undefined;
}

export interface ModelFiles {
  readonly files: FileSet;
  /** Name of the weights file where the source names one. */
  readonly weights?: string;
}

/** True for the beginning of a GGUF file. */
export const isGguf = (start: Uint8Array): boolean => new TextDecoder().decode(start.subarray(0, 4)) === 'GGUF';

/** Splits a path or address into folder, file name and query. */
function fileInFolder(path: string): ModelFiles {
  const [, folder = '', name = '', query = ''] = /^(.*[/\\])?([^/\\]*?)(\?.*)?$/.exec(path) ?? [];
  return { files: folderFiles(folder.replace(/(?<=[^/\\:])[/\\]+$/, '') || '.', query), weights: name };
}

const isAddress = (path: string): boolean => /^https?:/i.test(path);
const isWeightsName = (path: string): boolean => /\.(gguf|safetensors|safetensors\.index\.json)(\?.*)?$/i.test(path);

async function namedSource(source: string, options: SourceOptions): Promise<ModelFiles> {
  if (isAddress(source)) return isWeightsName(source) ? fileInFolder(source) : { files: folderFiles(source) };
  if ((await platform.listFolder(source)) !== undefined) return { files: folderFiles(source) };
  if (await platform.exists(source)) return fileInFolder(source);
  // A page's own folders cannot be listed; those of a model hold this file.
  const files = folderFiles(source);
  if (await files.has('config.json')) return { files };
  if (isHubId(source) && !isWeightsName(source)) return { files: await filesOfHub(source, options) };
  throw new BitloomError(
    'MISSING_FILE',
    `${source}: no such folder or file; name a model folder, a .safetensors or a .gguf file, or a hub's org/name`,
    { source },
  );
}

/** A mistyped path may look like an id: what the hub does not know is told as both. */
async function filesOfHub(id: string, { hub, ...options }: SourceOptions): Promise<FileSet> {
  try {
    return await hubFiles(id, { ...hub, ...options });
  } catch (error) {
    const isUnknown = error instanceof BitloomError && ['NOT_FOUND', 'UNAUTHORIZED'].includes(error.code);
    if (!isUnknown) throw error;
    throw new BitloomError(error.code, `${id} is no local path; ${error.message}`, error.details, { cause: error });
  }
}

async function contentSource(content: Blob | Uint8Array, signal?: AbortSignal): Promise<ModelFiles> {
  const file = content instanceof Uint8Array ? memorySource(content) : openBlob(content);
  const start = new Uint8Array(Math.min(4, file.sizeBytes));
  await file.readInto(start, 0, signal);
  if (isGguf(start)) {
    const weights = content instanceof Uint8Array ? 'model.gguf' : file.name;
    return { files: memoryFiles({ [weights]: content }, file.name), weights };
  }
  throw new BitloomError(
    'BAD_FILE',
    `${file.name} is no GGUF file; a model of several files (config.json, tokenizer.json, .safetensors) is given as memoryFiles({ name: content, … })`,
    { name: file.name, sizeBytes: file.sizeBytes },
  );
}

/** The files that a source stands for. Throws MISSING_FILE, BAD_FILE, INVALID_ARGUMENT, ABORTED; for ids as `hubFiles`. */
export async function openSource(source: ModelSource, options: SourceOptions = {}): Promise<ModelFiles> {
  const { signal } = options;
  if (typeof source === 'string' && source !== '') return namedSource(source, options);
  if (source instanceof Uint8Array || source instanceof Blob) return contentSource(source, signal);
  if (typeof source === 'object' && source !== null && 'open' in source) return { files: source };
  throw new BitloomError(
    'INVALID_ARGUMENT',
    `a model comes from a path, an address, a hub's org/name, a Blob, a Uint8Array or a FileSet, not from ${source === '' ? 'an empty text' : typeof source}`,
  );
}
