/** The command line against a terminal made of strings and an engine that repeats what it is told. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { GenerateOptions, LoadOptions } from '../engine/index.ts';
import { BitloomError, type ErrorCode } from '../ir/error.ts';
import type { Engine, Reply } from './engine-face.ts';
import { EXIT } from './exit-code.ts';
import { main } from './main.ts';
import { resolveAliases } from './option.ts';
import { table } from './readable.ts';
import type { Terminal } from './terminal.ts';

interface FakeTerminal extends Terminal {
  out: string;
  err: string;
  interrupt(): void;
  readonly closing: AbortController;
}

function fakeTerminal(given: Partial<Terminal> & { lines?: string[]; stdin?: string } = {}): FakeTerminal {
  const listeners = new Set<() => void>();
  const closing = new AbortController();
  const lines = [...(given.lines ?? [])];
  const terminal: FakeTerminal = {
    out: '',
    err: '',
    closing,
    closed: closing.signal,
    isInteractive: given.lines !== undefined,
    environment: given.environment ?? {},
    write: (text) => {
      terminal.out += text;
    },
    note: (text) => {
      terminal.err += `${text}\n`;
    },
    status() {},
    readAll: async () => given.stdin ?? '',
    ask: async () => lines.shift(),
    onInterrupt(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    interrupt() {
      for (const listener of listeners) listener();
    },
  };
  return terminal;
}

interface Call {
  prompt: unknown;
  options: GenerateOptions;
}

/** Answers each prompt by three pieces; `onPiece` runs before each. */
function fakeEngine(onPiece: (index: number) => void = () => {}) {
  const seen = { source: undefined as string | undefined, load: {} as LoadOptions, calls: [] as Call[], disposed: 0 };
  const engine: Engine = {
    async load(source, options) {
      seen.source = source;
      seen.load = options;
      return { generate: (prompt, options) => generate(prompt, options), dispose: async () => void seen.disposed++ };
    },
  };
  function generate(prompt: unknown, options: GenerateOptions): Reply {
    seen.calls.push({ prompt, options });
    const pieces = ['one ', '', 'two'];
    const tokens: number[] = [];
    let finish: () => void = () => {};
    let fail: (reason: BitloomError) => void = () => {};
    const done = new Promise<void>((resolve, reject) => {
      finish = resolve;
      fail = reject;
    });
    const timings = { loadMs: 1, firstTokenMs: 2, prefillTokensPerSecond: 3, decodeTokensPerSecond: 4 };
    const result = done.then(() => ({
      text: pieces.join(''),
      tokens,
      promptTokens: 7,
      cachedTokens: 0,
      finishReason: 'stop' as const,
      timings,
    }));
    result.catch(() => {});
    return {
      result,
      async *[Symbol.asyncIterator]() {
        for (const [tokenId, text] of pieces.entries()) {
          onPiece(tokenId);
          if (options.signal?.aborted) {
            const aborted = new BitloomError('ABORTED', 'The generation was cancelled.');
            fail(aborted);
            throw aborted;
          }
          tokens.push(tokenId);
          yield { text, tokenId };
        }
        finish();
      },
    };
  }
  return { engine, seen };
}

async function bitloom(args: string[], terminal = fakeTerminal(), fake = fakeEngine()) {
  const code = await main(args, terminal, async () => fake.engine);
  return { code, out: terminal.out, err: terminal.err, ...fake.seen };
}

