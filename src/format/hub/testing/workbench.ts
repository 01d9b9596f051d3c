/** A hub and an empty cache folder for one test, with patience measured in milliseconds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FetchOptions } from '../settings.ts';
import { type FakeHub, startHub } from './hub-server.ts';

export const COMMIT = 'c0ffee00'.repeat(5);

export interface Workbench {
  readonly hub: FakeHub;
  readonly folder: string;
  /** For `hubFiles`: this hub, this folder, no token, short waits; warnings are collected. */
  readonly options: FetchOptions & { readonly cacheFolder: string };
  readonly warnings: string[];
  close(): Promise<void>;
}

export async function openWorkbench(): Promise<Workbench> {
  const hub = await startHub();
  const folder = mkdtempSync(join(tmpdir(), 'bitloom-hub-'));
  const warnings: string[] = [];
  return {
    hub,
    folder,
    warnings,
    options: {
      endpoint: hub.endpoint,
      cacheFolder: folder,
      token: '',
      offline: false,
      retryMs: 1,
      onWarning: (message) => void warnings.push(message),
    },
    async close() {
      await hub.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
