// What a model needs, before any of it is read; and what happens where it does not fit. Run: node examples/11-memory.js
import { BitloomError, estimate, load } from 'bitloom';

const kilobytes = (/** @type {number} */ bytes) => `${Math.round(bytes / 1000)} kB`;

for (const kvCacheType of /** @type {const} */ (['f32', 'f16', 'q8_0'])) {
  const { weightBytes, cacheBytes, fits } = await estimate(undefined, { contextLength: 512, kvCacheType });
  const cache = `${kilobytes(cacheBytes)} for 512 tokens in ${kvCacheType}`;
  console.log(`weights ${kilobytes(weightBytes)}, cache ${cache}: ${fits ? 'fits' : 'does not fit'}`);
}

try {
  await load(undefined, { contextLength: 100_000 });
} catch (error) {
  console.log(error instanceof BitloomError && error.code, error instanceof BitloomError && error.details);
}

// Prints:
// weights 13902 kB, cache 5243 kB for 512 tokens in f32: fits
// weights 13902 kB, cache 2621 kB for 512 tokens in f16: fits
// weights 13902 kB, cache 1475 kB for 512 tokens in q8_0: fits
// INVALID_ARGUMENT { contextLength: 100000 }
