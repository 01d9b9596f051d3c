/** Ids of a hub load as any other place does: whole, sharded and split models give the same logits as from a folder. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FakeHub, startHub } from '../format/hub/testing/hub-server.ts';
import {
  type FileToWrite,
  f32Value,
  type LoadProgress,
  type MetadataInput,
  memorySource,
  openGguf,
  openSafetensors,
  readTensor,
  shardSafetensors,
  splitGguf,
  type TensorFile,
  type TensorSource,
} from '../format/index.ts';
import { estimate, load } from './index.ts';
import { type TemporaryModel, writeSmallGguf, writeSmallModel } from './small-checkpoint.fixture.ts';

const TOKENS = [0, 5, 9];
const JSONS = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];
let model: TemporaryModel;
let gguf: TemporaryModel;
let hub: FakeHub;
let cacheFolder: string;
let expected: Float32Array;

const bytesOf = (folder: TemporaryModel, name: string) => new Uint8Array(readFileSync(join(folder.folder, name)));

async function tensorsOf(file: TensorFile): Promise<TensorSource[]> {
  const sources: TensorSource[] = [];
  for (const entry of file.tensors.values()) {
    const data = new Uint8Array(entry.byteLength);
    await readTensor(entry, data);
    sources.push({ name: entry.name, element: entry.element, shape: entry.shape, data });
  }
  return sources;
}

async function contents(files: readonly FileToWrite[]): Promise<Record<string, Uint8Array>> {
  const made: Record<string, Uint8Array> = {};
  for (const file of files) {
    const pieces: Uint8Array[] = [];
    for await (const piece of file.pieces()) pieces.push(piece.slice());
    made[file.name] = new Uint8Array(Buffer.concat(pieces));
  }
  return made;
}

beforeAll(async () => {
  [model, gguf, hub] = [await writeSmallModel(), await writeSmallGguf('F32'), await startHub()];
  cacheFolder = mkdtempSync(join(tmpdir(), 'bitloom-hub-'));
  expected = await logits(model.folder);
  const jsons = Object.fromEntries(JSONS.map((name) => [name, bytesOf(model, name)]));
  const whole = bytesOf(model, 'model.safetensors');
  const tensors = await tensorsOf(await openSafetensors(memorySource(whole)));
  const file = await openGguf(memorySource(bytesOf(gguf, 'small.gguf')));
  const single = await writeSmallGguf('Q8_0');
  const isFraction = (value: unknown): value is number => typeof value === 'number' && !Number.isInteger(value);
  const metadata = [...file.metadata].map(
    ([key, value]) => [key, isFraction(value) ? f32Value(value) : value] as const,
  );
  const parts = splitGguf(
    'f32/small-F32',
    { metadata: new Map(metadata as [string, MetadataInput][]), tensors: await tensorsOf(file) },
    50_000,
  );
  const commit = '1'.repeat(40);
  hub.repositories.set('org/whole', { commit, files: { ...jsons, 'model.safetensors': whole } });
  hub.repositories.set('org/sharded', {
    commit,
    files: { ...jsons, ...(await contents(shardSafetensors(tensors, 50_000))) },
  });
  hub.repositories.set('org/gguf', {
    commit,
    files: { ...(await contents(parts)), 'small-Q8_0.gguf': bytesOf(single, 'small.gguf') },
  });
  single.remove();
});
afterAll(async () => {
  await hub?.close();
  model.remove();
  gguf.remove();
  rmSync(cacheFolder, { recursive: true });
});

const options = () => ({ endpoint: hub.endpoint, cacheFolder, token: '', offline: false, retryMs: 1 });

async function logits(source: string, onProgress: (event: LoadProgress) => void = () => {}): Promise<Float32Array> {
  const from = source.startsWith('org/') ? { hub: options() } : {};
  await using loaded = await load(source, { device: 'interpreter', kvCacheType: 'f32', onProgress, ...from });
  return await loaded.logits(TOKENS);
}

test.each(['org/whole', 'org/sharded', 'org/gguf:f32'])('%s', async (id) => {
  const phases: string[] = [];
  const found = await logits(id, ({ phase }) => void (phases.at(-1) !== phase && phases.push(phase)));
  expect(Math.max(...found.map((x, i) => Math.abs(x - expected[i]!)))).toBeLessThan(1e-4);
  expect(phases).toEqual(['download', 'weights']);
  expect(await logits(id, ({ phase }) => phases.push(phase))).toEqual(found);
  expect(phases.filter((phase) => phase === 'download').length).toBe(1);
});

test('the cases are what they say: several shards, several parts', () => {
  const parts = (id: string): number =>
    Object.keys(hub.repositories.get(id)!.files).filter((name) => /-of-\d+\./.test(name)).length;
  expect([parts('org/whole'), parts('org/sharded') > 2, parts('org/gguf') > 2]).toEqual([0, true, true]);
});

test('an estimate reads headers, and keeps nothing', async () => {
  hub.seen.length = 0;
  const { weightBytes } = await estimate('org/gguf:Q8_0', { hub: options() });
  expect(weightBytes).toBeGreaterThan(100_000);
  const fetched = hub.seen.filter(({ isStore, range }) => isStore && !/^bytes=\d+-\d+$/.test(range ?? ''));
  expect(fetched).toEqual([]);
  await expect(load('org/gguf:Q8_0', { hub: { ...options(), offline: true } })).rejects.toMatchObject({
    message: expect.stringMatching(/offline.*no file with Q8_0/),
  });
});

test('what neither the disk nor the hub knows is told as both', async () => {
  await expect(load('models/mistyped', { hub: options() })).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringMatching(/^models\/mistyped is no local path; .*the hub has no such repository/),
  });
});
