/**
 * Models written in several files, for hosts and readers with a limit on one: GGUF as gguf-split makes it, safetensors
 * with an index as `save_pretrained` makes it. Tensors stay whole, and are still made when their turn comes.
 */
import { type GgufContent, ggufPieces, type MetadataInput } from './gguf-writer.ts';
import { SAFETENSORS_INDEX_NAME } from './model-weights.ts';
import { safetensorsPieces } from './safetensors.ts';
import { sourceBytes, type TensorSource } from './tensor-file.ts';

/** A file to be written: `platform.writeFile(file.name, file.pieces())`. */
export interface FileToWrite {
  readonly name: string;
  pieces(): AsyncIterable<Uint8Array>;
}

/** Tensors in their order, in as few groups of at most `mostBytes` as that allows; a larger tensor has its own. */
function grouped(tensors: readonly TensorSource[], mostBytes: number): TensorSource[][] {
  const sizes = sourceBytes(tensors);
  const groups: TensorSource[][] = [[]];
  let room = mostBytes;
  tensors.forEach((tensor, i) => {
    if (sizes[i]! > room && groups.at(-1)!.length > 0) {
      groups.push([]);
      room = mostBytes;
    }
    groups.at(-1)!.push(tensor);
    room -= sizes[i]!;
  });
  return groups;
}

const partName = (stem: string, i: number, count: number, ending: string): string =>
  `${stem}-${String(i + 1).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.${ending}`;

/**
 * A GGUF model as `name-00001-of-0000N.gguf`, or as `name.gguf` where one file has room for it. `mostBytes` is of
 * tensors a file. Throws INVALID_ARGUMENT, UNSUPPORTED_DTYPE.
 */
export function splitGguf(name: string, content: GgufContent, mostBytes: number): FileToWrite[] {
  const groups = grouped(content.tensors, mostBytes);
  if (groups.length === 1) return [{ name: `${name}.gguf`, pieces: () => ggufPieces(content) }];
  return groups.map((tensors, i) => {
    const own: [string, MetadataInput][] = [
      ['split.no', { type: 'u16', value: i }],
      ['split.count', { type: 'u16', value: groups.length }],
      ['split.tensors.count', { type: 'i32', value: content.tensors.length }],
    ];
    const alignment = content.metadata.get('general.alignment');
    const shared: [string, MetadataInput][] = alignment === undefined ? [] : [['general.alignment', alignment]];
    const metadata = new Map([...(i === 0 ? content.metadata : shared), ...own]);
    return { name: partName(name, i, groups.length, 'gguf'), pieces: () => ggufPieces({ metadata, tensors }) };
  });
}

/**
 * `model-00001-of-0000N.safetensors` and their index, or `model.safetensors` where one file has room for all.
 * Throws INVALID_ARGUMENT, UNSUPPORTED_DTYPE.
 */
export function shardSafetensors(
  tensors: readonly TensorSource[],
  mostBytes: number,
  metadata: ReadonlyMap<string, string> = new Map(),
): FileToWrite[] {
  const groups = grouped(tensors, mostBytes);
  if (groups.length === 1) return [{ name: 'model.safetensors', pieces: () => safetensorsPieces(tensors, metadata) }];
  const nameOf = (i: number): string => partName('model', i, groups.length, 'safetensors');
  const index = {
    metadata: { total_size: sourceBytes(tensors).reduce((sum, size) => sum + size, 0) },
    weight_map: Object.fromEntries(groups.flatMap((group, i) => group.map((tensor) => [tensor.name, nameOf(i)]))),
  };
  const json = new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`);
  return [
    ...groups.map((group, i) => ({ name: nameOf(i), pieces: () => safetensorsPieces(group, metadata) })),
    {
      name: SAFETENSORS_INDEX_NAME,
      async *pieces() {
        yield json;
      },
    },
  ];
}
