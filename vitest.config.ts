/**
 * The quick suite (`npm test`): every test file but `*.long.test.ts`. Sources are read straight from
 * src/, so `#platform` resolves by the `bitloom-source` condition of package.json.
 */
import { defineConfig } from 'vitest/config';

const TEST_FILES = ['src/**/*.test.ts', 'tests/**/*.test.ts', 'bench/**/*.test.ts'];
const OTHERS = ['**/node_modules/**', 'bench/peers/**', 'dist/**'];
/**
 * Each of these runs with modules of its own: files that put something in a module's or a global's place, and those that
 * interpret whole models, three times as fast while the engine has seen no other program.
 */
const ALONE = [
  'src/platform/*.test.ts',
  'src/format/hub/*.test.ts',
  'src/web/*.test.ts',
  'src/target/wasm/memory.test.ts',
  'src/engine/mapped-weights.test.ts',
  'src/engine/model.test.ts',
  'src/cli/self-test.test.ts',
];
const conditions = ['bitloom-source', 'node', 'module', 'import', 'default'];

/** Two projects: files that share the modules of their process, which spares half the time, and the others. */
export const suite = (exclude: readonly string[], timeoutMs: number) => ({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    pool: 'forks' as const,
    maxWorkers: 3,
    // Tests neither read nor write what the user's own processes keep.
    env: { BITLOOM_TUNING: 'off', BITLOOM_WEIGHT_CACHE: 'off' },
    projects: [
      {
        extends: true as const,
        test: {
          name: 'shared',
          include: TEST_FILES,
          exclude: [...OTHERS, ...ALONE, ...exclude],
          isolate: false,
          testTimeout: timeoutMs,
        },
      },
      {
        extends: true as const,
        test: { name: 'alone', include: ALONE, exclude: [...OTHERS, ...exclude], testTimeout: timeoutMs },
      },
    ],
  },
});

export default defineConfig(suite(['**/*.long.test.ts'], 120_000));
