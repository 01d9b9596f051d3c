/** What the browser tests call in the page. */
import { platform } from '#platform';

async function readConfig(): Promise<{ platform: string; bytes: number; sizeBytes: number; hiddenSize: number }> {
  const file = await platform.openFile('/assets/tiny/config.json');
  const target = new Uint8Array(new SharedArrayBuffer(file.sizeBytes));
  const bytes = await file.readInto(target, 0);
  const text = new TextDecoder().decode(target.slice());
  return { platform: platform.name, bytes, sizeBytes: file.sizeBytes, hiddenSize: JSON.parse(text).hidden_size };
}

Object.assign(globalThis, { readConfig, ready: true });
