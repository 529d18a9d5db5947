// dist/browser: one file for each of the browser's entry points, with every package and every part in it, for pages without a bundler.
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { shaderText } from './shader-text.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

for (const name of ['index', 'worker']) {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    plugins: [shaderText()],
    build: {
      outDir: 'dist/browser',
      emptyOutDir: name === 'index',
      target: 'es2022',
      minify: true,
      copyPublicDir: false,
      // An app's build: in a library's one Vite keeps the white space.
      modulePreload: false,
      rolldownOptions: {
        input: `src/${name}.ts`,
        preserveEntrySignatures: 'strict',
        output: { codeSplitting: false, entryFileNames: `${name}.js` },
      },
    },
  });
}
