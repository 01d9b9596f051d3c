/** Models in several files: read as one, and refused by name where the files do not belong together. */
import { describe, expect, it } from 'vitest';
import { collect, FLOATS, failure, GGUF } from './file.fixture.ts';
import {
  chooseWeights,
  type FileToWrite,
  ggufPieces,
  type MetadataInput,
  memoryFiles,
  openWeights,
  readTensor,
  safetensorsPieces,
  shardSafetensors,
  splitGguf,
  type TensorFile,
  type TensorSource,
} from './index.ts';

const INDEX = 'model.safetensors.index.json';
const shard = (i: number, n = 2) => `model-0000${i}-of-0000${n}.safetensors`;
const part = (i: number, n = 2) => `x-0000${i}-of-0000${n}.gguf`;
const WEIGHT_MAP = Object.fromEntries(FLOATS.map(({ name }, i) => [name, shard(i < 2 ? 1 : 2)]));
const bytesOf = (entry: TensorSource) => (entry.data as Uint8Array).byteLength;

/** Two shards and their index, changed by the faults. */
async function sharded(faults: { index?: unknown; shards?: Record<string, Uint8Array | undefined> } = {}) {
  const index = faults.index ?? {
    metadata: { total_size: FLOATS.reduce((sum, t) => sum + bytesOf(t), 0) },
    weight_map: WEIGHT_MAP,
  };
  const files: Record<string, Uint8Array | undefined> = {
    [INDEX]: new TextEncoder().encode(JSON.stringify(index)),
    [shard(1)]: await collect(safetensorsPieces(FLOATS.slice(0, 2))),
    [shard(2)]: await collect(safetensorsPieces(FLOATS.slice(2))),
    ...faults.shards,
  };
  const there = Object.entries(files).filter((entry): entry is [string, Uint8Array] => entry[1] !== undefined);
  return memoryFiles(Object.fromEntries(there), 'set');
}

/** A GGUF model in two parts; `metadata` is added to both, the list of each part's own last. */
async function split(own: readonly (readonly [string, MetadataInput])[][] = [[], []], dropped?: string) {
  const common: (readonly [string, MetadataInput])[] = [
    ['split.count', 2],
    ['split.tensors.count', GGUF.tensors.length],
  ];
  const metadata = (no: number, rest: Iterable<readonly [string, MetadataInput]>) =>
    new Map([...rest, ['split.no', no] as const, ...common, ...own[no]!]);
  const files = {
    [part(1)]: await collect(ggufPieces({ metadata: metadata(0, GGUF.metadata), tensors: GGUF.tensors.slice(0, 3) })),
    [part(2)]: await collect(ggufPieces({ metadata: metadata(1, []), tensors: GGUF.tensors.slice(3) })),
  };
  if (dropped !== undefined) delete files[dropped];
  return memoryFiles(files, 'set');
}

async function expectTensors(file: TensorFile, tensors: readonly TensorSource[]): Promise<void> {
  expect([...file.tensors.keys()].sort()).toEqual(tensors.map(({ name }) => name).sort());
  for (const { name, data } of tensors) {
    const entry = file.tensors.get(name)!;
    const target = new Uint8Array(entry.byteLength);
    await readTensor(entry, target);
    expect(target, name).toEqual(data);
  }
}

describe('sharded safetensors', () => {
  it('reads as one file, whichever of them is named', async () => {
    const files = await sharded();
    expect(await chooseWeights(files)).toBe(INDEX);
    for (const name of [INDEX, shard(1), shard(2)]) {
      const weights = await openWeights(files, name);
      await expectTensors(weights.file, FLOATS);
      await weights.close();
    }
  });

  const tensorsIn = (...tensors: readonly TensorSource[]) => collect(safetensorsPieces(tensors));
  const [norm, matrix, wide] = FLOATS as [TensorSource, TensorSource, TensorSource];
  const map = (weight_map: unknown, metadata: unknown = {}) => ({ index: { metadata, weight_map } });
  it.each([
    ['a missing shard', async () => ({ shards: { [shard(2)]: undefined } }), 'MISSING_FILE', shard(2)],
    [
      'a shard without a tensor',
      async () => ({ shards: { [shard(1)]: await tensorsIn(norm) } }),
      'BAD_FILE',
      'lacks "matrix"',
    ],
    [
      'a tensor in two shards',
      async () => ({ shards: { [shard(2)]: await tensorsIn(...FLOATS.slice(1)) } }),
      'BAD_FILE',
      'holds "matrix"',
    ],
    [
      'a shard of another model',
      async () => ({ shards: { [shard(1)]: await tensorsIn(norm, matrix, { ...wide, name: 'other' }) } }),
      'BAD_FILE',
      'does not know',
    ],
    [
      'a shard that is cut',
      async () => ({ shards: { [shard(1)]: (await tensorsIn(norm, matrix)).slice(0, -1) } }),
      'BAD_FILE',
      'truncated',
    ],
    ['no map', async () => map(undefined), 'BAD_FILE', 'weight_map'],
    ['a map of numbers', async () => map({ norm: 1 }), 'BAD_FILE', 'norm'],
    ['a path upwards', async () => map({ norm: '../model.safetensors' }), 'BAD_FILE', '../model'],
    ['an absolute path', async () => map({ norm: '/etc/x.safetensors' }), 'BAD_FILE', '/etc'],
    ['a hidden file', async () => map({ norm: '..safetensors' }), 'BAD_FILE', '..safe'],
    ['a file that is no shard', async () => map({ norm: 'config.json' }), 'BAD_FILE', 'config.json'],
  ] as const)('refuses %s', async (_, faults, code, text) => {
    const files = await sharded((await faults()) as Parameters<typeof sharded>[0]);
    await expect(openWeights(files, INDEX)).rejects.toThrow(failure(code, text));
  });

  it('reads on where only the total is stale: tied tensors are counted twice by some writers', async () => {
    const { file } = await openWeights(await sharded(map(WEIGHT_MAP, { total_size: 7 })), INDEX);
    await expectTensors(file, FLOATS);
  });

  it('asks for the index of shards', async () => {
    const shards = memoryFiles({ [shard(1)]: new Uint8Array(1), [shard(2)]: new Uint8Array(1) });
    await expect(chooseWeights(shards)).rejects.toThrow(failure('MISSING_FILE', INDEX));
    await expect(openWeights(shards, shard(2))).rejects.toThrow(failure('MISSING_FILE', INDEX));
  });

  it('lists the choices where there are several, none of them usual', async () => {
    const files = memoryFiles({ 'a.safetensors': new Uint8Array(1), 'b.safetensors': new Uint8Array(1) });
    await expect(chooseWeights(files)).rejects.toThrow(failure('MISSING_FILE', 'a.safetensors, b.safetensors'));
  });
});

