/** One model from everywhere that a model can come from: the same logits; and what is no model is named. */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FileSet, memoryFiles, pickedFiles } from '../format/index.ts';
import { load, type ModelSource, openCheckpoint } from './index.ts';
import { type TemporaryModel, writeSmallGguf, writeSmallModel } from './small-checkpoint.fixture.ts';

let folder: TemporaryModel;
let gguf: TemporaryModel;
let server: Server;
let address: string;
let expected: Float32Array;
const NAMES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'];
const bytesOf = (name: string) => new Uint8Array(readFileSync(join(folder.folder, name)));
const ggufBytes = () => new Uint8Array(readFileSync(join(gguf.folder, 'small.gguf')));
const logits = async (source: ModelSource): Promise<Float32Array> => {
  await using model = await load(source, { device: 'interpreter', kvCacheType: 'f32' });
  return await model.logits([0, 5, 9]);
};

/** Serves both folders under /models/, by ranges, if the query is right. */
function serve(): Server {
  return createServer((request, response) => {
    const { pathname, search } = new URL(request.url!, 'http://host');
    const path = join(pathname.endsWith('.gguf') ? gguf.folder : folder.folder, pathname.replace('/models/', ''));
    try {
      if (pathname.endsWith('.gguf') && search !== '?key=1') throw new Error('not signed');
      const bytes = readFileSync(path);
      const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')!;
      response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${bytes.length}` });
      response.end(bytes.subarray(Number(from), Number(to) + 1));
    } catch {
      response.writeHead(404).end();
    }
  });
}

beforeAll(async () => {
  [folder, gguf] = [await writeSmallModel(), await writeSmallGguf('F32')];
  expected = await logits(folder.folder);
  server = serve();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models`;
});
afterAll(() => {
  folder.remove();
  gguf.remove();
  server?.close();
});

const picked = (name: string): File =>
  Object.assign(new File([bytesOf(name)], name), { webkitRelativePath: `story/${name}` });
const sources: readonly [string, () => ModelSource][] = [
  ['a safetensors path', () => join(folder.folder, 'model.safetensors')],
  ['a GGUF path', () => join(gguf.folder, 'small.gguf')],
  ['a folder with one GGUF file', () => gguf.folder],
  ['the address of a folder', () => address],
  ['the address of a file', () => `${address}/model.safetensors`],
  ['the signed address of a file', () => `${address}/small.gguf?key=1`],
  ['bytes', ggufBytes],
  ['a Blob', () => new Blob([ggufBytes()])],
  ['files in memory', () => memoryFiles(Object.fromEntries(NAMES.map((name) => [name, bytesOf(name)])))],
  ['a picked folder', () => pickedFiles(NAMES.map(picked))],
];

test.each(sources)('%s', async (_, source) => {
  const found = await logits(source());
  expect(Math.max(...found.map((x, i) => Math.abs(x - expected[i]!)))).toBeLessThan(1e-4);
});

const failures: readonly [string, () => unknown, code: string, message: RegExp][] = [
  ['a path to nothing', () => join(folder.folder, 'none'), 'MISSING_FILE', /none: no such folder or file; name a/],
  ['a missing file', () => join(folder.folder, 'none.gguf'), 'MISSING_FILE', /none\.gguf/],
  ['an address of nothing', () => `${address}/none`, 'MISSING_FILE', /models\/none: neither/],
  ['an empty text', () => '', 'INVALID_ARGUMENT', /empty text/],
  ['a number', () => 7, 'INVALID_ARGUMENT', /not from number/],
  ['null', () => null, 'INVALID_ARGUMENT', /not from object/],
  ['bytes of safetensors', () => bytesOf('model.safetensors'), 'BAD_FILE', /memoryFiles/],
  ['a Blob of nothing', () => new Blob([]), 'BAD_FILE', /no GGUF file/],
  ['no files', () => memoryFiles({}), 'MISSING_FILE', /files in memory/],
  [
    'two models',
    () => memoryFiles({ 'a.gguf': new Uint8Array(1), 'b.gguf': new Uint8Array(1) }),
    'MISSING_FILE',
    /a\.gguf, b\.gguf/,
  ],
  [
    'weights without their configuration',
    () => memoryFiles({ 'model.safetensors': bytesOf('model.safetensors') }),
    'MISSING_FILE',
    /config\.json/,
  ],
];

test.each(failures)('%s is refused', async (_, source, code, message) => {
  await expect(load(source() as ModelSource, { device: 'interpreter' })).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message),
  });
});

test('every opened file is closed, after use and after a failure', async () => {
  let open = 0;
  const counted = (inner: FileSet): FileSet => ({
    ...inner,
    async open(name) {
      const file = await inner.open(name);
      open++;
      return { ...file, close: async () => void open-- };
    },
  });
  const files = Object.fromEntries(NAMES.map((name) => [name, bytesOf(name)]));
  const checkpoint = await openCheckpoint(counted(memoryFiles(files)));
  expect(open).toBe(1);
  await checkpoint.close();
  expect(open).toBe(0);
  const broken = { ...files, 'tokenizer.json': new Uint8Array(3) };
  await expect(openCheckpoint(counted(memoryFiles(broken)))).rejects.toMatchObject({ code: 'BAD_FILE' });
  expect(open).toBe(0);
});
