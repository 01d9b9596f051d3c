/**
 * The quick suite (`npm test`): every test file but `*.long.test.ts`. Sources are read straight from
 * src/, so `#platform` resolves by the `bitloom-source` condition of package.json.
 */
import { defineConfig } from 'vitest/config';

export const TEST_FILES = ['src/**/*.test.ts', 'tests/**/*.test.ts', 'bench/**/*.test.ts'];
const conditions = ['bitloom-source', 'node', 'module', 'import', 'default'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: TEST_FILES,
    exclude: ['**/*.long.test.ts', '**/node_modules/**', 'bench/peers/**', 'dist/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
  },
});
