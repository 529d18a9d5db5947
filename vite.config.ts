import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { shaderText } from './tools/shader-text.mjs';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const { dependencies } = JSON.parse(readFileSync(at('package.json'), 'utf8')) as { dependencies: Record<string, string> };
const packages = [...Object.keys(dependencies), 'webgpu'];

/** The library's entry points: `dist/<name>.js` is what package.json exports under that name. */
export const entries: Readonly<Record<string, string>> = {
  index: at('src/index.ts'),
  worker: at('src/worker.ts'),
  node: at('src/node.ts'),
  cli: at('src/server/cli.ts'),
};

export default defineConfig({
  plugins: [shaderText()],
  build: {
    lib: { entry: entries, formats: ['es'] },
    target: 'es2022',
    // Apps bundle and minify us with their own code; readable stack traces are worth more here.
    minify: false,
    // Maps of what is not minified would be two thirds of the package.
    sourcemap: false,
    // `public/` is for the page; a library carries no models.
    copyPublicDir: false,
    rolldownOptions: {
      external: (id) => id.startsWith('node:') || packages.some((name) => id === name || id.startsWith(`${name}/`)),
      output: { chunkFileNames: 'chunks/[name]-[hash].js' },
    },
  },
});
