/** Every number format of GGUF, in matrices and in stacks of experts. */
import { test } from 'vitest';
import { GGUF_FORMATS } from '../quant/index.ts';
import { expectFormat } from './packed-checkpoint.fixture.ts';

const names = GGUF_FORMATS.map((format) => format.name);
test.each(['llama', 'mixtral'].flatMap((family) => names.map((name) => [family, name] as const)))(
  '%s in %s',
  expectFormat,
  60_000,
);