describe('split GGUF', () => {
  it('reads as one file, whichever of them is named', async () => {
    const files = await split();
    expect(await chooseWeights(files)).toBe(part(1));
    for (const name of [part(1), part(2)]) {
      const weights = await openWeights(files, name);
      await expectTensors(weights.file, GGUF.tensors);
      expect(weights.format === 'gguf' && weights.file.metadata.get('answer')).toBe(42);
      await weights.close();
    }
  });

  it.each([
    ['a missing part', () => split(undefined, part(2)), 'MISSING_FILE', part(2)],
    ['a part with another number', () => split([[], [['split.no', 0]]]), 'BAD_FILE', 'part 2 of 2'],
    ['a part of more', () => split([[], [['split.count', 3]]]), 'BAD_FILE', 'part 2 of 3'],
    [
      'a part of another model',
      () => split([[], [['general.architecture', 'gpt2']]]),
      'BAD_FILE',
      'general.architecture',
    ],
    ['counts that differ', () => split([[], [['split.tensors.count', 9]]]), 'BAD_FILE', 'split.tensors.count'],
    [
      'a total that is wrong',
      () => split([[['split.tensors.count', 9]], [['split.tensors.count', 9]]]),
      'BAD_FILE',
      '9 tensors',
    ],
  ] as const)('refuses %s', async (_, make, code, text) => {
    await expect(make().then((files) => openWeights(files, part(1)))).rejects.toThrow(failure(code, text));
  });

  it('refuses a tensor in two parts, no part number, and a part under a name of its own', async () => {
    const twice = await split();
    const first = await twice.open(part(1));
    const bytes = new Uint8Array(first.sizeBytes);
    await first.readInto(bytes, 0);
    const files = memoryFiles({ 'alone.gguf': bytes }, 'set');
    await expect(openWeights(files, 'alone.gguf')).rejects.toThrow(failure('BAD_FILE', 'split model of 2'));
    const plain = await collect(ggufPieces(GGUF));
    const unsplit = memoryFiles({ [part(1)]: plain, [part(2)]: plain });
    await expect(openWeights(unsplit, part(1))).rejects.toThrow(failure('BAD_FILE', 'no part'));
    const copy = async (no: number) =>
      collect(
        ggufPieces({
          metadata: new Map([
            ['split.no', no],
            ['split.count', 2],
          ]),
          tensors: FLOATS,
        }),
      );
    const copies = memoryFiles({ [part(1)]: await copy(0), [part(2)]: await copy(1) });
    await expect(openWeights(copies, part(2))).rejects.toThrow(failure('BAD_FILE', 'holds too'));
  });
});

describe('writing in several files', () => {
  const filesOf = async (written: readonly FileToWrite[]) =>
    memoryFiles(
      Object.fromEntries(
        await Promise.all(written.map(async (file) => [file.name, await collect(file.pieces())] as const)),
      ),
    );

  it.each([1, 60, 120, 1000])('reads the parts of a GGUF model of %d bytes each', async (mostBytes) => {
    const written = splitGguf('x', GGUF, mostBytes);
    const files = await filesOf(written);
    if (mostBytes < 1000) expect(written.length).toBeGreaterThan(2);
    else expect(written.map(({ name }) => name)).toEqual(['x.gguf']);
    const weights = await openWeights(files, await chooseWeights(files));
    await expectTensors(weights.file, GGUF.tensors);
  });

  it.each([1, 60, 1000])('reads the shards of safetensors of %d bytes each', async (mostBytes) => {
    const files = await filesOf(shardSafetensors(FLOATS, mostBytes));
    expect(await chooseWeights(files)).toBe(mostBytes < 1000 ? INDEX : 'model.safetensors');
    await expectTensors((await openWeights(files, await chooseWeights(files))).file, FLOATS);
  });
});
