/** Weights used where they lie in files: the same results as from memory, and files that are trusted only when they are sound. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { buildSync } from 'esbuild';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BitloomError } from '../ir/error.ts';
import { createModel } from '../model/index.ts';
import { type FileStore, platform } from '../platform/index.ts';
import { createDevice } from '../tensor/index.ts';
import { openCheckpoint } from './checkpoint.ts';
import { estimateMemory, requireMemory, slowMapping } from './estimate.ts';
import { whyNoX64 } from './goldens.fixture.ts';
import { loadWeights } from './load-weights.ts';
import { load } from './model.ts';
import { Sequence } from './sequence.ts';
import { type TemporaryModel, writeSmallGguf, writeSmallModel } from './small-checkpoint.fixture.ts';
import { makeRoom, weightCache } from './weight-cache.ts';

const TOKENS = [1, 300, 41, 7, 99];
let model: TemporaryModel;
let gguf: string;
let cache: string;

beforeEach(async () => {
  model = await writeSmallGguf('Q4_0');
  gguf = join(model.folder, 'small.gguf');
  cache = join(model.folder, 'cache');
});
afterEach(() => {
  vi.restoreAllMocks();
  model.remove();
});

/** Mappings of this process by a part of their file's path. */
const mappings = (path: string): number =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes(path)).length;

/**
 * Loads the small model, runs it and disposes of it. Tells how many programs laid rows in panels, and how many mappings there
 * were of the model's folder.
 */
async function loaded(folder: string | false = cache, path = gguf) {
  const checkpoint = await openCheckpoint(path);
  const device = await createDevice('x64', { threads: 1 });
  let panels = 0;
  const compile = device.compile.bind(device);
  device.compile = (graph, options) => {
    if (options?.name === 'panels') panels++;
    return compile(graph, options);
  };
  const warnings: string[] = [];
  const architecture = createModel(checkpoint.config);
  const options = { cache: folder, leastKeptBytes: 0, onWarning: (message: string) => void warnings.push(message) };
  const weights = await loadWeights(device, checkpoint, architecture.tensors, options);
  const { liveBytes } = device;
  const mapped = mappings(model.folder);
  const sequence = new Sequence(device, architecture, (name) => weights.get(name)!, 32, 'f32');
  const logits = [...(await sequence.append(TOKENS))];
  await sequence.dispose();
  for (const tensor of weights.values()) tensor.dispose();
  expect(mappings(model.folder)).toBe(0);
  expect(device.liveBytes).toBe(0);
  device.dispose();
  await checkpoint.close();
  return { logits, panels, warnings, liveBytes, mapped };
}

const keptFiles = (): string[] => (existsSync(cache) ? readdirSync(cache) : []);
const keptFile = (): string => join(cache, keptFiles()[0]!);

const isHere = whyNoX64 === '' && process.platform === 'linux';

