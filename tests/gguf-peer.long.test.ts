/** GGUF files as `@huggingface/gguf` reads them: the same metadata, and the same tensors in the same places. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { fuzzSubjects } from '../src/engine/fuzz-subjects.fixture.ts';
import { collect, GGUF } from '../src/format/file.fixture.ts';
import { ggufTypeOfElement } from '../src/format/gguf-types.ts';
import { ggufPieces, memorySource, openGguf } from '../src/format/index.ts';

const peer = fileURLToPath(new URL('../bench/peers/node_modules/@huggingface/gguf/dist/index.mjs', import.meta.url));

interface PeerFile {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensorInfos: readonly { name: string; shape: readonly bigint[]; dtype: number; offset: bigint }[];
  readonly tensorDataOffset: bigint;
}

/** Numbers of whatever kind as texts, so that 7 and 7n are the same; the peer drops a byte order mark from texts. */
function comparable(value: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return value.replace(/^\ufeff/, '');
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, comparable);
  return Array.isArray(value) ? value.map(comparable) : value;
}

async function readByPeer(bytes: Uint8Array): Promise<PeerFile> {
  const folder = await mkdtemp(join(tmpdir(), 'bitloom-gguf-'));
  try {
    await writeFile(join(folder, 'x.gguf'), bytes);
    const { gguf } = await import(peer);
    return await gguf(join(folder, 'x.gguf'), { allowLocalFile: true });
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe.skipIf(!existsSync(peer))('@huggingface/gguf (needs `npm ci --ignore-scripts` in bench/peers)', () => {
  it('reads what we read', async () => {
    const models = (await fuzzSubjects()).flatMap(({ files }) =>
      Object.entries(files).filter(([name]) => name.endsWith('.gguf')),
    );
    const files = [['every kind of value', await collect(ggufPieces(GGUF))] as const, ...models];
    expect(files.length).toBeGreaterThan(5);
    for (const [name, bytes] of files) {
      const ours = await openGguf(memorySource(bytes));
      const theirs = await readByPeer(bytes);
      const { version: _, tensor_count, kv_count, ...metadata } = theirs.metadata;
      expect(Number(tensor_count), name).toBe(ours.tensors.size);
      expect(Number(kv_count), name).toBe(ours.metadata.size);
      const found = [...ours.metadata].map(([key, value]) => [key, comparable(value)]);
      expect(Object.fromEntries(found), name).toEqual(
        Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, comparable(value)])),
      );
      const tensors = [...ours.tensors.values()].map(({ name: tensor, shape, element, byteOffset }) => ({
        name: tensor,
        shape: shape.toReversed().map(BigInt),
        dtype: ggufTypeOfElement(element),
        offset: BigInt(byteOffset) - theirs.tensorDataOffset,
      }));
      expect(tensors, name).toEqual(
        theirs.tensorInfos.map(({ name: tensor, shape, dtype, offset }) => ({ name: tensor, shape, dtype, offset })),
      );
    }
  });
});
