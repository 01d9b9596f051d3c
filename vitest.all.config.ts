/** The whole suite (`npm run test:all`): the quick one and every `*.long.test.ts`. */
import { defineConfig, mergeConfig } from 'vitest/config';
import quick, { TEST_FILES } from './vitest.config.ts';

const config = mergeConfig(quick, defineConfig({}));
config.test = {
  ...config.test,
  include: TEST_FILES,
  exclude: ['**/node_modules/**', 'bench/peers/**', 'dist/**'],
  testTimeout: 600_000,
  env: { ...config.test?.env, BITLOOM_TEST_ALL: '1' },
};
export default config;
