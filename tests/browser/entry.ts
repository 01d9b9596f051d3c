/** What the browser tests call in the page. */
import { platform } from '#platform';
import { load } from '../../src/index.ts';

async function readConfig(): Promise<{ platform: string; bytes: number; sizeBytes: number; hiddenSize: number }> {
  const file = await platform.openFile('/assets/tiny/config.json');
  const target = new Uint8Array(new SharedArrayBuffer(file.sizeBytes));
  const bytes = await file.readInto(target, 0);
  const text = new TextDecoder().decode(target.slice());
  return { platform: platform.name, bytes, sizeBytes: file.sizeBytes, hiddenSize: JSON.parse(text).hidden_size };
}

/** Greedy tokens for a prompt, and what the model ran on. */
async function generate(prompt: string, threads: number, maxTokens: number) {
  const warnings: string[] = [];
  const onWarning = (message: string): void => void warnings.push(message);
  const model = await load('/assets/tiny', { device: 'wasm', threads, kvCacheType: 'f32', onWarning });
  const { device, features } = model.info;
  const { tokens } = await model.generate(prompt, { temperature: 0, maxTokens, ignoreEos: true }).result;
  await model.dispose();
  return { tokens, device, features, threads: model.info.threads, warnings };
}

Object.assign(globalThis, { readConfig, generate, ready: true });