describe('bitloom run', () => {
  test('streams text to stdout and the summary to stderr', async () => {
    const { code, out, err, calls, disposed, source } = await bitloom(['run', '--prompt', 'hi', '--seed', '5']);
    expect({ code, out, disposed }).toEqual({ code: EXIT.done, out: 'one two\n', disposed: 1 });
    expect(err).toContain('7 + 3 tokens (stop)');
    expect(err).toContain('seed 5');
    expect(source).toBeUndefined();
    expect(calls[0]?.prompt).toBe('hi');
  });

  test('--json gives exactly the documented object', async () => {
    const { out } = await bitloom(['run', '-p', 'hi', '--json']);
    expect(JSON.parse(out)).toEqual({
      text: 'one two',
      tokens: [0, 1, 2],
      promptTokens: 7,
      cachedTokens: 0,
      finishReason: 'stop',
      timings: { loadMs: 1, firstTokenMs: 2, prefillTokensPerSecond: 3, decodeTokensPerSecond: 4 },
    });
  });

  test('passes every option on, under its own name or a familiar one', async () => {
    const { code, calls, load, source } = await bitloom(
      ['run', 'm.gguf', '-p', 'x', '-n', '9', '--temp=0.5', '--top-k', '3', '--top-p', '0.9', '--min-p', '0.1'].concat(
        [
          '--repeat-penalty',
          '1.1',
          '-s',
          '42',
          '--stop',
          'a',
          '--stop',
          'b',
          '--ignore-eos',
          '--raw',
          '-t',
          '2',
          '--deterministic',
        ],
        ['--device', 'wasm', '-c', '256', '-ctk', 'q8_0', '-ctv', 'q8_0', '--frequency-penalty', '0.5'],
        [
          '--presence-penalty',
          '-1',
          '--logit-bias',
          '7=-inf,8=2',
          '--logit-bias',
          '9-1.5',
          '--logprobs',
          '3',
          '--json',
        ],
      ),
    );
    expect(code).toBe(EXIT.done);
    expect(source).toBe('m.gguf');
    const { signal, ...generate } = calls[0]!.options;
    expect(signal).toBeInstanceOf(AbortSignal);
    expect(generate).toEqual({
      maxTokens: 9,
      temperature: 0.5,
      topK: 3,
      topP: 0.9,
      minP: 0.1,
      repetitionPenalty: 1.1,
      frequencyPenalty: 0.5,
      presencePenalty: -1,
      logitBias: { 7: -Infinity, 8: 2, 9: -1.5 },
      logprobs: 3,
      seed: 42,
      stop: ['a', 'b'],
      ignoreEos: true,
      raw: true,
    });
    expect(load).toMatchObject({ device: 'wasm', threads: 2, contextLength: 256, kvCacheType: 'q8_0' });
    expect(load.isDeterministic).toBe(true);
  });

  test('what nobody asked for is left to the model, but for a seed that is told', async () => {
    const { calls, load } = await bitloom(['run', '-p', 'x']);
    const given = (options: object): object =>
      Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    expect(given({ ...calls[0]!.options, seed: undefined, signal: undefined })).toEqual({});
    expect(calls[0]!.options.seed).toBeGreaterThanOrEqual(0);
    expect(Object.keys(given(load)).sort()).toEqual(['onProgress', 'onWarning', 'signal']);
  });

  test('the environment gives options, and arguments win over it', async () => {
    const environment = { BITLOOM_MAX_TOKENS: '8', BITLOOM_SEED: '1', BITLOOM_RAW: '1', BITLOOM_IGNORE_EOS: 'false' };
    const { calls } = await bitloom(['run', '-p', 'x', '--seed', '2'], fakeTerminal({ environment }));
    expect(calls[0]!.options).toMatchObject({ maxTokens: 8, seed: 2, raw: true });
    expect(calls[0]!.options.ignoreEos).toBeUndefined();
    const bad = await bitloom(['run', '-p', 'x'], fakeTerminal({ environment: { BITLOOM_SEED: 'abc' } }));
    expect(bad.code).toBe(EXIT.usage);
    expect(bad.err).toContain('BITLOOM_SEED');
  });

  test('without prompt or terminal the embedded model tells a story; another model is a usage error', async () => {
    const story = await bitloom(['run']);
    expect(story.code).toBe(EXIT.done);
    expect(story.calls[0]?.prompt).toMatch(/story/);
    const other = await bitloom(['run', 'm.gguf']);
    expect(other.code).toBe(EXIT.usage);
    expect(other.err).toContain('--prompt');
    expect(other.calls).toEqual([]);
  });

  test('--prompt - reads stdin, and a system text makes it a conversation', async () => {
    const { calls } = await bitloom(
      ['run', '-p', '-', '--system', 'be brief'],
      fakeTerminal({ stdin: 'from stdin\n' }),
    );
    expect(calls[0]?.prompt).toEqual([
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'from stdin' },
    ]);
  });
});

