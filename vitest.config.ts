import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { countsReporter } from './test/counts.ts';
import { mutantPlugin } from './test/mutants/plugin.ts';

const root = fileURLToPath(new URL('.', import.meta.url));

export default defineConfig({
  root,
  plugins: [mutantPlugin(root)],
  resolve: {
    alias: [
      { find: /^weblora$/, replacement: `${root}src/index.ts` },
      { find: /^weblora\/node$/, replacement: `${root}src/node.ts` },
      { find: /^weblora\/worker$/, replacement: `${root}src/worker.ts` },
    ],
  },
  test: {
    // Dawn crashes in worker threads.
    pool: 'forks',
    // the default leaves one core of two idle; projects without file parallelism are not concerned
    maxWorkers: '100%',
    reporters: ['default', countsReporter()],
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 20_000 } },
      { extends: true, test: { name: 'shaders', include: ['test/shaders/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 } },
      {
        extends: true,
        // One file at a time: software devices use every core, and tests that wait for each other's submits time out.
        test: {
          name: 'gpu',
          include: ['test/gpu/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'runtime',
          include: ['test/runtime/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        // Needs dist/: `npm run build` comes before.
        extends: true,
        test: {
          name: 'consumers',
          include: ['test/consumers/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
