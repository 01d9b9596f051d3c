/** For tests: a process that loads a model, tells what of it is mapped and shared, and goes on when it hears something. */
import { readFileSync } from 'node:fs';
import { createModel } from '../model/index.ts';
import { createDevice } from '../tensor/index.ts';
import { openCheckpoint } from './checkpoint.ts';
import { loadWeights } from './load-weights.ts';

const [path = '', cache = ''] = process.argv.slice(2);

/** KiB of the mappings of files in the cache's folder, by what they count as. */
function mappedKib(): Record<string, number> {
  const sums: Record<string, number> = {};
  let isOurs = false;
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) isOurs = line.includes(`${cache}/`);
    const [, key, size] = /^(\w+):\s+(\d+) kB/.exec(line) ?? [];
    if (isOurs && key !== undefined) sums[key] = (sums[key] ?? 0) + Number(size);
  }
  return sums;
}

const checkpoint = await openCheckpoint(path);
const device = await createDevice('x64', { threads: 1 });
const model = createModel(checkpoint.config);
let compiled = 0;
const compile = device.compile.bind(device);
device.compile = (graph, options) => {
  compiled++;
  return compile(graph, options);
};
const weights = await loadWeights(device, checkpoint, model.tensors, { cache, leastKeptBytes: 0 });
let sum = 0;
for (const tensor of weights.values()) for (const byte of await tensor.bytes()) sum = (sum + byte) % 65521;
process.stdout.write(`${JSON.stringify({ sum, compiled })}\n`);
process.stdin.once('data', () => {
  process.stdout.write(`${JSON.stringify(mappedKib())}\n`);
  process.exit();
});