describe('usage errors', () => {
  const wrong: readonly string[][] = [
    ['run', '--top-p', '1.5'],
    ['run', '--frequency-penalty', '2.5'],
    ['run', '--logit-bias', '7'],
    ['run', '--logit-bias', 'x=1'],
    ['run', '--logit-bias', '7=inf'],
    ['run', '-p', 'x', '--logprobs', '2'],
    ['run', '--kv-cache', 'q4_0'],
    ['run', '-p', 'x', '-ctk', 'f16', '-ctv', 'q8_0'],
    ['run', '--seed', '-1'],
    ['run', '--max-tokens', 'many'],
    ['run', '--max-tokens', '0'],
    ['run', '--max-tokens', '1.5'],
    ['run', '--temperature', 'NaN'],
    ['run', '--temperature', ''],
    ['run', '--threads', '0'],
    ['run', '--device', 'cuda'],
    ['run', '--prompt'],
    ['run', '--no-such-option'],
    ['run', 'a', 'b'],
    ['run', 'a', '--model', 'b'],
    ['fly'],
    [],
  ];
  test.each(wrong.map((args) => [args.join(' '), args] as const))('bitloom %s', async (_, args) => {
    const { code, err, out, calls } = await bitloom([...args]);
    expect({ code, out, calls }).toEqual({ code: EXIT.usage, out: '', calls: [] });
    expect(err.length).toBeGreaterThan(10);
  });

  test('--help and --version go to stdout with exit code 0', async () => {
    for (const args of [['--help'], ['run', '--help'], ['--version']]) {
      const { code, out, err } = await bitloom(args);
      expect({ code, err }).toEqual({ code: EXIT.done, err: '' });
      if (args.includes('--help')) expect(out).toContain('Example: bitloom');
      else expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
    }
  });
});

describe('failures', () => {
  const codes: readonly [ErrorCode, number][] = [
    ['BAD_FILE', EXIT.badFile],
    ['MISSING_TENSOR', EXIT.badFile],
    ['UNSUPPORTED_ARCHITECTURE', EXIT.badFile],
    ['OUT_OF_MEMORY', EXIT.noResources],
    ['UNSUPPORTED_FEATURE', EXIT.badFile],
    ['NO_DEVICE', EXIT.noResources],
    ['CONTEXT_OVERFLOW', EXIT.failed],
    ['INVALID_ARGUMENT', EXIT.usage],
    ['ABORTED', EXIT.interrupted],
  ];
  test.each(codes)('%s exits with %i', async (errorCode, exit) => {
    const terminal = fakeTerminal();
    const load = async (): Promise<never> => {
      throw new BitloomError(errorCode, 'It went wrong.');
    };
    expect(await main(['run', '-p', 'x', '--json'], terminal, async () => ({ load }))).toBe(exit);
    expect(JSON.parse(terminal.out)).toEqual({ error: { code: errorCode, message: 'It went wrong.' } });
    expect(terminal.err).toContain(errorCode === 'ABORTED' ? 'interrupted' : 'It went wrong.');
  });

  test('anything else is a bug: exit code 1 and a stack', async () => {
    const terminal = fakeTerminal();
    const load = async (): Promise<never> => {
      throw new TypeError('a bug');
    };
    expect(await main(['run', '-p', 'x'], terminal, async () => ({ load }))).toBe(EXIT.failed);
    expect(terminal.err).toContain('cli.test.ts');
  });

  test('Ctrl-C ends with what was written so far and exit code 130', async () => {
    const terminal = fakeTerminal();
    const fake = fakeEngine((index) => index === 2 && terminal.interrupt());
    const { code, out, disposed } = await bitloom(['run', '-p', 'x'], terminal, fake);
    expect({ code, out, disposed }).toEqual({ code: EXIT.interrupted, out: 'one \n', disposed: 1 });
  });

  test('a reader that goes away is no error', async () => {
    const terminal = fakeTerminal();
    const fake = fakeEngine((index) => index === 1 && terminal.closing.abort());
    const { code, err, disposed } = await bitloom(['run', '-p', 'x', '-q'], terminal, fake);
    expect({ code, err, disposed }).toEqual({ code: EXIT.done, err: '', disposed: 1 });
  });
});

