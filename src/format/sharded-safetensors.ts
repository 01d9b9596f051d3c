/**
 * Safetensors in several files: `model.safetensors.index.json` says which holds each tensor.
 * Source: the index that Hugging Face's `save_pretrained` writes (`weight_map`). Its `metadata.total_size` decides nothing here:
 * writers count tied tensors twice, and tools that convert a checkpoint often leave the old figure.
 */
import { BitloomError } from '../ir/error.ts';
import { badFile } from './byte-source.ts';
import { type FileSet, type OpenFile, readJson } from './file-set.ts';
import { isRecord, type JsonRecord } from './json.ts';
import { openSafetensors, type SafetensorsFile } from './safetensors.ts';
import type { TensorEntry, TensorFile } from './tensor-file.ts';

const MOST_SHARDS = 4096;

/** A file of the same folder: an index may not reach outside of it. */
const isShardName = (name: unknown): name is string =>
  typeof name === 'string' && /^[^/\\:]+\.safetensors$/.test(name) && !name.startsWith('.');

/** Names of the tensors by shard. Throws BAD_FILE. */
function readShards(index: JsonRecord, indexName: string): Map<string, string[]> {
  const { weight_map: map } = index;
  if (!isRecord(map)) throw badFile({ name: indexName }, 'has no "weight_map" of tensor names to files');
  const shards = new Map<string, string[]>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (!isShardName(shard)) {
      throw badFile(
        { name: indexName },
        `places "${tensor}" in ${JSON.stringify(shard)}, which is no .safetensors file beside it`,
        { tensor },
      );
    }
    const known = shards.get(shard);
    if (known === undefined) shards.set(shard, [tensor]);
    else known.push(tensor);
  }
  if (shards.size <= MOST_SHARDS) return shards;
  throw badFile({ name: indexName }, `names ${shards.size} files, at most ${MOST_SHARDS} are allowed`);
}

async function requireShards(files: FileSet, names: readonly string[], indexName: string, signal?: AbortSignal) {
  const there = new Set((await files.list(signal)) ?? names); // where nothing lists them, opening tells
  const missing = names.filter((name) => !there.has(name));
  if (missing.length === 0) return;
  throw new BitloomError(
    'MISSING_FILE',
    `${files.name} lacks ${missing.join(', ')}, of the ${names.length} files that ${indexName} names; fetch what is missing`,
    { missing },
  );
}

/** Adds a shard's tensors to `tensors`, held to what the index says of it. Throws BAD_FILE. */
function addShard(
  tensors: Map<string, TensorEntry>,
  shard: SafetensorsFile,
  promised: readonly string[],
  indexName: string,
): void {
  for (const name of promised) {
    const entry = shard.tensors.get(name);
    if (entry === undefined) {
      throw badFile(shard, `lacks "${name}", which ${indexName} places there; one of them is of another model`, {
        name,
      });
    }
    tensors.set(name, entry);
  }
  const known = new Set(promised);
  const extra = [...shard.tensors.keys()].find((name) => !known.has(name));
  if (extra === undefined) return;
  throw badFile(
    shard,
    `holds "${extra}", which ${indexName} ${tensors.has(extra) ? 'places in another file' : 'does not know'}; one of them is of another model`,
    { name: extra },
  );
}

/**
 * Opens all files that an index names; `opened` receives them, also those of a failure.
 * Throws MISSING_FILE, BAD_FILE, UNSUPPORTED_DTYPE.
 */
export async function openShardedSafetensors(
  files: FileSet,
  indexName: string,
  opened: OpenFile[],
  signal?: AbortSignal,
): Promise<TensorFile> {
  const index = await readJson(files, indexName, signal);
  const shards = readShards(index, indexName);
  await requireShards(files, [...shards.keys()], indexName, signal);
  const tensors = new Map<string, TensorEntry>();
  for (const [name, promised] of shards) {
    const file = await files.open(name, signal);
    opened.push(file);
    addShard(tensors, await openSafetensors(file, signal), promised, indexName);
  }
  return { name: `${files.name}: ${indexName}`, tensors };
}
