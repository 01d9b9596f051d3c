/** Locks between the tabs and workers of a page's origin. Spec: Web Locks, W3C 2024. */
import { BitloomError } from '../ir/error.ts';

/** Waits for a lock; the result lets it go. The browser frees locks of pages that are closed. Throws ABORTED. */
export async function webLock(
  locks: LockManager,
  name: string,
  onWait: () => void,
  signal?: AbortSignal,
): Promise<() => Promise<void>> {
  const held = await locks.query();
  if (held.held?.some((lock) => lock.name === name)) onWait();
  let release: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    release = resolve;
  });
  return new Promise((resolve, reject) => {
    const request = locks.request(name, signal ? { signal } : {}, () => {
      resolve(async () => {
        release();
        await request;
      });
      return done;
    });
    request.catch((cause) => {
      const [code, text] = signal?.aborted
        ? (['ABORTED', 'was cancelled'] as const)
        : (['BAD_FILE', 'failed'] as const);
      reject(new BitloomError(code, `Waiting for ${name} ${text}.`, { name }, { cause }));
    });
  });
}