describe.skipIf(!isHere)(`on x64 (skipped but on Linux)${whyNoX64}`, () => {
  test('packed weights are laid in panels once, then mapped, with the same result as from memory', async () => {
    const copied = await loaded(false);
    expect(copied).toMatchObject({ mapped: 0, warnings: [] });
    expect(copied.panels).toBeGreaterThan(0);
    const first = await loaded();
    const second = await loaded();
    expect(first.panels).toBe(copied.panels);
    expect(second).toEqual({ ...copied, panels: 0, liveBytes: 0, mapped: 2 }); // the checkpoint for its floats, and the panels
    expect(first.logits).toEqual(copied.logits);
    expect(keptFiles()).toEqual([expect.stringMatching(/^small-[0-9a-f]{16}\.panels$/)]);
    expect(copied.liveBytes).toBeGreaterThan(10_000);
  });

  test('float weights lie in the checkpoint, at any alignment', async () => {
    const floats = await writeSmallModel();
    const path = join(floats.folder, 'model.safetensors');
    try {
      // A header one byte longer: then every tensor lies at an odd place.
      const bytes = readFileSync(path);
      const length = Number(bytes.readBigUInt64LE(0));
      const odd = Buffer.concat([bytes.subarray(0, 8 + length), Buffer.from(' '), bytes.subarray(8 + length)]);
      odd.writeBigUInt64LE(BigInt(length + 1), 0);
      writeFileSync(path, odd);
      const options = { device: 'x64', kvCacheType: 'f32', contextLength: 32 } as const;
      const results: number[][] = [];
      for (const weightCache of [false, cache]) {
        await using here = await load(floats.folder, { ...options, weightCache });
        expect(mappings(path)).toBe(weightCache === false ? 0 : 1);
        results.push([...(await here.logits(TOKENS))]);
      }
      expect(results[1]).toEqual(results[0]);
      expect(mappings(path)).toBe(0);
      expect(keptFiles()).toEqual([]);
    } finally {
      floats.remove();
    }
  });

  test.each<[string, (path: string) => void]>([
    ['was cut off', (path) => truncateSync(path, statSync(path).size - 1)],
    ['is empty', (path) => truncateSync(path, 0)],
    ['is longer', (path) => appendFileSync(path, 'x')],
    ['has another beginning', (path) => overwrite(path, 0, 'X')],
    ['says another thing', (path) => overwrite(path, 60, '~')],
    ['lacks its end', (path) => overwrite(path, statSync(path).size - 8, '\0\0\0\0\0\0\0\0')],
  ])('a file that %s is made anew', async (_, harm) => {
    const { logits, panels } = await loaded();
    harm(keptFile());
    expect(await loaded()).toMatchObject({ logits, panels, warnings: [] });
    expect(await loaded()).toMatchObject({ logits, panels: 0 });
    expect(keptFiles().length).toBe(1);
  });

  test('a checkpoint that changed, or was only written again, has its file made anew in the place of the old one', async () => {
    const { logits, panels } = await loaded();
    utimesSync(gguf, new Date(), new Date(Date.now() - 60_000));
    expect(await loaded()).toMatchObject({ logits, panels });
    const other = await writeSmallGguf('Q8_0');
    copyFileSync(join(other.folder, 'small.gguf'), gguf);
    other.remove();
    const changed = await loaded();
    expect(changed.logits).not.toEqual(logits);
    expect(changed.logits).toEqual((await loaded(false)).logits);
    expect(keptFiles().length).toBe(1);
  });

  test('a checkpoint under another name has the same file where that is a link, and its own where it is a copy', async () => {
    await loaded();
    symlinkSync(gguf, join(model.folder, 'link.gguf'));
    copyFileSync(gguf, join(model.folder, 'copy.gguf'));
    expect(await loaded(cache, join(model.folder, 'link.gguf'))).toMatchObject({ panels: 0 });
    expect((await loaded(cache, join(model.folder, 'copy.gguf'))).panels).toBeGreaterThan(0);
    expect(keptFiles().length).toBe(2);
  });

  test('several that make the same file at once all end right', async () => {
    const { logits } = await loaded(false);
    const all = await Promise.all(Array.from({ length: 4 }, () => loadedBeside()));
    for (const each of all) expect(each).toEqual(logits);
    expect(keptFiles().length).toBe(1);
    expect(await loaded()).toMatchObject({ logits, panels: 0 });
  });

  test('disposing of the last tensor unmaps; what is left behind is unmapped when it is collected', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await loaded();
    const { device, weights } = await mapped();
    expect(mappings(model.folder)).toBe(2);
    const [first, ...others] = [...weights.values()].filter((tensor) => tensor.ndim > 1);
    first!.dispose();
    await expect(first!.bytes()).rejects.toMatchObject({ code: 'DISPOSED' });
    expect(mappings(model.folder)).toBe(2);
    for (const tensor of others) tensor.dispose();
    expect(mappings(model.folder)).toBe(1);
    for (const tensor of weights.values()) tensor.dispose();
    expect(mappings(model.folder)).toBe(0);
    device.dispose();
    await (async () => (await mapped()).device.dispose())();
    for (let i = 0; i < 50 && mappings(model.folder) > 0; i++) {
      collect();
      await platform.nextTurn();
    }
    expect(mappings(model.folder)).toBe(0);
  });

  describe('where no file can be kept', () => {
    const change = (answers: (store: FileStore) => Partial<FileStore>): void => {
      const open = platform.openStore;
      vi.spyOn(platform, 'openStore').mockImplementation(async (folder) => {
        const store = await open(folder);
        return store && { ...store, ...answers(store) };
      });
    };
    const expectCopied = async (why: RegExp, folder = cache): Promise<void> => {
      const copied = await loaded(false);
      const { logits, panels, warnings, mapped } = await loaded(folder);
      expect({ logits, panels, mapped }).toEqual({ logits: copied.logits, panels: expect.any(Number), mapped: 1 });
      expect(warnings).toEqual([expect.stringMatching(why)]);
      expect(keptFiles()).toEqual([]);
    };

    test('a folder that cannot be written', () =>
      expectCopied(/^weight-cache: weights are copied to memory: Cannot write .*ENOTDIR/, join(gguf, 'cache')));

    test('a disk that is full', () => {
      change((store) => ({
        async openWriter(path) {
          const writer = await store.openWriter(path);
          let left = 100_000;
          return {
            ...writer,
            async write(bytes, offset) {
              left -= bytes.length;
              if (left < 0) throw new BitloomError('QUOTA_EXCEEDED', 'No room to write it.');
              await writer.write(bytes, offset);
            },
          };
        },
      }));
      return expectCopied(/^weight-cache: .*No room to write it/);
    });

    test('a disk with little room', () => {
      change(() => ({ availableBytes: async () => 100_000 }));
      return expectCopied(/^weight-cache: .* may take 25000 bytes, and the weights are \d+/);
    });

    test('for another process has it in use, that one serves', async () => {
      change((store) => ({
        async rename(from, to) {
          await store.rename(from, to);
          throw new BitloomError('BAD_FILE', 'Cannot write it: it is in use.');
        },
      }));
      const { logits } = await loaded(false);
      expect(await loaded()).toMatchObject({ logits, warnings: [], mapped: 2, liveBytes: 0 });
    });

    test('a checkpoint that breaks off meanwhile is told as such', async () => {
      const checkpoint = await openCheckpoint(gguf);
      truncateSync(gguf, statSync(gguf).size - 1000);
      const device = await createDevice('x64', { threads: 1 });
      const { tensors } = createModel(checkpoint.config);
      const loading = loadWeights(device, checkpoint, tensors, { cache, leastKeptBytes: 0 });
      await expect(loading).rejects.toMatchObject({ code: 'BAD_FILE' });
      expect(device.liveBytes).toBe(0);
      expect(keptFiles()).toEqual([]);
      device.dispose();
      await checkpoint.close();
    });

    test('an abort leaves nothing', async () => {
      const checkpoint = await openCheckpoint(gguf);
      const device = await createDevice('x64', { threads: 1 });
      const abort = new AbortController();
      const loading = loadWeights(device, checkpoint, createModel(checkpoint.config).tensors, {
        cache,
        leastKeptBytes: 0,
        signal: abort.signal,
        onProgress: ({ loadedBytes }) => void (loadedBytes > 0 && abort.abort()),
      });
      await expect(loading).rejects.toMatchObject({ code: 'ABORTED' });
      expect(device.liveBytes).toBe(0);
      expect(mappings(model.folder)).toBe(0);
      expect(keptFiles()).toEqual([]);
      device.dispose();
      await checkpoint.close();
    });
  });

  test('processes share the pages, and the second makes none', async () => {
    const program = join(model.folder, 'program.mjs');
    const fixture = fileURLToPath(new URL('mapped-weights.fixture.ts', import.meta.url));
    const conditions = ['bitloom-source', 'node', 'import'];
    const external = ['koffi', '@huggingface/*'];
    buildSync({
      entryPoints: [fixture],
      outfile: program,
      bundle: true,
      format: 'esm',
      platform: 'node',
      conditions,
      external,
    });
    symlinkSync(
      fileURLToPath(new URL('../../node_modules', import.meta.url)),
      join(model.folder, 'node_modules'),
      'dir',
    );
    const first = new Process(program);
    const made = await first.line();
    const second = new Process(program);
    expect(await second.line()).toEqual({ sum: made.sum, compiled: 0 });
    expect(made.compiled).toBeGreaterThan(0);
    const told = await second.ask();
    expect(told.Rss).toBeGreaterThan(40);
    expect(told.Anonymous).toBe(0); // every page is the file's, none a copy
    // Dirty until written to the disk. Pages near those that were read may be mapped in one process and not yet in the other.
    expect(told.Shared_Clean! + told.Shared_Dirty!).toBeGreaterThan(told.Rss! - 64);
    await first.ask();
  });

  test('the folder is bounded: what was used longest ago goes first, and what ended processes left', async () => {
    const store = (await platform.openStore(cache))!;
    const bounded: FileStore = { ...store, availableBytes: async () => 4000 - usedBytes() };
    const usedBytes = (): number => keptFiles().reduce((sum, name) => sum + statSync(join(cache, name)).size, 0);
    const add = async (name: string, sizeBytes: number, ageMs: number): Promise<void> => {
      await store.writeText(name, 'x'.repeat(sizeBytes));
      utimesSync(join(cache, name), (Date.now() - ageMs) / 1000, (Date.now() - ageMs) / 1000);
    };
    await add('old.panels', 300, 3e6);
    await add('new.panels', 300, 1e6);
    await add('middle.panels', 300, 2e6);
    await add('mine.panels', 900, 9e6);
    await add('left.panels.1.partial', 10, 4e6);
    await add('writing.panels.2.partial', 10, 1e6);
    await add('unknown.txt', 10, 9e6);
    await makeRoom(bounded, 'mine.panels', 500); // may take a fourth of the 4000 that are free or taken: 492 are left for others
    expect(keptFiles()).toEqual(['mine.panels', 'new.panels', 'unknown.txt', 'writing.panels.2.partial']);
    await expect(makeRoom(bounded, 'mine.panels', 5000)).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' });
    expect(keptFiles().length).toBe(4);
  });

  test('what is kept is listed with what it was made from, and removed by name', async () => {
    await loaded();
    const [only, ...others] = await weightCache.list(cache);
    expect(others).toEqual([]);
    expect(only).toMatchObject({ name: keptFiles()[0], source: gguf, sizeBytes: statSync(keptFile()).size });
    expect(Date.now() - only!.lastUsedMs).toBeLessThan(600_000);
    writeFileSync(join(cache, 'other.panels'), 'something else');
    expect((await weightCache.list(cache)).map(({ source }) => source)).toEqual([null, gguf]);
    await expect(weightCache.delete('none.panels', cache)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await weightCache.delete(only!.name, cache)).toBe(only!.sizeBytes);
    expect(keptFiles()).toEqual(['other.panels']);
  });

  test('mapped weights need not fit memory, but a machine too small for them is told', async () => {
    const checkpoint = await openCheckpoint(gguf);
    const architecture = createModel(checkpoint.config);
    const traits = { panelRows: 16, isMapping: true };
    const told = estimateMemory(checkpoint, architecture, 64, 'f16', traits);
    // Packed weights of a small model go to memory: only the norms stay in the file.
    expect(told.mappedBytes).toBe(5 * 64 * 4);
    expect(told.limitBytes).toBeNull();
    expect(estimateMemory(checkpoint, architecture, 64, 'f16', { ...traits, isMapping: false }).mappedBytes).toBe(0);
    const rest = told.totalBytes - told.mappedBytes;
    expect(slowMapping(told)).toBeUndefined();
    expect(() => requireMemory({ ...told, availableBytes: rest - 1, fits: false })).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ neededBytes: rest }) }),
    );
    expect(slowMapping({ ...told, availableBytes: rest, fits: true })).toMatch(/^slow-weights: .*again and again/);
    await checkpoint.close();
  });
});

