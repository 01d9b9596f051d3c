/** The built package under other versions of Node: the same greedy tokens, with one thread and with two. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const newest = process.env.BITLOOM_NODE_NEWEST;
const { goldens } = JSON.parse(readFileSync(`${root}assets/tiny/goldens.json`, 'utf8')) as {
  goldens: { greedy_ids: number[] }[];
};

async function replies(node: string, threads: number, count: number): Promise<{ node: string; replies: number[][] }> {
  const { stdout } = await promisify(execFile)(node, ['tests/goldens/run.js', String(threads), String(count)], {
    cwd: root,
  });
  return JSON.parse(stdout);
}

describe.skipIf(!newest)('the newest Node (skipped where BITLOOM_NODE_NEWEST does not name one)', () => {
  test.each([1, 2])('gives the golden tokens with %i thread(s)', async (threads) => {
    const result = await replies(newest!, threads, goldens.length);
    expect(Number.parseInt(result.node, 10)).toBeGreaterThan(Number.parseInt(process.versions.node, 10));
    expect(result.replies).toEqual(goldens.map((golden) => golden.greedy_ids));
  });
});

test('this Node gives the golden tokens with two threads', async () => {
  expect((await replies(process.execPath, 2, 1)).replies).toEqual([goldens[0]!.greedy_ids]);
});
