/** The built command line as a process: streams, exit codes, signals and closed pipes. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { platform } from '../src/platform/index.ts';

const program = fileURLToPath(new URL('../bin/bitloom.js', import.meta.url));
const greedy = ['run', '--temperature', '0', '--prompt', 'Write a short bedtime story called `The Fox and the Moon`.'];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bitloom-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs with one thread, so that tests that run side by side do not wait for each other's cores. */
function bitloom(args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, BITLOOM_THREADS: '1' } };
    const child = execFile(process.execPath, [program, ...args], options, (_, out, err) => {
      resolve({ code: child.exitCode, out, err });
    });
    child.stdin?.end();
  });
}

test('--json gives one object on stdout, and text mode the same text', async () => {
  const json = await bitloom([...greedy, '--max-tokens', '12', '--json']);
  expect(json.code).toBe(0);
  const reply = JSON.parse(json.out);
  const keys = ['text', 'tokens', 'promptTokens', 'cachedTokens', 'finishReason', 'timings'];
  expect(Object.keys(reply)).toEqual(keys);
  expect(reply).toMatchObject({ promptTokens: 17, finishReason: 'length' });
  expect(reply.tokens.slice(0, 5)).toEqual([695, 266, 1044, 292, 3404]);
  for (const value of Object.values(reply.timings)) expect(value).toBeGreaterThan(0);
  const text = await bitloom([...greedy, '--max-tokens', '12']);
  expect(text.out).toBe(`${reply.text}\n`);
  expect(text.err).toContain('tokens/s');
});

test('the same seed tells the same story with one thread and with two', async () => {
  const args = ['run', '--seed', '7', '--max-tokens', '12', '--quiet'];
  const [one, two] = [await bitloom(args), await bitloom([...args, '--threads', '2'])];
  expect(one.out.length).toBeGreaterThan(20);
  expect(two).toEqual({ ...one, code: 0, err: '' });
});

test('a folder without a model, a broken file and a missing one exit with 3 and name what is wrong', async () => {
  const broken = join(folder, 'broken.gguf');
  await writeFile(broken, new Uint8Array([0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, 255, 255]));
  for (const path of [folder, broken, join(folder, 'missing.gguf')]) {
    const { code, out, err } = await bitloom(['run', path, '--prompt', 'x']);
    expect({ path, code, out }).toEqual({ path, code: 3, out: '' });
    expect(err).toMatch(/^error: .*\((BAD_FILE|MISSING_FILE)\)\n$/s);
  }
});

test('wrong usage exits with 2; an empty prompt and one longer than the context with 1', async () => {
  expect((await bitloom(['run', '--top-k', 'x'])).code).toBe(2);
  expect((await bitloom([])).code).toBe(2);
  for (const prompt of ['', 'word '.repeat(600)]) {
    const { code, err } = await bitloom(['run', '--prompt', prompt]);
    expect(code).toBe(1);
    expect(err).toMatch(prompt === '' ? /\(EMPTY_PROMPT\)/ : /\(CONTEXT_OVERFLOW\)/);
  }
});

test('Ctrl-C ends a running generation cleanly with 130', async () => {
  const child = spawn(process.execPath, [program, ...greedy, '--ignore-eos']);
  let out = '';
  let err = '';
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  child.stdout.on('data', (chunk) => {
    if (out === '') child.kill('SIGINT');
    out += chunk;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(code).toBe(130);
  expect(out.endsWith('\n')).toBe(true);
  expect(err).toContain('interrupted');
});

test('a reader that goes away is no error', async () => {
  const child = spawn(process.execPath, [program, ...greedy, '--ignore-eos']);
  let err = '';
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  child.stdout.once('data', () => child.stdout.destroy());
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect({ code, err }).toEqual({ code: 0, err: '' });
});

test('doctor finds that the generated code agrees with the interpreter, on machine code where that runs', async () => {
  const { code, out } = await bitloom(['doctor', '--json']);
  const report = JSON.parse(out);
  expect(report.selfTest.filter((result: { passed: boolean }) => !result.passed)).toEqual([]);
  expect(report.device.name).toBe('why' in (await platform.native()) ? 'wasm' : 'x64');
  expect(code).toBe(0);
});

test('inspect tells what is in a checkpoint', async () => {
  const { code, out } = await bitloom(['inspect', fileURLToPath(new URL('../assets/tiny', import.meta.url)), '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    format: 'safetensors',
    architecture: 'LlamaForCausalLM',
    parameters: 6951168,
    memory: { weightBytes: 13_902_336, contextLength: 512, fits: true },
    notRunnable: null,
  });
});