function overwrite(path: string, at: number, text: string): void {
  const bytes = readFileSync(path);
  bytes.write(text, at, 'latin1');
  writeFileSync(path, bytes);
}

/** A process of `mapped-weights.fixture.ts`. */
class Process {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(program: string) {
    this.#child = spawn(process.execPath, [program, gguf, cache], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  async line(): Promise<Record<string, number>> {
    const { value } = await this.#lines.next();
    return JSON.parse(value as string) as Record<string, number>;
  }

  /** Lets it tell what it has mapped, and end. */
  async ask(): Promise<Record<string, number>> {
    const ended = once(this.#child, 'exit');
    this.#child.stdin!.write('\n');
    const told = await this.line();
    await ended;
    return told;
  }
}

/** Loads the small model on a device of its own and keeps it. */
async function mapped() {
  const checkpoint = await openCheckpoint(gguf);
  const device = await createDevice('x64', { threads: 1 });
  const architecture = createModel(checkpoint.config);
  const weights = await loadWeights(device, checkpoint, architecture.tensors, { cache, leastKeptBytes: 0 });
  await checkpoint.close();
  return { device, architecture, weights };
}

/** Logits of the small model, loaded beside others. */
async function loadedBeside(): Promise<number[]> {
  const { device, architecture, weights } = await mapped();
  const sequence = new Sequence(device, architecture, (name) => weights.get(name)!, 32, 'f32');
  const logits = [...(await sequence.append(TOKENS))];
  await sequence.dispose();
  for (const tensor of weights.values()) tensor.dispose();
  device.dispose();
  return logits;
}
