/** A download that is cut at each of its bytes, and ends there: the next call goes on, and the hash is right. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hubFiles } from './hub-files.ts';
import { blobPath, folderOf, partialPath } from './layout.ts';
import { type Fault, sha256, someBytes } from './testing/hub-server.ts';
import { COMMIT, openWorkbench, type Workbench } from './testing/workbench.ts';

const bytes = someBytes(1024);
const hash = sha256(bytes);
let bench: Workbench;

beforeAll(async () => {
  bench = await openWorkbench();
  bench.hub.repositories.set('org/name', { commit: COMMIT, files: { 'a.gguf': bytes } });
});
afterAll(() => bench.close());

const codeOf = (error: { readonly code?: string }): string | undefined => error.code;

test('at every byte', async () => {
  const at = (path: string): string => join(bench.folder, path);
  for (let cutAfter = 0; cutAfter <= bytes.length; cutAfter++) {
    const faults: Fault[] = [{ cutAfter }];
    // The hub itself refuses after the cut, so that the first call ends there.
    bench.hub.fault = ({ isStore, path }) => {
      if (isStore) return faults.shift();
      return path.includes('/resolve/') && faults.length === 0 ? { status: 400 } : undefined;
    };
    const first = hubFiles('org/name', bench.options).then(() => 'fetched', codeOf);
    expect(await first).toBe(cutAfter < bytes.length ? 'NETWORK' : 'fetched');
    const left = cutAfter < bytes.length ? readFileSync(at(partialPath('org/name', hash))) : bytes;
    expect(left.length).toBeLessThanOrEqual(cutAfter);
    expect(Buffer.from(left).equals(bytes.subarray(0, left.length))).toBe(true);
    bench.hub.fault = () => undefined;
    bench.hub.seen.length = 0;
    await hubFiles('org/name', bench.options);
    const asked = bench.hub.seen.filter(({ isStore }) => isStore).map(({ range }) => range);
    expect(asked).toEqual(left.length === bytes.length ? [] : [left.length > 0 ? `bytes=${left.length}-` : undefined]);
    expect(sha256(readFileSync(at(blobPath('org/name', hash))))).toBe(hash);
    rmSync(at(folderOf('org/name')), { recursive: true });
  }
});
