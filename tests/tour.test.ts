/** The tour shows what its commands print today. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

test('docs/tour.md is up to date (else: node scripts/write-tour.js)', async () => {
  const checked = promisify(execFile)(process.execPath, ['scripts/write-tour.js', '--check'], { cwd: root });
  await expect(checked).resolves.toMatchObject({ stderr: '' });
});

test('an unknown step tells which there are', async () => {
  const failed = promisify(execFile)(process.execPath, ['docs/tour.js', 'nothing'], { cwd: root });
  await expect(failed).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('graph | passes | plan') });
});
