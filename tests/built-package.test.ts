/** The built package against the embedded model's references, under this Node and the newest one, by threads. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const { BITLOOM_NODE_NEWEST: newest, BITLOOM_CORPUS: corpus } = process.env;
const readAsset = (name: string): string => readFileSync(`${root}assets/tiny/${name}`, 'utf8');
const { goldens } = JSON.parse(readAsset('goldens.json')) as { goldens: { greedy_ids: number[] }[] };
const reference = JSON.parse(readAsset('eval.json')) as {
  documents: number;
  predicted_tokens: number;
  loss: number;
  first_documents: number[][];
};

interface Outcome {
  readonly node: string;
  readonly replies: number[][];
  /** Ids, summed loss in nats, predicted ids of each document. */
  readonly losses: number[][];
}

async function runPackage(node: string, threads: number, prompts: number, documents: number): Promise<Outcome> {
  const args = ['tests/goldens/run.js', threads, prompts, documents].map(String);
  const { stdout } = await promisify(execFile)(node, args, { cwd: root });
  return JSON.parse(stdout) as Outcome;
}

/** Nats a token over documents; [documents, predicted ids, loss]. */
function summarize(losses: readonly number[][]): { documents: number; predicted: number; loss: number } {
  const [sum, predicted] = [1, 2].map((field) => losses.reduce((total, row) => total + row[field]!, 0));
  return { documents: losses.length, predicted: predicted!, loss: sum! / predicted! };
}

function expectFirstDocuments(losses: readonly number[][]): void {
  const [actual, expected] = [summarize(losses), summarize(reference.first_documents)];
  expect(actual).toMatchObject({ documents: expected.documents, predicted: expected.predicted });
  expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(0.002);
}

test('this Node gives the golden tokens with two threads', async () => {
  const { replies } = await runPackage(process.execPath, 2, 1, 0);
  expect(replies).toEqual([goldens[0]!.greedy_ids]);
});

describe.skipIf(!newest)('the newest Node (skipped where BITLOOM_NODE_NEWEST does not name one)', () => {
  test.each([1, 2])('gives the golden tokens and losses with %i thread(s)', async (threads) => {
    const { node, replies, losses } = await runPackage(newest!, threads, goldens.length, 8);
    expect(Number.parseInt(node, 10)).toBeGreaterThan(Number.parseInt(process.versions.node, 10));
    expect(replies).toEqual(goldens.map((golden) => golden.greedy_ids));
    if (corpus) expectFirstDocuments(losses);
  });
});

describe.skipIf(!corpus)('validation loss (skipped where BITLOOM_CORPUS does not name the split)', () => {
  test('on the first documents with one thread', async () => {
    expectFirstDocuments((await runPackage(process.execPath, 1, 0, 8)).losses);
  });

  test('on all documents of eval.json with two threads, under the newest Node there is', async () => {
    const { losses } = await runPackage(newest ?? process.execPath, 2, 0, reference.documents);
    const { documents, predicted, loss } = summarize(losses);
    expect({ documents, predicted }).toEqual({
      documents: reference.documents,
      predicted: reference.predicted_tokens,
    });
    expect(Math.abs(loss - reference.loss)).toBeLessThan(0.002);
  });
});