describe('chat', () => {
  test('keeps the conversation, forgets it on /reset, leaves on /exit', async () => {
    const terminal = fakeTerminal({ lines: ['hello', '', 'more', '/reset', 'again', '/exit', 'unheard'] });
    const { code, calls } = await bitloom(['run', '--seed', '10'], terminal);
    expect(code).toBe(EXIT.done);
    expect(calls.map((call) => (call.prompt as { content: string }[]).map((message) => message.content))).toEqual([
      ['hello'],
      ['hello', 'one two', 'more'],
      ['again'],
    ]);
    expect(new Set(calls.map((call) => call.options.seed)).size).toBe(3);
  });

  test('Ctrl-C stops the reply, not the chat; Ctrl-D leaves', async () => {
    const terminal = fakeTerminal({ lines: ['hello', 'more'] });
    let pieces = 0;
    const fake = fakeEngine(() => pieces++ === 1 && terminal.interrupt());
    const { code, calls } = await bitloom(['run'], terminal, fake);
    expect(code).toBe(EXIT.done);
    expect((calls[1]!.prompt as { content: string }[]).map((message) => message.content)).toEqual([
      'hello',
      'one',
      'more',
    ]);
    expect(terminal.out).toBe('one \none two\n');
  });
});

test('aliases stop at --', () => {
  expect(resolveAliases(['--temp', '1', '--predict=3', '-hf', 'org/name', '--', '--temp'])).toEqual([
    '--temperature',
    '1',
    '--max-tokens=3',
    '--model',
    'org/name',
    '--',
    '--temp',
  ]);
});

test('what flags and their twins say of the hub reaches the engine', async () => {
  const environment = { BITLOOM_HF_TOKEN: 'hf_twin', BITLOOM_OFFLINE: '1' };
  const { source, load } = await bitloom(['run', '-hf', 'org/name:Q4_0', '-p', 'x'], fakeTerminal({ environment }));
  expect({ source, hub: load.hub }).toEqual({ source: 'org/name:Q4_0', hub: { token: 'hf_twin', offline: true } });
});

test.each([
  [['--weight-cache', '/tmp/w'], {}, '/tmp/w'],
  [['--weight-cache', 'off'], { BITLOOM_WEIGHT_CACHE: '/tmp/w' }, false],
  [[], { BITLOOM_WEIGHT_CACHE: 'off' }, false],
  [[], { BITLOOM_WEIGHT_CACHE: 'on' }, true],
  [[], {}, undefined],
])('where weights are kept: %j with %j', async (flags, environment, weightCache) => {
  const { load } = await bitloom(['run', '-p', 'x', ...flags], fakeTerminal({ environment }));
  expect(load.weightCache).toBe(weightCache);
});

describe('laid out weights', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bitloom-cli-'));
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });

  test('are listed and removed with the models of hubs', async () => {
    vi.stubEnv('BITLOOM_WEIGHT_CACHE', folder);
    vi.stubEnv('HF_HUB_CACHE', join(folder, 'none'));
    writeFileSync(join(folder, 'a-0123.panels'), 'x'.repeat(2000));
    writeFileSync(join(folder, 'b-0123.panels'), 'x');
    const listed = await bitloom(['cache', 'ls']);
    expect(listed.out).toMatch(/laid out weights.*\na-0123\.panels +2\.0+ kB .*unknown\nb-0123\.panels/);
    expect(listed.err).toBe('0 models, 2 weight files, 2.0 kB\n');
    const json = JSON.parse((await bitloom(['cache', 'ls', '--json'])).out);
    expect(json).toMatchObject({ sizeBytes: 2001, models: [], weights: [{ source: null }, {}] });
    expect((await bitloom(['cache', 'rm', 'a-0123.panels'])).code).toBe(EXIT.done);
    expect(readdirSync(folder)).toEqual(['b-0123.panels']);
    expect((await bitloom(['cache', 'rm', 'a-0123.panels'])).code).not.toBe(EXIT.done);
  });
});

test('tables align words to the left and numbers to the right', () => {
  expect(
    table([
      ['name', 'size'],
      ['a', '5 B'],
      ['long name', '1.25 MB'],
    ]),
  ).toBe('name          size\na              5 B\nlong name  1.25 MB');
});
