/** The whole suite (`npm run test:all`): the quick one and every `*.long.test.ts`. */
import { defineConfig } from 'vitest/config';
import { suite } from './vitest.config.ts';

process.env.BITLOOM_TEST_ALL = '1';
export default defineConfig(suite([], 600_000));
