/**
 * Locks between processes as files that hold who has them. Node has no advisory locks, so a holder touches its file
 * now and then; a file that nobody touches, or whose process is gone, is a leftover and is taken away.
 */
import { mkdir, open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BitloomError } from '../ir/error.ts';
import { writeError } from './disk-file.ts';

const TOUCH_MS = 10_000;
/** A machine that slept through several touches may lose its lock: its download then fails its hash and starts over. */
const STALE_MS = 60_000;
const LONGEST_WAIT_MS = 500;

function isAlive(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** True where the lock's holder is gone. */
async function isLeftover(path: string): Promise<boolean> {
  try {
    const [holder, status] = [await readFile(path, 'utf8'), await stat(path)];
    if (Date.now() - status.mtimeMs > STALE_MS) return true;
    const [id, host] = holder.split(' ');
    return host === hostname() && !isAlive(Number(id));
  } catch {
    return false; // let go meanwhile
  }
}

/** Makes the lock file; false where it is there already. */
async function take(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(`${process.pid} ${hostname()}`);
    await file.close();
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw writeError(path, cause);
  }
}

/** Waits for the lock at `path` and takes it. The result lets it go. Throws ABORTED, BAD_FILE, QUOTA_EXCEEDED. */
export async function lockFile(path: string, onWait: () => void, signal?: AbortSignal): Promise<() => Promise<void>> {
  await mkdir(dirname(path), { recursive: true }).catch((cause) => {
    throw writeError(path, cause);
  });
  for (let waitMs = 20; !(await take(path)); waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
    if (await isLeftover(path)) {
      await rm(path, { force: true });
      continue;
    }
    if (waitMs === 40) onWait();
    await sleep(waitMs, undefined, signal ? { signal } : {}).catch((cause) => {
      throw new BitloomError('ABORTED', `Waiting for ${path} was cancelled.`, { path }, { cause });
    });
  }
  const timer = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, TOUCH_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await rm(path, { force: true });
  };
}
